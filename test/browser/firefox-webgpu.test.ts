/** WebGPU as Firefox has it, another one than Chromium's, on a Vulkan driver in software. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { cleanLines } from '../helpers/clean-lines.ts';
import { hasEngine, openIn, type RunningBrowser } from '../helpers/engines.ts';
import { type RemotePage, remotePage } from '../helpers/remote-page.ts';
import { type SdkHost, sdkHost } from '../helpers/sdk-site.ts';

const LINES = cleanLines(2);

describe.skipIf(!hasEngine('firefox'))('the SDK in Firefox with a graphics adapter in software', () => {
  let host: SdkHost;
  let page: RemotePage;
  let browser: RunningBrowser;
  beforeAll(async () => {
    // In it WebAssembly is made slow: whatever can be is on WebGPU.
    const scripts = { page: 'engine-page.ts', 'slow-wasm-worker': 'lost-gpu-worker.ts' };
    host = await sdkHost({ scripts, copyAssets: ['--accelerated'] });
    page = await remotePage(() => browser.log());
    browser = await openIn('firefox', `${host.site.origin}/?gateway=${host.gateway.url}&control=${page.url}`);
    await page.loaded();
    await page.do(
      'lines',
      LINES.map(({ png }) => png.toString('base64')),
    );
  });
  afterAll(async () => {
    await browser?.close();
    await page?.close();
    await host?.close();
  });

  test('answers on it as elsewhere, and no segment is found wrong', async () => {
    await page.do('open', { providers: ['webgpu'], workerUrl: './slow-wasm-worker.js' });
    await page.do('prepare');
    const { text, route } = await page.do('read', 0, { label: 'secret', deadlineMs: 50_000 });
    expect(text).toBe(LINES[0]?.text);
    expect(route).toMatchObject({ k: 5, provider: 'webgpu', sent: [] });
    expect((await page.do('state')).demoted).toEqual([expect.stringMatching(/^wasm, from .* slower than webgpu$/)]);
  }, 120_000);
});
