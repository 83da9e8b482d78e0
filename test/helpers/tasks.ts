/** How long a page stands still, in time of the processor: on a machine that has more to do the clock goes on meanwhile. */
import type { Browser, Page } from 'playwright-core';

const CATEGORIES = ['toplevel', 'disabled-by-default-devtools.timeline'];
/** From which on browsers speak of a long task. */
const LONG_MS = 50;

/** Milliseconds of the processor that the page's own thread took in one piece while something ran, of those that are long. */
export async function longTasks(browser: Browser, page: Page, work: () => Promise<void>): Promise<number[]> {
  await browser.startTracing(page, { categories: CATEGORIES });
  await work();
  const { traceEvents } = JSON.parse((await browser.stopTracing()).toString()) as Trace;
  const frames = traceEvents.flatMap(({ args }) => args?.data?.frames ?? []);
  const processId = frames.find(({ url }) => url === page.url())?.processId;
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
  readonly pid: number;
  readonly tid: number;
  /** Microseconds of the processor. */
  readonly tdur?: number;
  readonly args?: {
    readonly name?: string;
    readonly data?: { readonly frames?: readonly { readonly url: string; readonly processId: number }[] };
  };
}
