/** The simulator: networks, devices and servers of which everything is known, and schedulers that run in them. */
export { type Bar, barsOf } from './bars.ts';
export { compareOn, SCHEDULERS } from './compare.ts';
export type { Arrivals } from './draws.ts';
export { DEVICES, parseDevice, parseServer } from './profiles.ts';
export { csvOf } from './report/csv.ts';
export { reportPage } from './report/page.ts';
export type { WorldOptions } from './scenario.ts';
export { type Run, type Summary, summarize, summarizeCollections, WARM_UP } from './summary.ts';
export { timelineOf } from './timeline.ts';
export { assembleTraces, LINK_DEFAULTS, type NamedFile } from './traces/assemble.ts';
export { parseTraceFile } from './traces/parse.ts';
export { fixedRateTrace, syntheticTraces } from './traces/synthetic.ts';
export type { Trace } from './traces/trace.ts';
