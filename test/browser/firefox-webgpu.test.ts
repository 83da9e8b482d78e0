/** WebGPU as Firefox has it, another one than Chromium's, on a Vulkan driver in software. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { cleanLines } from '../helpers/clean-lines.ts';
import { hasEngine, openIn, type RunningBrowser } from '../helpers/engines.ts';
import { halfBundle } from '../helpers/half-bundle.ts';
import { startServer } from '../helpers/processes.ts';
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

  test('computes in float16 where segments do, and none is found wrong', async () => {
    const gateway = await startServer({ origins: [host.site.origin], bundles: [await halfBundle()] });
    try {
      const options = { url: gateway.url, target: 'webgpu', providers: ['webgpu'] as const };
      await page.do('open', { ...options, workerUrl: './slow-wasm-worker.js' });
      await page.do('prepare');
      for (const [i, line] of LINES.entries()) {
        const { text, route } = await page.do('read', i, { label: 'secret', deadlineMs: 50_000 });
        expect(text).toBe(line.text);
        expect(route).toMatchObject({ k: 5, provider: 'webgpu', sent: [] });
      }
    } finally {
      await gateway.kill();
    }
  }, 120_000);
});
