import type { Browser, CDPSession, Page } from 'playwright-core';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { decodeFrame } from '../../shared/protocol/frames.ts';
import type { ClientMessage } from '../../shared/protocol/messages.ts';
import { belowPath } from '../helpers/below-path.ts';
import { launchChromium, PHONE } from '../helpers/chromium.ts';
import { type CleanLine, cleanLines } from '../helpers/clean-lines.ts';
import { type ServerProcess, startDemo } from '../helpers/processes.ts';

const chromium = inject('chromium');
const DEPTH = 5;
/** What is waited for comes when a machine that does other things as well has come to it. */
const BUSY = { timeout: 20_000 };

describe.skipIf(chromium.path === null)('the demo in Chromium, on a phone’s screen', () => {
  let browser: Browser;
  let server: ServerProcess;
  beforeAll(async () => {
    browser = await launchChromium(chromium.path ?? '');
    server = await startDemo();
  });
  afterAll(async () => {
    await browser?.close();
    await server?.kill();
  });

  test(`reads 20 lines at k = 0, at every split and at k = ${DEPTH}, and says where they ran`, async () => {
    const { page, errors } = await openPage(browser, server.url);
    await segmentsReady(page);
    for (let k = 0; k <= DEPTH; k++) {
      const misread: string[] = [];
      for (const line of cleanLines(20)) {
        const { text, summary } = await read(page, line, { k });
        if (text !== line.text) misread.push(`${line.text} as ${text}`);
        expect(summary).toContain(
          k === 0 ? 'all in the cloud' : k === DEPTH ? 'nothing sent' : `after segment ${k} of`,
        );
      }
      expect(misread, `k = ${k}`).toEqual([]);
    }
    expect(errors).toEqual([]);
    await page.close();
  }, 180_000);

  test('reads the part of a photo that is marked, also where its EXIF turns it', async () => {
    const { page } = await openPage(browser, server.url);
    const [line] = cleanLines(1) as [CleanLine];
    // The line is what is marked once the box has gone up ten steps.
    const [width, height] = [line.picture.width / 0.9, line.picture.height / 0.16];
    const upright = await sharp(line.png)
      .extend({
        ...{ top: Math.round(0.22 * height), bottom: Math.round(0.62 * height) },
        ...{ left: Math.round(0.05 * width), right: Math.round(0.05 * width) },
        background: 'white',
      })
      .toBuffer();
    // As a phone that is held upright stores it.
    const stored = await sharp(upright).rotate(-90).withMetadata({ orientation: 6 }).jpeg({ quality: 95 }).toBuffer();
    await page.click('label:has(input[name="source"][value="photo"])');
    for (const buffer of [upright, stored]) {
      await page.setInputFiles('#file', { name: 'photo', mimeType: 'image/*', buffer });
      await page.waitForFunction(() => document.getElementById('box')?.ariaValueText?.includes('top 42 %'));
      for (let step = 0; step < 10; step++) await page.press('#box', 'ArrowUp');
      await page.click('#read');
      await page.waitForSelector('#read:not([disabled])');
      expect(await page.textContent('#text-out')).toBe(line.text);
    }
    await page.close();
  });

  test('reads the photo that it shows, also where another was to be chosen and was not', async () => {
    const { page } = await openPage(browser, server.url);
    const [line] = cleanLines(1) as [CleanLine];
    await read(page, line, {});
    // What Chromium does where its dialog is left.
    await page.setInputFiles('#file', []);
    await page.click('#read');
    await page.waitForSelector('#answer:not([hidden])');
    expect(await page.textContent('#text-out')).toBe(line.text);
    await page.close();
  });

  test('answers the first request before any segment is here', async () => {
    const { page } = await openPage(browser, server.url, (page) =>
      page.route(/\.wasm\.onnx$/, () => {
        // Never answered.
      }),
    );
    const [line] = cleanLines(1);
    const { text, summary } = await read(page, line as CleanLine, {});
    expect(text).toBe(line?.text);
    expect(summary).toContain('all in the cloud');
    await page.close();
  });

  test('works below a path, where a proxy has put it', async () => {
    const proxy = await belowPath(server.url, '/tandem/');
    const { page, errors } = await openPage(browser, proxy.url);
    await segmentsReady(page);
    const [line] = cleanLines(1);
    expect(await read(page, line as CleanLine, { k: 0 })).toMatchObject({ text: line?.text });
    expect(errors).toEqual([]);
    await page.close();
    proxy.close();
  });

  test('sends nothing that policy forbids: no request leaves under secret, no picture under personal', async () => {
    const { page, sent } = await openPage(browser, server.url);
    await segmentsReady(page);
    const [line] = cleanLines(1);
    const secret = await read(page, line as CleanLine, { label: 'secret' });
    expect([secret.text, secret.receipt]).toEqual([line?.text, 'Nothing left this device for this request.']);
    expect(sent().filter(({ type }) => type === 'infer')).toEqual([]);
    const refused = await read(page, line as CleanLine, { label: 'personal', k: 0 });
    expect(refused.error).toContain('may not be sent');
    expect(sent().filter(({ type }) => type === 'infer')).toEqual([]);
    const personal = await read(page, line as CleanLine, { label: 'personal', k: 3 });
    expect(personal.receipt).toMatch(
      /^\d+ bytes left this device under the label personal: boundary 3 as \S+ \(\d+ bytes, answered\)\. /,
    );
    expect(personal.receipt).toMatch(
      /The gateway received \d+ bytes: boundary 3 \(p2o.AveragePool.1\) as .+ label personal/,
    );
    expect(personal.receipt).toMatch(/give away at least \d+(\.\d+)? %\. Of the answer the gateway has learned: /);
    expect(personal.receiptCheck).toEqual(['Receipt, signed by the gateway']);
    expect(sent().filter(({ type }) => type === 'infer')).toMatchObject([{ k: 3, label: 'personal' }]);
    await page.close();
  });

  test('shows the receipt of a reply that came too late when it comes', async () => {
    const own = await startDemo();
    const { page, sent } = await openPage(browser, own.url);
    await segmentsReady(page);
    const [line] = cleanLines(1);
    own.child.kill('SIGSTOP');
    const late = await read(page, line as CleanLine, { k: 3 });
    expect(sent().filter(({ type }) => type === 'infer')).toHaveLength(1);
    expect(late).toMatchObject({ text: line?.text, receiptCheck: [] });
    expect(late.receipt).toMatch(/There is no receipt for it\.$/);
    own.child.kill('SIGCONT');
    await expect.poll(() => page.evaluate(receiptChecks), BUSY).toEqual(['Receipt, signed by the gateway']);
    const text = await page.evaluate(() => document.getElementById('receipt')?.textContent);
    expect(text).toMatch(/late\)\. The gateway received \d+ bytes: boundary 3 /);
    await own.kill();
    await page.close();
  });

  test('still answers when the gateway is killed with a request in its hands', async () => {
    const own = await startDemo();
    const { page, sent } = await openPage(browser, own.url);
    await segmentsReady(page);
    const [line] = cleanLines(1);
    own.child.kill('SIGSTOP');
    const reading = read(page, line as CleanLine, { k: 3 });
    await expect.poll(() => sent().some(({ type }) => type === 'infer'), BUSY).toBe(true);
    await own.kill();
    const { text, fallback } = await reading;
    expect(text).toBe(line?.text);
    expect(fallback).toContain('The device gave the answer');
    // And goes on without it.
    expect((await read(page, line as CleanLine, {})).text).toBe(line?.text);
    await page.close();
  });

  test('works on a page that is no secure context, as a phone sees a laptop', async () => {
    const other = await launchChromium(chromium.path ?? '', ['--host-resolver-rules=MAP tandem.test 127.0.0.1']);
    const { page, errors } = await openPage(other, `http://tandem.test:${new URL(server.url).port}`);
    expect(await page.evaluate(() => isSecureContext)).toBe(false);
    await segmentsReady(page);
    const [line] = cleanLines(1);
    expect((await read(page, line as CleanLine, { k: DEPTH })).text).toBe(line?.text);
    expect(errors).toEqual([]);
    await other.close();
  });

  test('is worked with keys alone', async () => {
    const { page } = await openPage(browser, server.url);
    const focused = () => page.evaluate(() => document.activeElement?.id);
    await page.focus('#text');
    await page.keyboard.press('Enter');
    await page.waitForSelector('#answer:not([hidden])');
    await page.focus('#read');
    await page.keyboard.press('Enter');
    await page.waitForSelector('#answer:not([hidden])');
    await page.waitForSelector('#read:not([disabled])');
    expect(await focused()).toBe('read');

    await page.click('label:has(input[name="source"][value="photo"])');
    const [line] = cleanLines(1);
    await page.setInputFiles('#file', {
      name: 'line.png',
      mimeType: 'image/png',
      buffer: line?.png ?? Buffer.alloc(0),
    });
    await page.waitForSelector('#crop:not([hidden])');
    await page.focus('#file');
    await page.keyboard.press('Tab');
    expect(await focused()).toBe('box');
    await page.keyboard.press('Shift+ArrowLeft');
    await page.keyboard.press('Shift+ArrowUp');
    await page.keyboard.press('ArrowRight');
    const box = () => page.evaluate(() => document.getElementById('box')?.ariaValueText);
    expect(await box()).toBe('left 2 %, top 0 %, width 98 %, height 98 %');
    await page.close();
  });

  test('shows its controls within the screen’s width', async () => {
    const { page } = await openPage(browser, server.url);
    const width = () => page.evaluate(() => document.documentElement.scrollWidth);
    expect(await width()).toBe(PHONE.viewport.width);
    await segmentsReady(page);
    // A small phone's, enlarged to 200 %.
    await page.setViewportSize({ width: 180, height: 370 });
    await expect.poll(width).toBe(180);
    await page.close();
  });
});

interface OpenPage {
  readonly page: Page;
  /** What went wrong on the page. */
  readonly errors: readonly string[];
  /** Messages that left through the page's WebSockets. */
  sent(): ClientMessage[];
}

async function openPage(browser: Browser, url: string, prepare?: (page: Page) => Promise<unknown>): Promise<OpenPage> {
  const context = await browser.newContext(PHONE);
  const page = await context.newPage();
  const errors: string[] = [];
  page.on('pageerror', (error) => errors.push(error.message));
  page.on('console', (message) => {
    if (message.type() === 'error') errors.push(message.text());
  });
  const session: CDPSession = await context.newCDPSession(page);
  await session.send('Network.enable');
  const frames: Buffer[] = [];
  session.on('Network.webSocketFrameSent', ({ response }) => {
    // Opcode 2: binary, which the protocol hands over as base64.
    if (response.opcode === 2) frames.push(Buffer.from(response.payloadData, 'base64'));
  });
  await prepare?.(page);
  await page.goto(url);
  await page.waitForSelector('#read:not([disabled])');
  return { page, errors, sent: () => frames.map((frame) => decodeFrame(frame).header as ClientMessage) };
}

async function segmentsReady(page: Page): Promise<void> {
  const text = `cloud connected · ${DEPTH}/${DEPTH} segments`;
  await page.waitForFunction((expected) => document.getElementById('status-text')?.textContent === expected, text);
}

/** What the page says of the signatures. */
function receiptChecks(): string[] {
  return Array.from(document.querySelectorAll('#receipts summary'), ({ textContent }) => textContent ?? '');
}

/** Uploads a line as a photo, chooses label and cut, presses the button and reads the page. */
async function read(page: Page, line: CleanLine, { label = 'public', k }: { label?: string; k?: number }) {
  await page.click('label:has(input[name="source"][value="photo"])');
  await page.setInputFiles('#file', { name: 'line.png', mimeType: 'image/png', buffer: line.png });
  await page.waitForFunction(() => document.querySelector<HTMLImageElement>('#photo')?.complete);
  await page.click(`label:has(input[name="label"][value="${label}"])`);
  await page.selectOption('#cut', k === undefined ? '' : String(k));
  await page.evaluate(() => {
    for (const id of ['text-out', 'summary', 'fallback', 'error']) {
      const element = document.getElementById(id);
      if (element) element.textContent = '';
    }
  });
  await page.click('#read');
  await page.waitForFunction(
    () => document.getElementById('text-out')?.textContent || document.getElementById('error')?.textContent,
  );
  await page.waitForSelector('#read:not([disabled])');
  const textOf = (id: string) => page.evaluate((name) => document.getElementById(name)?.textContent ?? '', id);
  return {
    text: await textOf('text-out'),
    summary: await textOf('summary'),
    fallback: await textOf('fallback'),
    error: await textOf('error'),
    receipt: await textOf('receipt'),
    receiptCheck: await page.evaluate(receiptChecks),
  };
}
