import { describe, expect, test } from 'vitest';
import { equalize } from '../../../compiler/compress/equalize.ts';
import { layersOf, rowCount, weightRows } from '../../../compiler/compress/layers.ts';
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

/** The widest channel of each weight over its narrowest. */
function unevenness(graph: Graph): number[] {
  return layersOf(graph).map((layer) => {
    const rows = weightRows(layer, floatConstant(graph, layer.weight)?.data ?? new Float32Array(0));
    const width = rows.length / rowCount(layer);
    const ranges = Array.from({ length: rowCount(layer) }, (_, r) =>
      Math.max(...rows.slice(r * width, (r + 1) * width).map(Math.abs)),
    );
    return Math.max(...ranges) / Math.min(...ranges);
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
    expect(unevenness(before)[0]).toBeGreaterThan(1e4);
    for (const [i, ratio] of unevenness(after).slice(0, 2).entries()) {
      expect(ratio).toBeLessThan((unevenness(before)[i] ?? 0) + 100);
      expect(ratio).toBeLessThan(200);
    }
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
