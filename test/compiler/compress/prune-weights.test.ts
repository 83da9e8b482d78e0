import { describe, expect, test } from 'vitest';
import { readWeights, writeWeights } from '../../../compiler/compress/layer-weights.ts';
import { layersOf } from '../../../compiler/compress/layers.ts';
import { pruneCompensated, pruneSmallest, pruneWeights } from '../../../compiler/compress/prune-weights.ts';
import type { SegmentData } from '../../../compiler/compress/segment-data.ts';
import { squaredError } from '../../../compiler/compress/trial.ts';
import { cloneGraph, floatConstant, type Graph } from '../../../compiler/graph/graph.ts';
import { addRows, newMoments } from '../../../compiler/linalg/moments.ts';
import { secondMoments } from '../../../compiler/linalg/ridge.ts';
import { gaussian, seededRandom } from '../../../shared/random.ts';
import { literal, modelOf, randomFeeds, runGraph } from '../run-graph.ts';
import { graphOf } from '../text-graph.ts';

const [OUTPUTS, COLUMNS, COUNT] = [5, 8, 400];

/** Inputs that go together: each is half the one before it. */
function drawn() {
  const random = seededRandom(4);
  const rows = Float32Array.from({ length: OUTPUTS * COLUMNS }, () => gaussian(random));
  const x = new Float32Array(COUNT * COLUMNS);
  for (let i = 0; i < x.length; i++) {
    x[i] = gaussian(random) + (i % COLUMNS === 0 ? 0 : 0.9 * (x[i - 1] as number));
  }
  const moments = newMoments(COLUMNS);
  addRows(moments, x);
  return { rows, x, inputs: secondMoments(moments, false) };
}

function outputError(x: Float32Array, a: Float32Array, b: Float32Array): number {
  let error = 0;
  for (let r = 0; r < COUNT; r++) {
    for (let o = 0; o < OUTPUTS; o++) {
      let difference = 0;
      for (let c = 0; c < COLUMNS; c++) {
        const at = o * COLUMNS + c;
        difference += (x[r * COLUMNS + c] as number) * ((a[at] as number) - (b[at] as number));
      }
      error += difference ** 2;
    }
  }
  return error;
}

describe('weights set to 0', () => {
  test('are the smallest', () => {
    expect([...pruneSmallest(Float32Array.of(3, -1, 2, -4, 0.5), 0.5)]).toEqual([3, 0, 2, -4, 0]);
  });

  test('are as many with compensation, and what stays makes up for them', () => {
    const { rows, x, inputs } = drawn();
    const plain = pruneSmallest(rows, 0.5);
    const compensated = pruneCompensated(rows, inputs, COLUMNS, 0.5);
    const zeros = (of: Float32Array) => of.filter((value) => value === 0).length;
    expect([zeros(plain), zeros(compensated)]).toEqual([20, 20]);
    expect(outputError(x, compensated, rows)).toBeLessThan(outputError(x, plain, rows) / 2);
  });

  test('with compensation of the last column alone are simply gone', () => {
    const { rows, inputs } = drawn();
    expect(pruneCompensated(rows, inputs, COLUMNS, 0)).toEqual(rows);
    // A single output and column: nothing is left that could make up for it.
    expect([...pruneCompensated(Float32Array.of(2), Float64Array.of(1), 1, 1)]).toEqual([0]);
  });

  test('by one are compensated as least squares does by brute force', () => {
    const { inputs, x } = drawn();
    // The first weight is so small that it is the one to go.
    const rows = Float32Array.of(0.1, 3, -4, 5, 6, -3, 4, 5);
    const pruned = pruneCompensated(rows, inputs, COLUMNS, 1 / 8);
    expect(pruned[0]).toBe(0);
    const loss = (w: Float32Array) => {
      let error = 0;
      for (let r = 0; r < COUNT; r++) {
        let difference = 0;
        for (let c = 0; c < COLUMNS; c++) {
          difference += (x[r * COLUMNS + c] as number) * ((w[c] as number) - (rows[c] as number));
        }
        error += difference ** 2;
      }
      return error / COUNT;
    };
    for (let c = 1; c < COLUMNS; c++) {
      for (const step of [-0.01, 0.01]) {
        expect(loss(pruned.with(c, (pruned[c] as number) + step))).toBeGreaterThan(loss(pruned));
      }
    }
  });

  test('of a whole model leave its outputs nearer with compensation, and depthwise layers alone', async () => {
    const text =
      'in x [1,4,8,8]\nconst w1 [12,4,3,3]\nconst b1 [12]\na = Conv(x, w1, b1)\nr = Relu(a)\nconst w2 [12,1,3,3]\nd = Conv(r, w2) group=12\nconst w3 [6,12,1,1]\ny = Conv(d, w3)\nout y';
    const model = modelOf(graphOf(text), 13);
    const samples = Array.from({ length: 10 }, (_, i) => randomFeeds(model.graph, 50 + i));
    const data: SegmentData = {
      ...{ model, runtime: literal },
      async *samples() {
        yield* samples;
      },
    };
    const pruned = await pruneWeights(data, 0.5);
    const zeros = layersOf(pruned.graph).map(({ weight }) => {
      const values = floatConstant(pruned.graph, weight)?.data as Float32Array;
      return values.filter((value) => value === 0).length / values.length;
    });
    expect(zeros).toEqual([0.5, 0, 0.5]);
    const plain = cloneGraph(model.graph);
    for (const layer of layersOf(plain)) {
      const weights = readWeights(plain, layer);
      if (layer.groups === 1 && weights)
        writeWeights(plain, layer, { ...weights, rows: pruneSmallest(weights.rows, 0.5) });
    }
    const error = async (graph: Graph) => {
      const feeds = randomFeeds(model.graph, 3);
      return squaredError(await runGraph(graph, feeds, 13), await runGraph(model.graph, feeds, 13));
    };
    expect(await error(pruned.graph)).toBeLessThan(0.7 * (await error(plain)));
  });
});
