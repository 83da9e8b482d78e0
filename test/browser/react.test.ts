import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import type { Browser, Page, WebSocket } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { launchChromium } from '../helpers/chromium.ts';
import { type ServerProcess, startServer, tandem, temporaryFolder } from '../helpers/processes.ts';
import { type StaticServer, staticServer } from '../helpers/static-server.ts';

const chromium = inject('chromium');

describe.skipIf(chromium.path === null)('useTandem in StrictMode', () => {
  let folder: string;
  let site: StaticServer;
  let gateway: ServerProcess;
  let browser: Browser;
  beforeAll(async () => {
    folder = await temporaryFolder();
    await tandem('copy-assets', folder);
    await build({
      entryPoints: [fileURLToPath(new URL('./react-page.ts', import.meta.url))],
      outfile: join(folder, 'page.js'),
      bundle: true,
      format: 'esm',
      // StrictMode mounts twice in React's development build alone.
      define: { 'process.env.NODE_ENV': '"development"' },
      logLevel: 'warning',
    });
    const script = '<script type="module" src="page.js"></script>';
    await writeFile(join(folder, 'index.html'), `<!doctype html><div id="root"></div>${script}`);
    site = await staticServer();
    site.show(folder);
    gateway = await startServer({ origins: [site.origin] });
    browser = await launchChromium(chromium.path ?? '');
  });
  afterAll(async () => {
    await browser?.close();
    await gateway?.kill();
    await site?.close();
    await rm(folder, { recursive: true, force: true });
  });

  test('keeps one connection and one worker, through renders that change nothing, and none when unmounted', async () => {
    const { page, open, opened, warnings } = await openPage();
    await says(page, 'ocr-line open 5');
    await expect.poll(() => [open().length, page.workers().length]).toEqual([1, 1]);
    // StrictMode's first mount, which is over at once, began none, of whose end the browser would complain.
    expect([opened(), warnings]).toEqual([1, []]);
    await page.click('#render-again');
    await page.waitForFunction(() => document.getElementById('renders')?.textContent === '1');
    expect(await page.textContent('#status')).toBe('ocr-line open 5');
    expect(opened()).toBe(1);

    await page.click('#unmount');
    await expect.poll(() => [open().length, page.workers().length]).toEqual([0, 0]);
    await page.close();
  });

  test('closes and connects anew for other options, and gives the error of a connection that cannot be', async () => {
    const { page, open } = await openPage();
    await says(page, 'ocr-line open 5');
    await page.click('#other-model');
    await page.waitForFunction(() => document.getElementById('status')?.textContent?.startsWith('error: '));
    expect(await page.textContent('#status')).toContain('no-such-model');
    await expect.poll(() => [open().length, page.workers().length]).toEqual([0, 0]);
    await page.close();
  });

  async function openPage() {
    const page = await browser.newPage();
    const sockets: WebSocket[] = [];
    page.on('websocket', (socket) => sockets.push(socket));
    const warnings: string[] = [];
    page.on('console', (message) => {
      if (message.type() === 'warning') warnings.push(message.text());
    });
    await page.goto(`${site.origin}/?gateway=${gateway.url}`);
    return { page, open: () => sockets.filter((socket) => !socket.isClosed()), opened: () => sockets.length, warnings };
  }
});

async function says(page: Page, text: string): Promise<void> {
  await page.waitForFunction((expected) => document.getElementById('status')?.textContent === expected, text);
}
