/** What the scheduler is held to on each collection, and whether it holds. */
import type { Summary } from './summary.ts';

export interface Bar {
  readonly collection: string;
  readonly name: string;
  readonly holds: boolean;
  readonly unit: 'share' | 'ms';
  /** What was reached, and what was to be reached. */
  readonly reached: number;
  readonly limit: number;
}

/** Of each request over the best from its own state, and of the whole run over the oracle's. */
const REGRET_MAX = 0.05;
/** How much longer than all on the device the slowest may take, where that is best. */
const LOCAL_FACTOR = 1.05;

/** @param summaries of collections. Bars against a scheduler that did not run, and bars of no request, are left out. */
export function barsOf(summaries: readonly Summary[]): Bar[] {
  const ours = summaries.filter(({ scheduler }) => scheduler === 'tandem');
  return ours.flatMap(({ collection, settled, toOracle }) => {
    const peer = (name: string) =>
      summaries.find((one) => one.collection === collection && one.scheduler === name)?.settled.latencyMs;
    const bar = (unit: Bar['unit'], name: string, reached: number, limit = Number.NaN): Bar[] =>
      Number.isNaN(reached - limit) ? [] : [{ collection, name, unit, holds: reached <= limit + 1e-9, reached, limit }];
    const { latencyMs, regret } = settled;
    const local = peer('local');
    const rivals = ['remote', 'best-fixed'].map((name) => peer(name)?.mean ?? Number.POSITIVE_INFINITY);
    const isLocalBest = local !== undefined && rivals.every((mean) => local.mean <= mean);
    return [
      ...bar('share', 'mean regret', regret.mean, REGRET_MAX),
      ...bar('share', 'median regret', regret.p50, REGRET_MAX),
      ...bar('share', "mean over the oracle's run", toOracle.mean, REGRET_MAX),
      ...bar('share', "median over the oracle's run", toOracle.p50, REGRET_MAX),
      ...bar('ms', 'p95 no worse than best-fixed', latencyMs.p95, peer('best-fixed')?.p95),
      ...bar(
        'ms',
        'p99 as local, where local is best',
        latencyMs.p99,
        isLocalBest ? LOCAL_FACTOR * local.p99 : undefined,
      ),
      ...bar('ms', 'mean below neurosurgeon', latencyMs.mean, peer('neurosurgeon')?.mean),
      ...bar('ms', 'mean below bandit', latencyMs.mean, peer('bandit')?.mean),
    ];
  });
}
