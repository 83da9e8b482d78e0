import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import type { Plan } from '../../shared/plan.ts';
import { parsePlan } from '../../shared/plan-schema.ts';
import { launchChromium } from '../helpers/chromium.ts';
import { BUNDLE_DIR, tandem, temporaryFolder } from '../helpers/processes.ts';

const chromium = inject('chromium');

describe.runIf(chromium.path)('the report of a bundle, opened as a file', () => {
  let browser: Browser;
  let page: Page;
  const errors: string[] = [];
  const requests: string[] = [];
  beforeAll(async () => {
    browser = await launchChromium(chromium.path ?? '');
    page = await browser.newPage();
    page.on('pageerror', (error) => errors.push(error.message));
    page.on('request', (request) => requests.push(request.url()));
    await page.goto(`file://${join(BUNDLE_DIR, 'report.html')}`);
  });
  afterAll(() => browser.close());

  test('shows the chain, every legal boundary, and names those that are deployed; and asks for nothing', async () => {
    expect(await page.locator('#chain div').count()).toBe(5);
    expect(await page.locator('circle.boundary').count()).toBeGreaterThan(300);
    const labels = await page.locator('#boundaries text').allTextContents();
    for (const k of [1, 2, 3, 4]) expect(labels).toContain(`k = ${k}`);
    expect(requests).toHaveLength(1);
    expect(errors).toEqual([]);
  });

  test('shows all of what it says of a segment, on a desk and on a phone', async () => {
    for (const width of [1280, 390]) {
      const narrow = await browser.newPage({ viewport: { width, height: 844 } });
      await narrow.goto(page.url());
      const cut = (boxes: readonly Element[]) => boxes.filter((box) => box.scrollWidth > box.clientWidth).length;
      expect(await narrow.locator('#chain div').evaluateAll(cut)).toBe(0);
      await narrow.close();
    }
  });

  test('says the best cut for the link and the device that the reader sets', async () => {
    const best = () => page.locator('#best').textContent();
    const set = (id: string, value: string) => page.locator(`#${id}`).fill(value);
    await set('device', '3.5');
    await set('mbps', '2');
    await set('rtt', '0');
    expect(await best()).toContain('k = 0');
    await set('device', '0');
    await set('mbps', '-1.3');
    await set('rtt', '300');
    expect(await best()).toContain('k = 5, nothing sent');
  });

  test('calls nothing best that clients leave out for its accuracy', async () => {
    // Here a JPEG of quality 85 is the fastest, which loses 4 points.
    await page.locator('#device').fill('1');
    await page.locator('#mbps').fill('0.8');
    await page.locator('#rtt').fill('40');
    expect(await page.locator('#best').textContent()).toContain('k = 0, webp-80');
    expect(await page.locator('#times').textContent()).toContain('63 ms, loses 4.0 points');
  });

  test('says what each step of storing the segments saved, and of all together', async () => {
    const plan = await readPlan();
    const rows = (await page.locator('#sizes tr').allTextContents()).slice(1);
    expect(rows).toHaveLength(plan.segments.length + 1);
    const cells = await page.locator('#sizes tr:last-child td').allTextContents();
    expect(cells.slice(0, 2)).toEqual(['wasm', 'all']);
    const stored = plan.segments.reduce((sum, { targets }) => sum + (targets['wasm']?.bytes ?? 0), 0);
    const float = plan.segments.reduce((sum, { server }) => sum + server.bytes, 0);
    expect(cells[2]).toBe(`${(float / 1e6).toFixed(2)} MB`);
    const megabytes = cells.slice(2).map((cell) => Number.parseFloat(cell));
    expect(megabytes[1]).toBeLessThan(0.3 * (megabytes[0] ?? 0));
    expect(megabytes[2]).toBe(Number((stored / 1e6).toFixed(2)));
    expect(megabytes[2]).toBeLessThanOrEqual(megabytes[1] ?? 0);
    expect(megabytes[3]).toBeLessThan(megabytes[2] ?? 0);
  });

  test('plots every recipe that was tried, rings the one that was taken, and tells of every layer', async () => {
    expect(await page.locator('#search').isVisible()).toBe(true);
    expect(await page.locator('circle.tried').count()).toBeGreaterThan(5);
    expect(await page.locator('#taken').count()).toBe(1);
    expect(await page.locator('#layers tr').count()).toBeGreaterThan(40);
  });

  test('is no wider than a phone, as that of simulate is not: tables and plots alone scroll sideways, each in a box of its own', async () => {
    const simulated = join(await temporaryFolder(), 'simulated.html');
    const planPath = join(BUNDLE_DIR, 'plan.json');
    await tandem('simulate', '--plan', planPath, '--rate', '1', '--requests', '30', '--html', simulated);
    const phone = await browser.newPage({ viewport: { width: 390, height: 844 } });
    for (const path of [join(BUNDLE_DIR, 'report.html'), simulated]) {
      await phone.goto(`file://${path}`);
      expect(await phone.evaluate(() => document.documentElement.scrollWidth)).toBe(390);
      const isBoxed = (wide: readonly Element[]) =>
        wide.every(({ parentElement }) => (parentElement?.getBoundingClientRect().right ?? Infinity) <= 390);
      expect(await phone.locator('table, svg').evaluateAll(isBoxed)).toBe(true);
      const label = phone.locator('svg text').filter({ visible: true }).first();
      expect((await label.boundingBox())?.height).toBeGreaterThan(8);
    }
    await phone.close();
  });

  test('has the plan’s own figures', async () => {
    const plan = await readPlan();
    expect(await page.locator('#accuracy tr').count()).toBe(1 + (plan.measured?.accuracy.length ?? 0));
    expect(await page.locator('#fusions').textContent()).toContain('LayerNormalization');
    expect(await page.locator('#places tr').count()).toBe(1 + Object.keys(plan.measured?.timeMs ?? {}).length);
    // The gates of hard-swish read a convolution that the product reads as well.
    expect(await page.locator('#unfused').textContent()).toMatch(
      /HardSigmoid\d+what the Conv makes is read by 2 nodes/,
    );
  });
});

async function readPlan(): Promise<Plan> {
  const path = join(BUNDLE_DIR, 'plan.json');
  return parsePlan(JSON.parse(await readFile(path, 'utf8')), path);
}
