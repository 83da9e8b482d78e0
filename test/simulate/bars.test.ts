import { describe, expect, test } from 'vitest';
import { barsOf } from '../../simulate/bars.ts';
import type { Summary } from '../../simulate/summary.ts';

function line(scheduler: string, latency: Partial<Summary['all']['latencyMs']>, regretMean = 0, toOracle = 0): Summary {
  const figures = {
    requests: 10,
    latencyMs: { mean: 100, p50: 100, p95: 100, p99: 100, ...latency },
    regret: { mean: regretMean, p50: 0, p95: 0, p99: 0 },
    missed: 0,
  };
  const shares = {
    toOracle: { mean: toOracle, p50: toOracle },
    bytesUp: 0,
    bytesDown: 0,
    energyJ: 0,
    offloaded: 0,
    late: 0,
    shed: 0,
    within: null,
  };
  return { trace: '1 traces', collection: 'c', scheduler, detail: null, settled: figures, all: figures, ...shares };
}

const broken = (summaries: readonly Summary[]) => barsOf(summaries).flatMap(({ name, holds }) => (holds ? [] : [name]));

describe('the bars', () => {
  const peers = ['local', 'remote', 'best-fixed', 'neurosurgeon', 'bandit'].map((name) => line(name, {}));

  test('hold for one that is as good as its rivals', () => {
    expect(broken([...peers, line('tandem', { p99: 104 }, 0.05, 0.05)])).toEqual([]);
    expect(barsOf([...peers, line('tandem', {})])).toHaveLength(8);
  });

  test('do not hold for one that is not', () => {
    expect(broken([...peers, line('tandem', { mean: 101, p95: 101, p99: 106 }, 0.06, 0.06)])).toEqual([
      'mean regret',
      "mean over the oracle's run",
      "median over the oracle's run",
      'p95 no worse than best-fixed',
      'p99 as local, where local is best',
      'mean below neurosurgeon',
      'mean below bandit',
    ]);
  });

  test('leave out the local tail where local is not best, and rivals that did not run', () => {
    expect(broken([...peers, line('remote', {}), line('tandem', { p99: 999 })])).not.toEqual([]);
    expect(broken([line('local', { mean: 200 }), line('remote', {}), line('tandem', { p99: 999 })])).toEqual([]);
    expect(barsOf([line('tandem', {}, 0, Number.NaN)]).map(({ name }) => name)).toEqual([
      'mean regret',
      'median regret',
    ]);
  });

  test('leave out what has no request to speak of', () => {
    expect(barsOf([line('tandem', {}, Number.NaN, Number.NaN)]).map(({ name }) => name)).toEqual(['median regret']);
  });
});
