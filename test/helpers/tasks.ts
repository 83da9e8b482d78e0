/** How long a page stands still, in time of the processor: on a machine that has more to do the clock goes on meanwhile. */
import type { Browser } from 'playwright-core';

const CATEGORIES = ['toplevel', 'disabled-by-default-devtools.timeline', 'blink.user_timing'];
/** From which on browsers speak of a long task. */
const LONG_MS = 50;

/**
 * Opens a page that the driver knows nothing of (remote-page.ts has it do things): of its own pages it has all that they fetch
 * kept, which takes them as long as what is to be measured. Gives what closes it.
 */
export async function openUndriven(browser: Browser, url: string): Promise<() => Promise<void>> {
  const session = await browser.newBrowserCDPSession();
  const { browserContextId } = await session.send('Target.createBrowserContext');
  await session.send('Target.createTarget', { url, browserContextId });
  return async () => {
    await session.send('Target.disposeBrowserContext', { browserContextId });
  };
}

/**
 * Milliseconds of the processor that a page's own thread took in one piece while something ran, of those that are long.
 * @param measure by which the page is known: it makes one with `performance.measure` meanwhile
 */
export async function longTasks(browser: Browser, measure: string, work: () => Promise<void>): Promise<number[]> {
  await browser.startTracing(undefined, { categories: CATEGORIES });
  await work();
  const { traceEvents } = JSON.parse((await browser.stopTracing()).toString()) as Trace;
  const processId = traceEvents.find(({ name, cat }) => cat === 'blink.user_timing' && name === measure)?.pid;
  const ofPage = traceEvents.filter(({ pid }) => pid === processId);
  const thread = ofPage.find(({ name, args }) => name === 'thread_name' && args?.name === 'CrRendererMain')?.tid;
  const tasks = ofPage.filter(({ name, tid }) => tid === thread && name.endsWith('RunTask'));
  if (tasks.length === 0) throw new Error('the trace has no task of the page');
  return tasks.map(({ tdur = 0 }) => tdur / 1000).filter((ms) => ms > LONG_MS);
}

interface Trace {
  readonly traceEvents: readonly TraceEvent[];
}

/** What is used of Chromium's trace events. */
interface TraceEvent {
  readonly name: string;
  readonly cat: string;
  readonly pid: number;
  readonly tid: number;
  /** Microseconds of the processor. */
  readonly tdur?: number;
  readonly args?: { readonly name?: string };
}
