/** The SDK where a page has a graphics adapter: one in software, which is right and slow. */
import type { Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, test } from 'vitest';
import type { BrowserClient } from '../../client/browser.ts';
import { cleanLines } from '../helpers/clean-lines.ts';
import { type SdkSite, sdkSite } from '../helpers/sdk-site.ts';
import type { Kit } from './client-page.ts';

declare const kit: Kit & { client: BrowserClient };
/** Of lost-gpu-worker.ts. */
declare function loseAdapter(): Promise<void>;

const chromium = inject('chromium');
const LINES = cleanLines(3);

describe.skipIf(chromium.path === null)('the SDK in Chromium with a graphics adapter in software', () => {
  let sdk: SdkSite;
  let page: Page;
  beforeAll(async () => {
    sdk = await sdkSite(chromium.path ?? '', {
      scripts: { 'lost-gpu-worker': 'lost-gpu-worker.ts' },
      copyAssets: ['--accelerated'],
      chromiumFlags: ['--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader'],
    });
  });
  afterAll(() => sdk?.close());
  beforeEach(async () => {
    page = await (await sdk.browser.newContext()).newPage();
    await sdk.show(page, sdk.gateway.url, LINES);
  });
  afterEach(() => page.context().close());

  test('tries WebGPU on each segment: it is right, and is used where it is faster', async () => {
    await page.evaluate(() => kit.open({ providers: ['webgpu'], workerUrl: './worker-accelerated.js' }));
    await page.evaluate(() => kit.client.prepare());
    const { text, route } = await page.evaluate(() => kit.read(0, { prefer: 'device' }));
    expect(text).toBe(LINES[0]?.text);
    const { demoted } = await page.evaluate(() => kit.client.state);
    // In software it is slower, and no segment found it wrong.
    expect(demoted.join()).not.toContain('is wrong');
    expect([...demoted, route.provider].join()).toMatch(/webgpu/);
  }, 180_000);

  test('goes on in WebAssembly when the adapter is lost, in the request that finds it out', async () => {
    await page.evaluate(() => kit.open({ providers: ['webgpu'], workerUrl: './lost-gpu-worker.js' }));
    await page.evaluate(() => kit.client.prepare());
    // In software it takes ten seconds.
    const before = await page.evaluate(() => kit.read(0, { label: 'secret', deadlineMs: 120_000 }));
    expect(before).toMatchObject({ text: LINES[0]?.text, route: { provider: 'webgpu' } });
    await page.workers()[0]?.evaluate(() => loseAdapter());
    const found = await page.evaluate(() => kit.read(1, { label: 'secret' }));
    expect(found).toMatchObject({ text: LINES[1]?.text, route: { k: 5, provider: 'wasm', fallback: null } });
    const { demoted } = await page.evaluate(() => kit.client.state);
    expect(demoted).toEqual([expect.stringMatching(/^webgpu, from segment 1 on: /)]);
    const after = await page.evaluate(() => kit.read(2, { label: 'secret' }));
    expect(after).toMatchObject({ text: LINES[2]?.text, route: { provider: 'wasm' } });
    process.stderr.write(
      `adapter lost: ${before.ms.toFixed(0)} ms before, ${found.ms.toFixed(0)} ms, then ${after.ms.toFixed(0)} ms\n${demoted}\n`,
    );
  }, 180_000);
});
