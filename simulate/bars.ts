/** What the scheduler is held to on each collection, and whether it holds. */
import type { Summary } from './summary.ts';

export interface Bar {
  readonly collection: string;
  readonly name: string;
  readonly holds: boolean;
  /** What was reached, and what was to be reached: regrets as shares, times in milliseconds. */
  readonly reached: number;
  readonly limit: number;
}

const REGRET_MAX = 0.05;
/** How much longer than all on the device the slowest may take, where that is best. */
const LOCAL_FACTOR = 1.05;

/** @param summaries of collections. Bars against a scheduler that did not run are left out. */
export function barsOf(summaries: readonly Summary[]): Bar[] {
  const ours = summaries.filter(({ scheduler }) => scheduler === 'tandem');
  return ours.flatMap(({ collection, settled }) => {
    const peer = (name: string) =>
      summaries.find((one) => one.collection === collection && one.scheduler === name)?.settled.latencyMs;
    const bar = (name: string, reached: number, limit: number | undefined): Bar[] =>
      limit === undefined ? [] : [{ collection, name, holds: reached <= limit + 1e-9, reached, limit }];
    const { latencyMs, regret } = settled;
    const local = peer('local');
    const rivals = ['remote', 'best-fixed'].map((name) => peer(name)?.mean ?? Number.POSITIVE_INFINITY);
    const isLocalBest = local !== undefined && rivals.every((mean) => local.mean <= mean);
    return [
      ...bar('mean regret', regret.mean, REGRET_MAX),
      ...bar('median regret', regret.p50, REGRET_MAX),
      ...bar('p95 no worse than best-fixed', latencyMs.p95, peer('best-fixed')?.p95),
      ...bar('p99 as local, where local is best', latencyMs.p99, isLocalBest ? LOCAL_FACTOR * local.p99 : undefined),
      ...bar('mean below neurosurgeon', latencyMs.mean, peer('neurosurgeon')?.mean),
      ...bar('mean below bandit', latencyMs.mean, peer('bandit')?.mean),
    ];
  });
}
