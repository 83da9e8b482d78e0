/** The SDK in browsers that are not Chromium: Gecko, and WebKit, which every browser on an iPhone is made of. */
import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type ShapedLink, shapeLink } from '../../client/testkit/link-shaper.ts';
import { type CleanLine, cleanLines } from '../helpers/clean-lines.ts';
import { type EngineName, type EngineOptions, hasEngine, openIn, type RunningBrowser } from '../helpers/engines.ts';
import { startServer } from '../helpers/processes.ts';
import { type RemotePage, remotePage } from '../helpers/remote-page.ts';
import { type SdkHost, sdkHost } from '../helpers/sdk-site.ts';

const DEPTH = 5;
const DEMO = fileURLToPath(new URL('../../dist/web/site', import.meta.url));
const LINES = cleanLines(2);
const ISOLATED = { 'Cross-Origin-Opener-Policy': 'same-origin', 'Cross-Origin-Embedder-Policy': 'require-corp' };

describe.each<EngineName>(['firefox', 'webkit'])('the SDK in %s', (name) => {
  describe.skipIf(!hasEngine(name))('with a profile of its own', () => {
    let host: SdkHost;
    let link: ShapedLink;
    let page: RemotePage;
    let browser: RunningBrowser;
    beforeAll(async () => {
      const scripts = { page: 'engine-page.ts', 'service-worker': 'offline-worker.ts' };
      host = await sdkHost({ scripts });
    });
    afterAll(() => host?.close());
    beforeEach(async () => {
      host.site.show(host.folder);
      link = await shapeLink(host.gateway.url);
      page = await remotePage(() => browser.log());
    });
    afterEach(async () => {
      await browser?.close();
      await page?.close();
      await link?.close();
    });

    const address = (path = '') => `${host.site.origin}/${path}?gateway=${link.url}&control=${page.url}`;

    async function visit(more?: EngineOptions, url = address()): Promise<void> {
      browser = await openIn(name, url, more);
      await arrived();
    }

    async function arrived(): Promise<void> {
      await page.loaded();
      await page.do(
        'lines',
        LINES.map(({ png }) => png.toString('base64')),
      );
    }

    /** A client of the page gives the same answer at each of these cuts. */
    async function readsAt(...cuts: readonly number[]): Promise<void> {
      await page.do('open');
      await page.do('prepare');
      for (const k of cuts) {
        const { text, route } = await page.do('read', 0, { force: { k } });
        expect({ text, k: route.k, fallback: route.fallback }).toEqual({ text: LINES[0]?.text, k, fallback: null });
      }
    }

    test('answers before anything is here, from a picture, and more and more by itself', async () => {
      link.set({ delayMs: 25, upBytesPerS: 500_000, downBytesPerS: 500_000 });
      await visit();
      const first = await page.do('openWithFirst', 0);
      // WebKit makes no WebP.
      const tier = name === 'webkit' ? 'jpeg-95' : 'webp-80';
      expect(first).toMatchObject({ text: LINES[0]?.text, route: { k: 0, tier, provider: null, fallback: null } });
      link.set({ delayMs: 0, upBytesPerS: Number.POSITIVE_INFINITY, downBytesPerS: Number.POSITIVE_INFINITY });
      await page.do('prepare');
      const own = await page.do('read', 1, { prefer: 'device' });
      expect(own).toMatchObject({ text: LINES[1]?.text, route: { k: DEPTH, provider: 'wasm', sent: [] } });
    });

    test('gives one answer at every cut, for every form of picture that it has', async () => {
      await visit();
      await readsAt(...Array.from({ length: DEPTH + 1 }, (_, k) => k));
      const forms = await page.do('forms', 0, { force: { k: DEPTH } });
      expect(Object.values(forms)).toEqual(Object.values(forms).map(() => forms['ImageBitmap']));
      const together = await page.do('together', 12);
      expect(together.map(({ text }) => text)).toEqual(together.map((_, i) => LINES[i % 2]?.text));
      expect(await page.do('stream', 5)).toBeGreaterThan(0);
      const seen = await page.do('video', 0, 5);
      expect(new Set(seen).size).toBe(1);
    });

    test('goes on where a request is given up, the link is cut or a client is closed', async () => {
      await visit();
      await page.do('open');
      await page.do('prepare');
      const { name: error, ms } = await page.do('abort', 3);
      expect(error).toBe('AbortError');
      expect(ms).toBeLessThan(50);
      link.cut();
      const alone = await page.do('read', 1);
      expect(alone).toMatchObject({ text: LINES[1]?.text, route: { k: DEPTH } });
      link.restore();
      await page.do('close');
      // What is kept is not fetched again.
      const { down } = link.passed;
      await page.do('open');
      await page.do('prepare');
      expect((await page.do('read', 0, { prefer: 'device' })).route).toMatchObject({ k: DEPTH, sent: [] });
      expect(link.passed.down - down).toBeLessThan(1_000_000);
    });

    test('works offline after a visit, page and all', async () => {
      await visit();
      await page.do('keep');
      await page.do('open');
      await page.do('prepare');
      expect(await page.do('availability')).toMatchObject({ status: 'available', reasons: [] });
      host.site.show('/nowhere');
      link.cut();
      await page.do('reload');
      await arrived();
      await page.do('open');
      await page.do('prepare');
      const { text, route } = await page.do('read', 1);
      expect(text).toBe(LINES[1]?.text);
      expect(route).toMatchObject({ k: DEPTH, provider: 'wasm', sent: [] });
    });

    test('says how many threads there are, on a page that is isolated', async () => {
      host.site.show(host.folder, ISOLATED);
      // Safari shares memory on such pages, and the WebKit here where it is told to.
      await visit({ environment: { JSC_useSharedArrayBuffer: '1' } });
      expect(await page.do('host')).toMatchObject({ isIsolated: true, canShare: true });
      const provider = async (options: { threads?: number }) => {
        await page.do('open', options);
        await page.do('prepare');
        const { text, route } = await page.do('read', 0, { prefer: 'device' });
        expect(text).toBe(LINES[0]?.text);
        expect(route.k).toBe(DEPTH);
        await page.do('close');
        return route.provider;
      };
      expect(await provider({})).toBe('wasm');
      // In Firefox a start in forty would not end.
      if (name === 'webkit') expect(await provider({ threads: 2 })).toBe('wasm, 2 threads');
    });

    test('runs on one thread where no memory can be shared, whatever was asked for, and says so', async () => {
      await visit();
      expect(await page.do('host')).toMatchObject({ isIsolated: false, canShare: false });
      await page.do('open', { threads: 2 });
      await page.do('prepare');
      expect((await page.do('read', 0, { prefer: 'device' })).route).toMatchObject({ k: DEPTH, provider: 'wasm' });
    });

    test('needs no more of a content security policy than docs/integration.md says', async () => {
      const docs = await readFile(new URL('../../docs/integration.md', import.meta.url), 'utf8');
      const [, documented = ''] = docs.match(/^Content-Security-Policy: (.*)$/m) ?? [];
      expect(documented).toContain(`'wasm-unsafe-eval'`);
      const policy = documented
        .replace('https://gateway.example', `${page.url} ${link.url}`)
        .replace('wss://gateway.example', link.url.replace('http', 'ws'));
      host.site.show(host.folder, { 'Content-Security-Policy': policy });
      await visit();
      await readsAt(0, DEPTH);
    });

    test('runs in a sandboxed frame, where the app makes the worker', async () => {
      host.site.show(host.folder, { 'Access-Control-Allow-Origin': '*' });
      // The origin of such a frame is `null`.
      const open = await startServer({ origins: ['*'] });
      try {
        const source = `/?gateway=${open.url}&control=${page.url}`;
        await writeFile(join(host.folder, 'frame.html'), `<iframe sandbox="allow-scripts" src="${source}"></iframe>`);
        await visit({}, `${host.site.origin}/frame.html`);
        await page.do('openInFrame');
        await page.do('prepare');
        const { text, route } = await page.do('read', 0, { prefer: 'device' });
        expect({ text, k: route.k }).toEqual({ text: LINES[0]?.text, k: DEPTH });
        expect(await page.do('read', 1, { force: { k: 0 } })).toMatchObject({ route: { k: 0, fallback: null } });
      } finally {
        await open.kill();
      }
    });

    test('takes a photo of 12 megapixels bit by bit, and lets the page have its turn in between', async () => {
      await visit();
      const { differing, draws, turns } = await page.do('photo');
      expect([differing, draws]).toEqual([0, 12]);
      // Who is first, the page or what it waits for, is not said.
      expect(turns).toBeGreaterThan(6);
    });

    test('runs in a worker of the app’s own', async () => {
      const script = `new Worker('page.js' + location.search, { type: 'module' })`;
      await writeFile(join(host.folder, 'in-worker.html'), `<script>${script}</script>`);
      await visit({}, address('in-worker.html'));
      await readsAt(0, DEPTH);
    });

    test('keeps to what is chosen in the demo, when that is loaded again', async () => {
      const folder = join(host.folder, 'demo');
      await cp(DEMO, folder, { recursive: true });
      const html = await readFile(join(folder, 'index.html'), 'utf8');
      const withPage = html.replace('</head>', '<script type="module" src="../page.js"></script></head>');
      await writeFile(join(folder, 'index.html'), withPage);
      browser = await openIn(name, `${host.site.origin}/demo/index.html?control=${page.url}`);
      await page.loaded();
      await page.do('click', 'input[value="photo"]');
      await page.do('reload');
      await page.loaded();
      const isPhoto = await page.do('isShown', 'input[value="photo"]:checked + span');
      expect(await page.do('isShown', '#photo-pane')).toBe(isPhoto);
      expect(await page.do('isShown', '#type-pane')).toBe(!isPhoto);
      // What Firefox keeps, WebKit does not.
      expect(isPhoto).toBe(name === 'firefox');
    });

    if (name === 'firefox') {
      test('takes no noise for a picture where pages are shown no pixels, and goes on with those that the app has read', async () => {
        await visit({ settings: { 'privacy.resistFingerprinting': true } });
        await page.do('open');
        await page.do('prepare');
        await expect(page.do('read', 0)).rejects.toThrow('the picture cannot be read: no canvas can be read here');
        const { width, height, data } = (LINES[0] as CleanLine).picture;
        const pixels = { width, height, data: [...data] };
        const read = await page.do('readPixels', pixels, { force: { k: 1 } });
        expect(read).toMatchObject({ text: LINES[0]?.text, route: { k: 1, fallback: null } });
        const asPicture = await page.do('readPixels', pixels, { force: { k: 0 } });
        const fallback = { reason: 'failed', message: 'this device cannot make the format' };
        expect(asPicture).toMatchObject({ text: LINES[0]?.text, route: { fallback } });
      });
    }
  });
});
