/** The SDK in a real browser over a real, bad network. */
import { createHash } from 'node:crypto';
import { cp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import type { Browser, Frame, Page, Route, WebSocket } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, test } from 'vitest';
import type { BrowserClient } from '../../client/browser.ts';
import { type ShapedLink, shapeLink } from '../../client/testkit/link-shaper.ts';
import type { Plan } from '../../shared/plan.ts';
import { planContract } from '../../shared/plan-contract.ts';
import { PHONE } from '../helpers/chromium.ts';
import { cleanLines } from '../helpers/clean-lines.ts';
import { heldBytes, privateBytes, usageOfWorker } from '../helpers/heap.ts';
import { BUNDLE_DIR, type ServerProcess, startServer, temporaryFolder } from '../helpers/processes.ts';
import { type SdkSite, sdkSite } from '../helpers/sdk-site.ts';
import type { StaticServer } from '../helpers/static-server.ts';
import type { Kit } from './client-page.ts';

declare const kit: Kit & { client: BrowserClient };
/** When what was seen last, by the page's clock. */
declare const seen: Record<string, number>;

const chromium = inject('chromium');
const DEPTH = 5;
const LINES = cleanLines(4);
/** Of the test for memory that grows: SOAK=10000 for the real thing, which takes a quarter of an hour. */
const REQUESTS = Number(process.env['SOAK'] ?? 200);

describe.skipIf(chromium.path === null)('the SDK in Chromium', () => {
  let sdk: SdkSite;
  let folder: string;
  let site: StaticServer;
  let gateway: ServerProcess;
  let browser: Browser;
  let link: ShapedLink;
  beforeAll(async () => {
    const scripts = { 'broken-worker': 'broken-worker.ts', 'service-worker': 'offline-worker.ts' };
    // By another name than that of the machine itself a page is no secure context.
    const chromiumFlags = ['--host-resolver-rules=MAP tandem.test 127.0.0.1'];
    sdk = await sdkSite(chromium.path ?? '', { scripts, chromiumFlags });
    ({ folder, site, gateway, browser } = sdk);
  });
  afterAll(() => sdk?.close());
  beforeEach(async () => {
    link = await shapeLink(gateway.url);
  });
  afterEach(() => link.close());

  /** On the link. */
  const newPage = () => sdk.newPage(link.url, LINES);
  const show = (page: Page) => sdk.show(page, link.url, LINES);
  const complete = (page: Page) => page.evaluate(() => kit.client.prepare());
  const done = (page: Page) => page.context().close();

  test('sends a picture that it has from the start before it is connected, by HTTP and once, where policy plainly lets it', async () => {
    // Two round trips, which the connection takes more than the request, are longer here than a picture takes to be encoded.
    link.set({ delayMs: 100, upBytesPerS: 500_000, downBytesPerS: 500_000 });
    const labels = [{ public: 'input' }, { public: { from: 'input', retain: false } }];
    const answers = [];
    for (const policy of labels.map((each) => ({ labels: each }))) {
      const page = await newPage();
      const posts: string[] = [];
      page.on('request', (request) => {
        if (request.method() !== 'GET') posts.push(`${request.method()} ${new URL(request.url()).pathname}`);
      });
      const read = await page.evaluate(async (own) => {
        const first = { input: kit.line(0), label: 'public' };
        await kit.open({ first, policy: own, download: false });
        return kit.read(0);
      }, policy);
      answers.push({ posts, ...read });
      await done(page);
    }
    const [early, late] = answers;
    const route = { k: 0, fallback: null, sent: [{ outcome: 'answered' }], receipt: { receipt: { computed: 'yes' } } };
    const why = 'it had left before the SDK was there';
    expect(early).toMatchObject({ posts: ['POST /infer'], text: LINES[0]?.text, route });
    expect(early?.route.why).toContain(why);
    expect(late).toMatchObject({ posts: [], text: LINES[0]?.text, route });
    expect(late?.route.why).not.toContain(why);
  });

  test('answers on a slow network before anything is here, and does more itself with every segment', async () => {
    link.set({ delayMs: 25, upBytesPerS: 500_000, downBytesPerS: 500_000 });
    const page = await newPage();
    const { first, ks, seen, total } = await page.evaluate(async () => {
      const seen: number[] = [];
      let total = 0;
      await kit.open({
        monitor: (events) =>
          events.addEventListener('progress', ({ detail }) => {
            seen.push(detail.loaded);
            total = detail.total;
          }),
      });
      const first = await kit.read(0);
      const ks: number[] = [];
      while (kit.client.state.device !== 'available') ks.push((await kit.read(0, { prefer: 'device' })).route.k);
      ks.push((await kit.read(0, { prefer: 'device' })).route.k);
      return { first, ks, seen, total };
    });
    expect(first).toMatchObject({ text: LINES[0]?.text, route: { k: 0, provider: null } });
    expect(ks).toEqual([...ks].sort((a, b) => a - b));
    expect(ks.at(-1)).toBe(DEPTH);
    expect(new Set(ks).size).toBeGreaterThanOrEqual(3);
    // One bar for engine and model: it never falls, and ends at the byte that it said.
    expect(seen).toEqual([...seen].sort((a, b) => a - b));
    expect(seen.at(-1)).toBe(total);
    expect(total).toBeGreaterThan(14_000_000);
    await done(page);
  }, 120_000);

  /** A page whose SDK comes in two scripts, of which the second does what the test says. */
  async function splitPage(onSecond: (route: Route) => Promise<void>) {
    await build({
      entryPoints: { page: fileURLToPath(new URL('./client-page.ts', import.meta.url)) },
      outdir: join(folder, 'split'),
      bundle: true,
      splitting: true,
      format: 'esm',
      logLevel: 'warning',
    });
    await writeFile(join(folder, 'split/index.html'), '<!doctype html><script type="module" src="page.js"></script>');
    const page = await (await browser.newContext(PHONE)).newPage();
    await page.route(/\/browser-client-\w+\.js$/, onSecond);
    const sockets: WebSocket[] = [];
    const heads: string[] = [];
    page.on('websocket', (socket) => sockets.push(socket));
    page.on('request', (request) => {
      if (request.url().endsWith('/plan-head.json')) heads.push(request.url());
    });
    await page.goto(`${site.origin}/split/index.html?gateway=${link.url}`);
    await page.waitForFunction(() => 'kit' in globalThis);
    return { page, sockets, heads };
  }

  test('connects and asks for the plan while the rest of it is on its way, once', async () => {
    let release = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const { page, sockets, heads } = await splitPage(async (route) => {
      await held;
      await route.continue();
    });
    await page.evaluate(
      (pictures) => kit.lines(pictures),
      LINES.map(({ png }) => png.toString('base64')),
    );
    const opened = page.evaluate(() => kit.open({ download: false }));
    await expect.poll(() => [sockets.length, heads.length]).toEqual([1, 1]);
    release();
    await opened;
    expect(await page.evaluate(() => kit.read(0))).toMatchObject({ text: LINES[0]?.text, route: { k: 0 } });
    expect([sockets.length, heads.length]).toEqual([1, 1]);
    await done(page);
  });

  test('leaves no connection behind where the rest of it cannot be had, or the options are wrong', async () => {
    let isGone = true;
    const { page, sockets } = await splitPage((route) => (isGone ? route.abort() : route.continue()));
    await expect(page.evaluate(() => kit.open())).rejects.toThrow('dynamically imported module');
    await expect.poll(() => sockets.map((socket) => socket.isClosed())).toEqual([true]);
    isGone = false;
    await page.reload();
    await page.waitForFunction(() => 'kit' in globalThis);
    await expect(
      page.evaluate(() => kit.open({ policy: { labels: { public: 'nowhere', x: 7 } } as never })),
    ).rejects.toThrow('policy');
    await expect.poll(() => sockets.map((socket) => socket.isClosed())).toEqual([true, true]);
    await done(page);
  });

  test('works offline after a visit, page and all', async () => {
    const page = await newPage();
    await page.evaluate(async () => {
      await navigator.serviceWorker.register('service-worker.js', { type: 'module' });
      await navigator.serviceWorker.ready;
      await kit.open();
    });
    await complete(page);
    expect(await page.evaluate(() => kit.availability())).toMatchObject({ status: 'available', reasons: [] });
    await page.context().setOffline(true);
    link.cut();
    await page.reload();
    await show(page);
    await page.evaluate(() => kit.open());
    await complete(page);
    const { text, route } = await page.evaluate(() => kit.read(1));
    expect(text).toBe(LINES[1]?.text);
    expect(route).toMatchObject({ k: DEPTH, provider: 'wasm', sent: [] });
    await done(page);
  });

  test('knows at the next visit what it learnt of the server at this one', async () => {
    const page = await newPage();
    await page.evaluate(() => kit.open());
    for (let i = 0; i < 4; i++) await page.evaluate(() => kit.read(0, { prefer: 'cloud' }));
    const serverRatio = () => page.evaluate(() => kit.client.diagnostics().estimates.server);
    const learnt = await serverRatio();
    expect(learnt).not.toBe(1);
    await page.evaluate(() => kit.client.close());
    const keptNames = () =>
      page.evaluate(async () => (await (await caches.open('tandem')).keys()).map(({ url }) => decodeURIComponent(url)));
    await expect.poll(keptNames).toContainEqual(expect.stringContaining(`estimates:${link.url}`));
    await page.reload();
    await show(page);
    await page.evaluate(() => kit.open());
    expect(await serverRatio()).toBe(learnt);
    await done(page);
  });

  test('is measured where browsers show it, and leaves no entry behind', async () => {
    const page = await newPage();
    await page.evaluate(() => kit.open({ download: false }));
    const { seen, kept, route } = await page.evaluate(async () => {
      const seen: { name: string; detail: unknown; duration: number }[] = [];
      const observed = new Promise<void>((resolve) => {
        new PerformanceObserver((list) => {
          for (const entry of list.getEntries() as PerformanceMeasure[]) {
            seen.push({ name: entry.name, detail: entry.detail, duration: entry.duration });
          }
          resolve();
        }).observe({ type: 'measure' });
      });
      const { route } = await kit.read(0);
      await observed;
      return { seen, kept: performance.getEntriesByType('measure').length, route };
    });
    const { k, tier, provider, bytesUp } = route;
    expect(seen).toEqual([
      { name: 'tandem.infer', detail: { k, tier, provider, bytesUp }, duration: expect.any(Number) },
    ]);
    expect(seen[0]?.duration).toBeGreaterThanOrEqual(route.timing.totalMs);
    expect(kept).toBe(0);
    await done(page);
  });

  test('gives 500 answers to 500 requests, each once, over a link that breaks at any moment', async () => {
    const page = await newPage();
    await page.evaluate(() => kit.open());
    await complete(page);
    let cuts = 0;
    const breaking = setInterval(() => {
      cuts++;
      link.drop();
    }, 700);
    const { texts, settled, ways } = await page.evaluate(async () => {
      let settled = 0;
      const texts: string[] = [];
      const ways: Record<string, number> = {};
      let next = 0;
      const worker = async () => {
        while (next < 500) {
          const line = next++ % 4;
          // Half of them would rather be sent: those are what a break hits.
          const { text, route } = await kit.read(line, line % 2 ? { prefer: 'cloud' } : {});
          settled++;
          texts.push(`${line} ${text}`);
          const way = route.fallback ? route.fallback.reason : route.k === 5 ? 'device' : 'sent';
          ways[way] = (ways[way] ?? 0) + 1;
        }
      };
      await Promise.all(Array.from({ length: 6 }, worker));
      return { texts, settled, ways };
    });
    clearInterval(breaking);
    expect(settled).toBe(500);
    expect(texts.filter((entry) => LINES[Number(entry[0])]?.text !== entry.slice(2))).toEqual([]);
    expect(cuts).toBeGreaterThan(5);
    // Some were hit, or this shows nothing.
    expect(ways['failed'] ?? 0).toBeGreaterThan(0);
    await done(page);
  }, 180_000);

  test('finishes by itself over a socket that is open and dead, notices, and comes back', async () => {
    const page = await newPage();
    await page.evaluate(() => kit.open());
    await complete(page);
    await page.evaluate(() => kit.read(0, { prefer: 'cloud' }));
    link.stall();
    const { text, route, ms } = await page.evaluate(() => kit.read(1, { prefer: 'cloud' }));
    expect(text).toBe(LINES[1]?.text);
    expect(route).toMatchObject({ k: DEPTH, fallback: { reason: 'late' }, sent: [{ outcome: 'late' }] });
    expect(ms).toBeLessThan(10_000);
    await page.waitForFunction(() => kit.client.state.link === 'connecting', undefined, { timeout: 40_000 });
    link.restore();
    await page.waitForFunction(() => kit.client.state.link === 'open', undefined, { timeout: 40_000 });
    await done(page);
  }, 120_000);

  test('is back within two seconds when a tab is resumed whose connection went meanwhile', async () => {
    const page = await newPage();
    await page.evaluate(() => kit.open());
    await page.waitForFunction(() => kit.client.state.link === 'open');
    await page.evaluate(() => {
      const seen: Record<string, number> = {};
      Object.assign(globalThis, { seen });
      kit.client.addEventListener('statechange', ({ detail }) => {
        seen[detail.link] = Date.now();
      });
    });
    // Headless pages are never hidden, so Chromium does not freeze them: their processes are stopped instead.
    const session = await browser.newBrowserCDPSession();
    const { processInfo } = await session.send('SystemInfo.getProcessInfo');
    const renderers = processInfo.filter(({ type }) => type === 'renderer').map(({ id }) => id);
    expect(renderers.length).toBeGreaterThan(0);
    for (const id of renderers) process.kill(id, 'SIGSTOP');
    link.cut();
    await new Promise((resolve) => setTimeout(resolve, 3000));
    link.restore();
    for (const id of renderers) process.kill(id, 'SIGCONT');
    const resumed = Date.now();
    await page.evaluate(() => document.dispatchEvent(new Event('resume')));
    await page.waitForFunction(() => 'connecting' in seen && kit.client.state.link === 'open');
    const { connecting, open } = await page.evaluate(() => seen);
    expect(connecting).toBeGreaterThanOrEqual(resumed - 50);
    expect((open as number) - resumed).toBeLessThan(2000);
    expect(await page.evaluate(() => kit.read(2, { prefer: 'cloud' }))).toMatchObject({
      text: LINES[2]?.text,
      route: { k: 0 },
    });
    await done(page);
  });

  test('goes over to another plan in the middle of a stream, and answers every frame that it takes', async () => {
    const other = await temporaryFolder();
    await cp(BUNDLE_DIR, other, { recursive: true });
    const plan = JSON.parse(await readFile(join(other, 'plan.json'), 'utf8')) as Plan;
    plan.size.max -= plan.size.step;
    plan.id = createHash('sha256').update(planContract(plan)).digest('hex');
    await writeFile(join(other, 'plan.json'), JSON.stringify(plan));
    const own = await startServer({ origins: [site.origin] });
    const ownLink = link;
    link = await shapeLink(own.url);
    const page = await newPage();
    await page.evaluate(() => kit.open());
    await complete(page);
    // Each frame would rather be sent, and beside the stream there are others under way.
    const reading = page.evaluate(async () => {
      const plans = new Set<string>();
      async function* frames() {
        for (let i = 0; i < 400 && plans.size < 2; i++) {
          plans.add(kit.client.plan.id);
          yield await createImageBitmap(kit.line(0));
          await new Promise((resolve) => setTimeout(resolve, 50));
        }
      }
      const texts: string[] = [];
      const asking = (async () => {
        while (plans.size < 2) {
          const reads = [1, 2].map((line) => kit.read(line, { prefer: 'cloud' }));
          for (const { text } of await Promise.all(reads)) texts.push(text);
        }
      })();
      const streamed: string[] = [];
      for await (const { outputs } of kit.client.stream(frames(), { label: 'public', prefer: 'cloud' })) {
        streamed.push(kit.textOf(outputs));
      }
      await asking;
      return { plans: [...plans], texts, streamed };
    });
    await new Promise((resolve) => setTimeout(resolve, 500));
    await own.kill();
    const successor = await startServer({
      origins: [site.origin],
      bundles: [other],
      port: Number(new URL(own.url).port),
    });
    const { plans, texts, streamed } = await reading;
    expect(plans.at(-1)).toBe(plan.id);
    expect(streamed.length).toBeGreaterThan(5);
    expect(streamed.filter((text) => text !== LINES[0]?.text)).toEqual([]);
    expect(texts.length).toBeGreaterThan(5);
    expect(texts.filter((text, i) => text !== LINES[1 + (i % 2)]?.text)).toEqual([]);
    await complete(page);
    expect(await page.evaluate(() => kit.read(3, { prefer: 'device' }))).toMatchObject({
      text: LINES[3]?.text,
      route: { k: DEPTH },
    });
    await done(page);
    await successor.kill();
    await link.close();
    link = ownLink;
    await rm(other, { recursive: true, force: true });
  }, 120_000);

  test('replaces a worker that was killed in the middle of a run', async () => {
    const page = await newPage();
    await page.evaluate(() => kit.open());
    await complete(page);
    const { text, workers } = await page.evaluate(async () => {
      const reading = kit.read(0, { prefer: 'device' });
      await new Promise((resolve) => setTimeout(resolve, 5));
      // It ends without a word: no event tells of it.
      kit.workers[0]?.terminate();
      const { text } = await reading;
      return { text, workers: kit.workers.length };
    });
    expect(text).toBe(LINES[0]?.text);
    expect(workers).toBe(2);
    await done(page);
  }, 60_000);

  test('rejects within 10 ms when aborted, whatever the worker is at', async () => {
    const page = await newPage();
    await page.evaluate(() => kit.open());
    await complete(page);
    const late = await page.evaluate(async () => {
      const found: number[] = [];
      for (let i = 0; i < 20; i++) {
        const controller = new AbortController();
        const reading = kit.read(0, { prefer: 'device', signal: controller.signal });
        await new Promise((resolve) => setTimeout(resolve, i));
        const aborted = performance.now();
        controller.abort();
        await reading.then(
          () => {},
          () => found.push(performance.now() - aborted),
        );
      }
      return found.sort((a, b) => a - b);
    });
    expect(late.length).toBeGreaterThan(9);
    // One of them the machine may have been away at.
    expect(late.at(-2)).toBeLessThan(10);
    await done(page);
  });

  test('does not use a provider that is wrong, and says so', async () => {
    const page = await newPage();
    await page.evaluate(() => kit.open({ workerUrl: './broken-worker.js' }));
    await complete(page);
    const { demoted } = await page.evaluate(() => kit.client.state);
    expect(demoted).toEqual([expect.stringMatching(/^broken, from segment 1 on: broken is wrong by [\d.]+/)]);
    expect(await page.evaluate(() => kit.read(0, { prefer: 'device' }))).toMatchObject({
      text: LINES[0]?.text,
      route: { provider: 'wasm', demoted },
    });
    await done(page);
  });

  test('does not load again what the page died of', async () => {
    const page = await newPage();
    await page.evaluate(async () => {
      const { postMessage } = Worker.prototype;
      // A load lasts.
      Worker.prototype.postMessage = function (message, options) {
        if (message.method !== 'load' || message.args.k < 2)
          postMessage.call(this, message, options as StructuredSerializeOptions);
      };
      await kit.open();
    });
    await page.waitForFunction(() => sessionStorage.getItem('tandem.under-way')?.includes('segment 3'));
    const session = await page.context().newCDPSession(page);
    const crashed = page.waitForEvent('crash');
    session.send('Page.crash').catch(() => {});
    await crashed;
    // Playwright has nothing more to do with such a page; the tab lives, and loads it again.
    const evaluate = async (expression: string) => {
      const options = { expression, awaitPromise: true, returnByValue: true };
      return (await session.send('Runtime.evaluate', options)).result.value as unknown;
    };
    await session.send('Page.navigate', { url: `${site.origin}/?gateway=${link.url}` });
    await expect.poll(() => evaluate(`'kit' in globalThis`)).toBe(true);
    await evaluate('kit.open()');
    expect(await evaluate('kit.client.prepare().catch(({ message }) => message)')).toContain(
      'the page died while it loaded segment 3',
    );
    expect(await evaluate('kit.client.state')).toMatchObject({ device: 'unavailable', segmentsReady: 2 });
    expect(await evaluate('kit.availability()')).toMatchObject({
      ...{ status: 'unavailable', bytesTotal: expect.any(Number) },
      reasons: [expect.stringContaining('the page died while it loaded segment 3')],
    });
    await evaluate(`kit.lines(['${LINES[0]?.png.toString('base64')}'])`);
    expect(await evaluate('kit.read(0)')).toMatchObject({ text: LINES[0]?.text });
    await done(page);
  });

  test('does not take for what a page died of what the page around its frame is at', async () => {
    const page = await newPage();
    const mark = await page.evaluate(async () => {
      await kit.open({ download: false });
      const loading = JSON.stringify([`${kit.client.plan.id.slice(0, 12)} segment 3`]);
      sessionStorage.setItem('tandem.under-way', loading);
      document.body.append(Object.assign(document.createElement('iframe'), { src: location.href }));
      return loading;
    });
    await expect.poll(() => page.frames().length).toBe(2);
    const frame = page.frames()[1] as Frame;
    await frame.waitForFunction(() => 'kit' in globalThis);
    const device = await frame.evaluate(async () => {
      await kit.open();
      await kit.client.prepare().catch(() => {});
      return kit.client.state.device;
    });
    expect(device).toBe('available');
    expect(await page.evaluate(() => sessionStorage.getItem('tandem.under-way'))).toBe(mark);
    await done(page);
  });

  test('does not blame what it was at in the background, where browsers end pages for the sake of others', async () => {
    const page = await newPage();
    const underWay = () => page.evaluate(() => sessionStorage.getItem('tandem.under-way'));
    await page.evaluate(async () => {
      const { postMessage } = Worker.prototype;
      // A load lasts.
      const loading = new Promise<void>((resolve) => {
        Worker.prototype.postMessage = function (message, options) {
          if (message.method === 'load') resolve();
          else postMessage.call(this, message, options as StructuredSerializeOptions);
        };
      });
      await kit.open();
      await loading;
    });
    expect(await underWay()).toContain('segment 1');
    await page.evaluate(() => document.dispatchEvent(new Event('visibilitychange', { bubbles: true })));
    expect(await underWay()).toBe('[]');
    await done(page);
  });

  test('has two clients on one page, of which neither takes the other for what a page died of', async () => {
    const page = await newPage();
    const states = await page.evaluate(async () => {
      await kit.open();
      const first = kit.client;
      await kit.open();
      await kit.availability();
      await Promise.all([first.prepare(), kit.client.prepare()]);
      return [first.state.device, kit.client.state.device];
    });
    expect(states).toEqual(['available', 'available']);
    await done(page);
  });

  test('runs on threads on a page that is isolated, and is right', async () => {
    site.show(folder, {
      'Cross-Origin-Opener-Policy': 'same-origin',
      'Cross-Origin-Embedder-Policy': 'credentialless',
    });
    const page = await newPage();
    expect(await page.evaluate(() => crossOriginIsolated)).toBe(true);
    await page.evaluate(() => kit.open({ threads: 2 }));
    await complete(page);
    expect(await page.evaluate(() => kit.read(0, { prefer: 'device' }))).toMatchObject({
      text: LINES[0]?.text,
      route: { provider: 'wasm, 2 threads' },
    });
    await done(page);
    site.show(folder);
  });

  test('runs in a worker of the app’s own, on as many threads as on a page', async () => {
    site.show(folder, {
      'Cross-Origin-Opener-Policy': 'same-origin',
      'Cross-Origin-Embedder-Policy': 'credentialless',
    });
    const script = `new Worker('page.js' + location.search, { type: 'module' })`;
    await writeFile(join(folder, 'in-worker.html'), `<script>${script}</script>`);
    const page = await (await browser.newContext(PHONE)).newPage();
    const [worker] = await Promise.all([
      page.waitForEvent('worker'),
      page.goto(`${site.origin}/in-worker.html?gateway=${link.url}`),
    ]);
    await expect.poll(() => worker.evaluate(() => 'kit' in globalThis)).toBe(true);
    await worker.evaluate((pictures) => kit.lines(pictures), [LINES[0]?.png.toString('base64') ?? '']);
    await worker.evaluate(() => Object.defineProperty(navigator, 'hardwareConcurrency', { value: 3 }));
    await worker.evaluate(() => kit.open());
    await worker.evaluate(() => kit.client.prepare());
    for (const [k, provider] of [
      [0, null],
      [DEPTH, 'wasm, 2 threads'],
    ] as const) {
      const read = await worker.evaluate((cut) => kit.read(0, { force: { k: cut } }), k);
      expect(read).toMatchObject({ text: LINES[0]?.text, route: { k, provider, fallback: null } });
    }
    await done(page);
    site.show(folder);
  });

  test('takes a photo of 12 megapixels bit by bit, and lets the page have its turn in between', async () => {
    const page = await newPage();
    expect(await page.evaluate(() => kit.photo())).toEqual({ differing: 0, draws: 12, turns: 12 });
    await done(page);
  });

  test('says in one sentence what is wrong with the engine’s address, and how to mend it', async () => {
    const page = await newPage();
    await page.evaluate(() => kit.open({ wasmUrl: '/index.html' }));
    await page.waitForFunction(() => kit.client.state.device === 'unavailable', undefined, { timeout: 60_000 });
    const { downloadError } = await page.evaluate(() => kit.client.state);
    expect(downloadError).toContain(`${site.origin}/index.html is a page or another file, not WebAssembly`);
    expect(downloadError).toContain('npx tandem copy-assets');
    await done(page);
  }, 90_000);

  test.each([
    ['is not there', './nowhere.js'],
    ['is served as another type', './index.html'],
  ])('says where the worker is to be, and how it comes there, where it %s', async (_, workerUrl) => {
    const page = await newPage();
    const warnings: string[] = [];
    page.on('console', (message) => {
      if (message.type() === 'warning') warnings.push(message.text());
    });
    await page.evaluate((url) => kit.open({ workerUrl: url }), workerUrl);
    await page.waitForFunction(() => kit.client.state.downloadError);
    const { downloadError } = await page.evaluate(() => kit.client.state);
    expect(downloadError).toContain('serve worker.js beside the SDK, as JavaScript (npx tandem copy-assets DIR)');
    expect(warnings).toEqual([`tandem: ${downloadError}`]);
    expect(await page.evaluate(() => kit.read(0))).toMatchObject({ text: LINES[0]?.text, route: { k: 0 } });
    await done(page);
  });

  test('says beforehand that a device without WebAssembly will run nothing', async () => {
    const page = await (await browser.newContext(PHONE)).newPage();
    await page.addInitScript(() => Reflect.deleteProperty(globalThis, 'WebAssembly'));
    await show(page);
    expect(await page.evaluate(() => kit.availability())).toMatchObject({
      ...{ status: 'unavailable', reasons: ['there is no WebAssembly here'] },
    });
    await done(page);
  });

  test(
    'gives its memory back when it is closed, and does not grow or block the page while it runs',
    async () => {
      const page = await newPage();
      await page.evaluate(() => kit.open());
      await complete(page);
      const session = await page.context().newCDPSession(page);
      const workerUsage = await usageOfWorker(session);
      /** Of the page and of the worker, whose WebAssembly memory is backing storage. */
      const memory = async () => {
        await session.send('HeapProfiler.collectGarbage');
        const { usedSize } = await session.send('Runtime.getHeapUsage');
        return { page: usedSize, worker: await workerUsage() };
      };
      const run = (count: number) =>
        page.evaluate(async (requests) => {
          for (let i = 0; i < requests; i++) await kit.read(i % 4, i % 2 ? { prefer: 'cloud' } : { prefer: 'device' });
        }, count);
      // What is compiled and made once, on first use, is there by then.
      await run(REQUESTS > 500 ? 500 : 60);
      await page.evaluate(() => {
        kit.longTasks.length = 0;
      });
      const before = await memory();
      const heldBefore = await heldBytes(session);
      for (let ran = 0; ran < REQUESTS; ran += 500) {
        await run(Math.min(500, REQUESTS - ran));
        if (REQUESTS > 500) process.stderr.write(`after ${ran + 500}: ${JSON.stringify(await memory())}\n`);
      }
      const after = await memory();
      process.stderr.write(`memory after ${REQUESTS} requests: ${JSON.stringify({ before, after })}\n`);
      const held = (await heldBytes(session)) - heldBefore;
      process.stderr.write(`of that, what is not the engine's compiled code has grown by ${held} bytes\n`);
      // However many requests there were.
      expect(held).toBeLessThan(10_000);
      expect(after.page / before.page).toBeLessThan(1.05);
      expect(after.worker / before.worker).toBeLessThan(1.05);
      const longTasks = await page.evaluate(() => kit.longTasks);
      expect(longTasks).toEqual([]);
      const privateBefore = await privateBytes(browser);
      await page.evaluate(() => kit.client.close());
      await expect.poll(() => page.workers().length).toBe(0);
      // What the worker had, the operating system has again: most of it at once, for allocators keep some.
      await expect
        .poll(async () => privateBefore - (await privateBytes(browser)), { timeout: 20_000 })
        .toBeGreaterThan(0.75 * after.worker);
      await done(page);
    },
    120_000 + REQUESTS * 200,
  );
});
