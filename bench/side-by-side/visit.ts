/** One visit of one contender: a fresh browser context, so that nothing is kept from before, over a link of its own. */
import { readFile } from 'node:fs/promises';
import type { Browser, CDPSession, Page } from 'playwright-core';
import { type LinkConditions, shapeLink } from '../../client/testkit/link-shaper.ts';
import { boundedQueue } from './bounded-queue.ts';
import type { Mark, PageGlobals, Report, Task } from './visited.ts';

export interface Bytes {
  readonly up: number;
  readonly down: number;
}

export interface Memory {
  /** Of the page's own thread, in bytes. */
  readonly jsHeap: number;
  /** Linear memories of the page and its workers. */
  readonly wasm: number;
  /** What the page's process has for itself; NaN where the system does not say. */
  readonly process: number;
}

export interface Visit extends Report {
  /** What had passed the link by then. */
  readonly passed: Readonly<Partial<Record<Mark, Bytes>>>;
  readonly memory: Memory;
}

export interface Conditions extends LinkConditions {
  /** What may stand before the link on its way down. */
  readonly queueBytes: number;
}

const WINDOW_MS = 1000;

const PHONE = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true };

/** @param path of the page, at the origin */
export async function visit(
  browser: Browser,
  { origin, path }: { readonly origin: string; readonly path: string },
  task: Task,
  conditions: Conditions,
): Promise<Visit> {
  let passedDown = () => 0;
  const queue = await boundedQueue(origin, conditions.queueBytes, () => passedDown());
  const link = await shapeLink(queue.url, conditions);
  passedDown = () => link.passed.down;
  const context = await browser.newContext(PHONE);
  try {
    const page = await context.newPage();
    const passed: Partial<Record<Mark, Bytes>> = {};
    await page.exposeFunction('mark', (mark: Mark) => {
      passed[mark] = { up: link.passed.up, down: link.passed.down };
    });
    await page.addInitScript(prepare, task);
    await unwatched(page);
    // A new window has work of its own at first, in processes of the browser's: none of it is a page's.
    await new Promise((resolve) => setTimeout(resolve, WINDOW_MS));
    await page.goto(`${link.url}/${path}`, { waitUntil: 'commit' });
    const report = await page.evaluate(() => (globalThis as unknown as { report: Promise<Report> }).report);
    return { ...report, passed, memory: await memoryOf(browser, page) };
  } finally {
    await context.close();
    await link.close();
    await queue.close();
  }
}

/**
 * Playwright watches what a page fetches. Chromium takes the stack of every fetch for it, and reads the scripts once more for that:
 * 10 ms of a first answer. There is no way but through its insides to have it look away.
 */
async function unwatched(page: Page): Promise<void> {
  const { _connection } = page as unknown as { readonly _connection: { toImpl(page: Page): Inside } };
  await _connection.toImpl(page).delegate._mainFrameSession._client.send('Network.disable');
}

interface Inside {
  readonly delegate: {
    readonly _mainFrameSession: { readonly _client: { send(method: string): Promise<unknown> } };
  };
}

/** Runs in the page before all else. */
function prepare(task: Task): void {
  const globals = globalThis as unknown as PageGlobals & { report: Promise<Report> };
  globals.task = task;
  globals.report = new Promise((resolve, reject) => {
    globals.finish = resolve;
    globals.fail = reject;
    globalThis.addEventListener('error', ({ message }) => reject(new Error(message)));
    globalThis.addEventListener('unhandledrejection', ({ reason }) => reject(reason));
  });
}

async function memoryOf(browser: Browser, page: Page): Promise<Memory> {
  const session = await page.context().newCDPSession(page);
  const wasm = await Promise.all([
    page.evaluate(wasmBytes),
    ...page.workers().map((worker) => worker.evaluate(wasmBytes)),
  ]);
  const jsHeap = await heapBytes(session);
  return { jsHeap, wasm: wasm.reduce((sum, bytes) => sum + bytes, 0), process: await processBytes(browser) };
}

function wasmBytes(): number {
  const { wasmMemories = [] } = globalThis as { wasmMemories?: { readonly buffer: ArrayBufferLike }[] };
  return wasmMemories.reduce((sum, { buffer }) => sum + buffer.byteLength, 0);
}

async function heapBytes(session: CDPSession): Promise<number> {
  await session.send('HeapProfiler.collectGarbage');
  await session.send('Performance.enable');
  const { metrics } = await session.send('Performance.getMetrics');
  return metrics.find(({ name }) => name === 'JSHeapUsedSize')?.value ?? Number.NaN;
}

/** Of the largest renderer: there is one page, and perhaps a spare one that has nothing in it yet. */
async function processBytes(browser: Browser): Promise<number> {
  const session = await browser.newBrowserCDPSession();
  const { processInfo } = await session.send('SystemInfo.getProcessInfo');
  await session.detach();
  const sizes = await Promise.all(
    processInfo.filter(({ type }) => type === 'renderer').map(({ id }) => privateBytes(id)),
  );
  return Math.max(...sizes);
}

async function privateBytes(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/smaps_rollup`, 'utf8').catch(() => '');
  const kilobytes = [...text.matchAll(/^Private_\w+:\s+(\d+) kB/gm)].map(([, digits]) => Number(digits));
  return kilobytes.length === 0 ? Number.NaN : 1024 * kilobytes.reduce((sum, size) => sum + size, 0);
}
