/** Pages that are kept for when there is no network, where the network has its own idea of what lies at their addresses. */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, beforeEach, describe, expect, inject, test } from 'vitest';
import { launchChromium } from '../helpers/chromium.ts';

const chromium = inject('chromium');
const SDK = fileURLToPath(new URL('../../client/service-worker.ts', import.meta.url));
const PAGE = `<title>the page</title><script type="module">
navigator.serviceWorker.register('/sw.js', { type: 'module' });
</script>`;

describe.skipIf(chromium.path === null)('a page that is kept, in Chromium', () => {
  /** Where an address leads. */
  const redirects = new Map<string, string>();
  let isDown = false;
  let server: Server;
  let origin: string;
  let browser: Browser;
  let page: Page;
  beforeAll(async () => {
    const contents = `import { keepOffline } from '${SDK}'; keepOffline(self, { version: '1', files: ['/', '/app', '/page.js'] });`;
    const { outputFiles } = await build({
      stdin: { contents, resolveDir: '.' },
      bundle: true,
      format: 'esm',
      write: false,
    });
    server = createServer(({ url = '' }, response) => {
      const to = redirects.get(url);
      if (isDown) response.destroy();
      else if (to !== undefined) response.writeHead(302, { Location: to }).end();
      else if (url === '/sw.js')
        response.writeHead(200, { 'Content-Type': 'text/javascript' }).end(outputFiles[0]?.text);
      else
        response.writeHead(200, { 'Content-Type': 'text/html' }).end(url === '/login' ? '<title>log in</title>' : PAGE);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    browser = await launchChromium(chromium.path ?? '');
  });
  afterAll(async () => {
    await browser?.close();
    server?.closeAllConnections();
    server?.close();
  });
  beforeEach(async () => {
    redirects.clear();
    redirects.set('/app', '/app/');
    isDown = false;
    page = await (await browser.newContext()).newPage();
    await page.goto(origin);
    await page.evaluate(() => navigator.serviceWorker.ready);
    await page.waitForFunction(() => navigator.serviceWorker.controller !== null);
  });

  const opened = async (path: string) => {
    await page.goto(origin + path);
    return `${new URL(page.url()).pathname} ${await page.title()}`;
  };

  test('opens without a network, also at an address that led on to another when it was kept', async () => {
    isDown = true;
    expect(await opened('/')).toBe('/ the page');
    expect(await opened('/app')).toBe('/app the page');
  });

  test('leads on while there is a network', async () => {
    expect(await opened('/app')).toBe('/app/ the page');
    redirects.set('/', '/login');
    expect(await opened('/')).toBe('/login log in');
    // What was kept is still the page.
    isDown = true;
    expect(await opened('/')).toBe('/ the page');
  });

  test('a page to log in at does not take the place of a script', async () => {
    const text = () => page.evaluate(() => fetch('/page.js').then((response) => response.text()));
    const before = await text();
    redirects.set('/page.js', '/login');
    await text();
    isDown = true;
    expect(await text()).toBe(before);
  });
});
