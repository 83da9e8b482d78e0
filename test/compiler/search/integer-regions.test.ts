import { describe, expect, test } from 'vitest';
import type { Types } from '../../../compiler/graph/cost.ts';
import { integerSavings } from '../../../compiler/search/integer-regions.ts';
import { graphOf } from '../text-graph.ts';

/** Three convolutions in a row, then one behind a tanh. */
const graph = graphOf(`
  in x [1,4,10,10]
  const w [4,4,1,1]
  a = Conv(x, w)
  b = Conv(a, w)
  c = Conv(b, w)
  t = Tanh(c)
  d = Conv(t, w)
  out d`);
const types: Types = new Map(
  ['x', 'a', 'b', 'c', 't', 'd'].map((name) => [name, { name, elementType: 'float32', shape: [1, 4, 10, 10] }]),
);
for (const [name, info] of types) graph.values.set(name, info);
/** 400 elements at each edge: a region of one convolution pays 0.8 ms. */
const CONVERSION_MS = 0.001;
const saves = (ms: number) => ({ floatMs: 10, int8Ms: 10 - ms, nbits4Ms: Number.POSITIVE_INFINITY });

describe('regions of integers', () => {
  test('hold layers that pay for their edges together, and not one that cannot alone', () => {
    const times = new Map(['a', 'b', 'c', 'd'].map((layer) => [layer, saves(0.5)]));
    const savings = integerSavings(graph, times, types, CONVERSION_MS);
    expect([...savings.keys()]).toEqual(['a', 'b', 'c']);
    for (const ms of savings.values()) expect(ms).toBeCloseTo((1.5 - 0.8) / 3, 9);
  });

  test('leave out what is slower, and what is around it if that no longer pays', () => {
    const times = new Map([
      ['a', saves(0.5)],
      ['b', saves(-1)],
      ['c', saves(0.9)],
      ['d', saves(0.1)],
    ]);
    const savings = integerSavings(graph, times, types, CONVERSION_MS);
    expect([...savings.keys()]).toEqual(['c']);
    expect(savings.get('c')).toBeCloseTo(0.1, 9);
  });

  test('are none where nothing is faster', () => {
    const times = new Map([['a', { floatMs: 1, int8Ms: Number.POSITIVE_INFINITY, nbits4Ms: 1 }]]);
    expect(integerSavings(graph, times, types, CONVERSION_MS).size).toBe(0);
  });
});
