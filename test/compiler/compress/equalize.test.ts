import { describe, expect, test } from 'vitest';
import { equalize } from '../../../compiler/compress/equalize.ts';
import { cloneGraph, constantOf, floatConstant, type Graph } from '../../../compiler/graph/graph.ts';
import { expectSameOutputs } from '../run-graph.ts';
import { graphOf } from '../text-graph.ts';

const CHAIN = `
  in x [1,4,6,6]
  const w [6,4,3,3]
  const b [6]
  a = Conv(x, w, b)
  r = Relu(a)
  const d [6,1,3,3]
  const e [6]
  m = Conv(r, d, e) group=6 pads=[1,1,1,1]
  s = LeakyRelu(m) alpha=0.25
  const v [5,6,1,1]
  y = Conv(s, v)
  out y`;

/** The largest weight of each of the six channels: of the first two layers by output, of the third by input. */
function ranges(graph: Graph): number[][] {
  return ['w', 'd', 'v'].map((name) => {
    const { shape, data } = floatConstant(graph, name) ?? { shape: [], data: new Float32Array(0) };
    const isByInput = name === 'v';
    const largest = new Array<number>(6).fill(0);
    for (const [i, value] of data.entries()) {
      const channel = isByInput ? i % 6 : Math.floor(i / (data.length / (shape[0] ?? 1)));
      largest[channel] = Math.max(largest[channel] ?? 0, Math.abs(value));
    }
    return largest;
  });
}

/** The first weight's rows and its bias made very different in size. */
function uneven(text: string): Graph {
  const graph = graphOf(text);
  for (const name of ['w', 'b']) {
    const constant = floatConstant(graph, name);
    if (!constant) continue;
    const stride = constant.data.length / 6;
    const data = constant.data.map((value, i) => value * 10 ** (Math.floor(i / stride) - 3));
    graph.initializers.set(name, constantOf({ dtype: 'float32', shape: constant.shape, data }));
  }
  return graph;
}

describe('equalizing layers', () => {
  test('evens out the channels of three in a row and keeps the outputs', async () => {
    const before = uneven(CHAIN);
    const after = cloneGraph(before);
    expect(equalize(after)).toBe(2);
    await expectSameOutputs(before, after);
    // Where three layers settle: each channel of all three at the geometric mean of what they had.
    const [w, d, v] = ranges(before) as [number[], number[], number[]];
    const means = w.map((range, c) => Math.cbrt(range * (d[c] as number) * (v[c] as number)));
    for (const found of ranges(after)) {
      for (const [c, range] of found.entries()) expect(range / (means[c] as number)).toBeCloseTo(1, 2);
    }
    const spread = (list: readonly number[]) => Math.max(...list) / Math.min(...list);
    expect(spread(means)).toBeLessThan(spread(w) / 1000);
  });

  test.each([
    [
      'a bound of ReLU6 between them',
      CHAIN.replace('Relu(a)', 'Clip(a, 0, 6)').replace('s = LeakyRelu(m) alpha=0.25', 's = Sigmoid(m)'),
    ],
    ['values that leave the graph', `${CHAIN}\nout r\nout m`],
    ['a second reader', `${CHAIN}\nq = Neg(r)\nout q\np = Neg(s)\nout p`],
    [
      'a weight that two layers share',
      CHAIN.replace('y = Conv(s, v)', 'y = Conv(s, v)\nt = Conv(x, w)\nout t').replace(
        's = LeakyRelu(m) alpha=0.25',
        's = Tanh(m)',
      ),
    ],
  ])('leaves alone %s', (_, text) => {
    const graph = graphOf(text);
    const before = new Map(graph.initializers);
    expect(equalize(graph)).toBe(0);
    expect(graph.initializers).toEqual(before);
  });
});
