/** Segments in a real browser: how they come beside requests, and what is kept of them. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, test } from 'vitest';
import type { BrowserClient } from '../../client/browser.ts';
import { ORT_WASM } from '../../client/ort-release.ts';
import { type ShapedLink, shapeLink } from '../../client/testkit/link-shaper.ts';
import type { Plan, PlanFile } from '../../shared/plan.ts';
import { PHONE } from '../helpers/chromium.ts';
import { cleanLines } from '../helpers/clean-lines.ts';
import { BUNDLE_DIR, startServer } from '../helpers/processes.ts';
import { type SdkSite, sdkSite } from '../helpers/sdk-site.ts';
import type { Kit } from './client-page.ts';

declare const kit: Kit & { client: BrowserClient };

const chromium = inject('chromium');
const DEPTH = 5;
const LINES = cleanLines(1);

describe.skipIf(chromium.path === null)('what the SDK downloads', () => {
  let sdk: SdkSite;
  let browser: Browser;
  let link: ShapedLink;
  beforeAll(async () => {
    // By another name than that of the machine itself a page is no secure context.
    const chromiumFlags = ['--host-resolver-rules=MAP tandem.test 127.0.0.1'];
    sdk = await sdkSite(chromium.path ?? '', { scripts: {}, chromiumFlags });
    ({ browser } = sdk);
  });
  afterAll(() => sdk?.close());
  beforeEach(async () => {
    link = await shapeLink(sdk.gateway.url);
  });
  afterEach(() => link.close());

  /** On the link. */
  const newPage = () => sdk.newPage(link.url, LINES);
  const show = (page: Page) => sdk.show(page, link.url, LINES);
  const complete = (page: Page) => page.evaluate(() => kit.client.prepare());
  const done = (page: Page) => page.context().close();

  test('answers from the cloud as soon while segments come, which yield the link to requests under way', async () => {
    link.set({ delayMs: 25, upBytesPerS: 500_000, downBytesPerS: 500_000 });
    const page = await newPage();
    const { beside, alone } = await page.evaluate(async () => {
      await kit.open();
      const timesWhile = async (goesOn: (soFar: number) => boolean) => {
        const times: number[] = [];
        while (goesOn(times.length)) {
          times.push((await kit.read(0, { prefer: 'cloud' })).ms);
          await new Promise((resolve) => setTimeout(resolve, 100));
        }
        return times;
      };
      const ready = () => kit.client.state.segmentsReady;
      // The engine comes first, and on another link.
      await timesWhile(() => ready() === 0);
      const whileTheyCome = await timesWhile(() => ready() < 5);
      return { beside: whileTheyCome, alone: await timesWhile((soFar) => soFar < 15) };
    });
    const median = (values: number[]) => values.toSorted((a, b) => a - b)[values.length >> 1] as number;
    expect(beside.length).toBeGreaterThan(9);
    // In one piece each they had a quarter of a megabyte on the link at any time: five times as long.
    expect(median(beside) / median(alone)).toBeLessThan(2);
    await done(page);
  }, 90_000);

  test('goes on with a segment where the link broke, from the byte that it had', async () => {
    link.set({ delayMs: 5, upBytesPerS: 1_000_000, downBytesPerS: 1_000_000 });
    const page = await newPage();
    const asked: { url: string; from: number; to: number }[] = [];
    const statuses = new Set<number>();
    page.on('request', (request) => {
      const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers()['range'] ?? '');
      if (range) asked.push({ url: request.url(), from: Number(range[1]), to: Number(range[2]) + 1 });
    });
    page.on('response', (response) => {
      if (response.request().headers()['range']) statuses.add(response.status());
    });
    await page.evaluate(() => kit.open());
    const { bytes: engine } = ORT_WASM;
    const loaded = () => page.evaluate(() => kit.client.state.bytesLoaded);
    await expect.poll(loaded, { timeout: 30_000, interval: 10 }).toBeGreaterThan(engine + 600_000);
    link.drop();
    // It is tried again after a second.
    await new Promise((resolve) => setTimeout(resolve, 400));
    const had = await loaded();
    const before = asked.length;
    await complete(page);
    expect([...statuses]).toEqual([206]);
    const plan: Plan = JSON.parse(await readFile(join(BUNDLE_DIR, 'plan.json'), 'utf8'));
    const files = plan.segments.map(({ targets }) => targets['wasm'] as PlanFile);
    const bytesOf = (some: readonly PlanFile[]) => some.reduce((sum, { bytes }) => sum + bytes, 0);
    const next = asked[before];
    const k = files.findIndex(({ sha256 }) => next?.url.includes(sha256));
    // Engine, assets and the segments before it have come whole.
    const whole = engine + bytesOf(Object.values(plan.assets)) + bytesOf(files.slice(0, k));
    expect(whole + (next?.from ?? Number.NaN)).toBe(had);
    const model = bytesOf(files);
    const sizes = asked.map(({ from, to }) => to - from);
    const total = sizes.reduce((sum, size) => sum + size, 0);
    // The model once, and what was on its way.
    expect(total).toBeGreaterThan(model);
    expect(total - model).toBeLessThan(2 * Math.max(...sizes));
    // Beside it plan and connection.
    expect(link.passed.down - total).toBeLessThan(500_000);
    await done(page);
  }, 60_000);

  test('fetches nothing where the user saves data, until it is asked to', async () => {
    const page = await newPage();
    const session = await page.context().newCDPSession(page);
    await session.send('Emulation.setDataSaverOverride', { dataSaverEnabled: true });
    await page.evaluate(() => kit.open());
    expect(await page.evaluate(() => kit.read(0, { prefer: 'device' }))).toMatchObject({
      text: LINES[0]?.text,
      route: { k: 0 },
    });
    expect(await page.evaluate(() => kit.client.state)).toMatchObject({ device: 'downloadable', bytesLoaded: 0 });
    const { status, reasons } = await page.evaluate(() => kit.availability());
    expect([status, reasons.at(-1)]).toEqual(['downloadable', expect.stringContaining('asked to save data')]);
    await complete(page);
    expect(await page.evaluate(() => kit.read(0, { prefer: 'device' }))).toMatchObject({ route: { k: DEPTH } });
    await done(page);
  });

  test('works from memory where the storage is full', async () => {
    const page = await newPage();
    const session = await page.context().newCDPSession(page);
    await session.send('Storage.overrideQuotaForOrigin', { origin: sdk.site.origin, quotaSize: 1000 });
    await page.evaluate(() => kit.open());
    await complete(page);
    expect(await page.evaluate(() => kit.read(0, { prefer: 'device' }))).toMatchObject({ text: LINES[0]?.text });
    expect(await page.evaluate(() => kit.availability())).toMatchObject({ status: 'downloadable', bytesKept: 0 });
    await done(page);
  });

  test('leaves it to the browser’s own cache over plain http, where there is no other: the next visit fetches nothing', async () => {
    const own = await startServer({ origins: ['*'] });
    const toOwn = await shapeLink(own.url);
    const named = (url: string) => url.replace('127.0.0.1', 'tandem.test');
    const page = await (await browser.newContext(PHONE)).newPage();
    const down: number[] = [];
    for (let visit = 0; visit < 2; visit++) {
      const before = toOwn.passed.down;
      await page.goto(`${named(sdk.site.origin)}/?gateway=${named(toOwn.url)}`);
      await page.waitForFunction(() => 'kit' in globalThis);
      expect(await page.evaluate(() => isSecureContext)).toBe(false);
      await page.evaluate(() => kit.open());
      await complete(page);
      down.push(toOwn.passed.down - before);
    }
    const [first, second] = down as [number, number];
    expect(first).toBeGreaterThan(2_000_000);
    // Plan and connection.
    expect(second).toBeLessThan(100_000);
    await done(page);
    await toOwn.close();
    await own.kill();
  });

  test('heals what was kept and is broken', async () => {
    const page = await newPage();
    await page.evaluate(() => kit.open());
    await complete(page);
    const broken = await page.evaluate(async () => {
      const cache = await caches.open('tandem');
      const keys = (await cache.keys()).filter(({ url }) => /[0-9a-f]{64}$/.test(url));
      for (const key of keys) await cache.put(key, new Response('broken'));
      return keys.length;
    });
    expect(broken).toBe(DEPTH + 2);
    await show(page);
    await page.evaluate(() => kit.open());
    await complete(page);
    const wrong = await page.evaluate(async () => {
      const cache = await caches.open('tandem');
      const names: string[] = [];
      for (const key of await cache.keys()) {
        const [name] = /[0-9a-f]{64}$/.exec(key.url) ?? [];
        const content = await (await cache.match(key))?.arrayBuffer();
        if (!name || !content) continue;
        const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', content));
        const hex = Array.from(hash, (byte) => byte.toString(16).padStart(2, '0')).join('');
        if (hex !== name) names.push(name);
      }
      return names;
    });
    expect(wrong).toEqual([]);
    expect(await page.evaluate(() => kit.read(0, { prefer: 'device' }))).toMatchObject({ text: LINES[0]?.text });
    await done(page);
  });

  test('fetches a file once for two tabs that need it at the same time', async () => {
    const context = await browser.newContext(PHONE);
    const [one, other] = [await context.newPage(), await context.newPage()];
    const asked: string[] = [];
    const paths = new Set<string>();
    context.on('request', (request) => {
      const { pathname } = new URL(request.url());
      // The character set is the app's own to fetch; engine and segments come once.
      if (!/\.wasm|\/[0-9a-f]{64}\//.test(pathname) || pathname.endsWith('.txt')) return;
      paths.add(pathname);
      asked.push(`${pathname} ${request.headers()['range'] ?? 'whole'}`);
    });
    for (const page of [one, other]) await show(page);
    await Promise.all([one, other].map((page) => page.evaluate(() => kit.open())));
    await Promise.all([one, other].map(complete));
    expect(asked.length).toBe(new Set(asked).size);
    expect(asked.filter((each) => /whole|bytes=0-/.test(each))).toHaveLength(DEPTH + 1);
    expect(paths.size).toBe(DEPTH + 1);
    for (const page of [one, other]) {
      expect(await page.evaluate(() => kit.read(0, { prefer: 'device' }))).toMatchObject({ text: LINES[0]?.text });
    }
    await context.close();
  });

  test('says in one tab what is on its way in another, and when it is there', async () => {
    link.set({ delayMs: 5, upBytesPerS: 1_000_000, downBytesPerS: 300_000 });
    const context = await browser.newContext(PHONE);
    const [one, other] = [await context.newPage(), await context.newPage()];
    for (const page of [one, other]) await show(page);
    const told = () => other.evaluate(() => kit.availability());
    expect(await told()).toMatchObject({ status: 'downloadable', bytesKept: 0 });
    await one.evaluate(() => kit.open());
    await expect.poll(told, { timeout: 10_000 }).toMatchObject({ status: 'downloading' });
    link.set({ downBytesPerS: Number.POSITIVE_INFINITY });
    await complete(one);
    const { status, reasons, bytesKept, bytesTotal } = await told();
    expect({ status, reasons, bytesKept }).toEqual({ status: 'available', reasons: [], bytesKept: bytesTotal });
    await context.close();
  });
});
