import { describe, expect, test } from 'vitest';
import { spatialFactors, tuckerFactors } from '../../../compiler/compress/kernel-factors.ts';
import { readWeights } from '../../../compiler/compress/layer-weights.ts';
import { type Layer, layersOf } from '../../../compiler/compress/layers.ts';
import {
  type Factors,
  outputCovariance,
  principalFactors,
  product,
  rankErrors,
  type Stage,
} from '../../../compiler/compress/low-rank.ts';
import { splitLayer } from '../../../compiler/compress/split-layer.ts';
import { cloneGraph, type Graph } from '../../../compiler/graph/graph.ts';
import { verifyGraph } from '../../../compiler/graph/verify.ts';
import { symmetricEigen } from '../../../compiler/linalg/eigen.ts';
import { addRows, newMoments } from '../../../compiler/linalg/moments.ts';
import { secondMoments } from '../../../compiler/linalg/ridge.ts';
import { gaussian, seededRandom } from '../../../shared/random.ts';
import { expectSameOutputs } from '../run-graph.ts';
import { graphOf } from '../text-graph.ts';

const [OUTPUTS, COLUMNS, COUNT] = [6, 5, 300];

function drawn() {
  const random = seededRandom(6);
  const rows = Float32Array.from({ length: OUTPUTS * COLUMNS }, () => gaussian(random));
  const x = Float32Array.from({ length: COUNT * COLUMNS }, (_, i) => gaussian(random) * (1 + (i % COLUMNS)));
  const moments = newMoments(COLUMNS);
  addRows(moments, x);
  const eigen = symmetricEigen(outputCovariance(rows, secondMoments(moments, false), COLUMNS), OUTPUTS);
  return { rows, x, eigen };
}

/** Mean over rows of the squared size of W x. */
function power(x: Float32Array, rows: Float32Array): number {
  let sum = 0;
  for (let r = 0; r < COUNT; r++) {
    for (let o = 0; o < OUTPUTS; o++) {
      let value = 0;
      for (let c = 0; c < COLUMNS; c++) value += (x[r * COLUMNS + c] as number) * (rows[o * COLUMNS + c] as number);
      sum += value ** 2 / COUNT;
    }
  }
  return sum;
}

describe('a weight of lower rank', () => {
  test('has the error of the eigenvalues that are dropped', () => {
    const { rows, x, eigen } = drawn();
    const errors = rankErrors(eigen);
    for (let rank = 1; rank <= OUTPUTS; rank++) {
      const low = principalFactors(rows, eigen, rank, [COLUMNS]).rows;
      const difference = low.map((value, i) => value - (rows[i] as number));
      expect(power(x, difference) / power(x, rows)).toBeCloseTo(errors[rank] as number, 5);
    }
    expect(errors[0]).toBeCloseTo(1, 9);
    // Six outputs of five inputs.
    expect(errors[5]).toBeLessThan(1e-6);
  });

  test('is better than any other of that rank that was tried', () => {
    const { rows, x, eigen } = drawn();
    const best = rankErrors(eigen)[2] as number;
    const random = seededRandom(8);
    for (let i = 0; i < 50; i++) {
      const [down, up] = principalFactors(rows, eigen, 2, [COLUMNS]).stages as [Stage, Stage];
      const moved = down.data.map((value) => value + 0.05 * gaussian(random));
      const difference = product(up.data, moved, 2).map((value, at) => value - (rows[at] as number));
      expect(power(x, difference) / power(x, rows)).toBeGreaterThan(best);
    }
  });

  test('comes of eigenvectors that are orthonormal, the largest first', () => {
    const { values, vectors } = symmetricEigen(Float64Array.of(2, 1, 0, 1, 2, 0, 0, 0, 5), 3);
    expect([...values].map((value) => Math.round(value * 1e9) / 1e9)).toEqual([5, 3, 1]);
    for (let a = 0; a < 3; a++) {
      for (let b = 0; b < 3; b++) {
        const dot = [0, 1, 2].reduce(
          (sum, i) => sum + (vectors[a * 3 + i] as number) * (vectors[b * 3 + i] as number),
          0,
        );
        expect(dot).toBeCloseTo(a === b ? 1 : 0, 9);
      }
    }
  });
});

test.each([
  ['1x1 convolution', 'in x [2,5,4,4]\nconst w [6,5,1,1]\nconst b [6]\ny = Conv(x, w, b)\nout y'],
  [
    'convolution with strides, pads and no bias',
    'in x [2,3,9,7]\nconst w [4,3,3,2]\ny = Conv(x, w) strides=[2,1] pads=[1,0,1,1] dilations=[1,2] kernel_shape=[3,2]\nout y',
  ],
  ['convolution of one dimension', 'in x [2,3,9]\nconst w [4,3,3]\ny = Conv(x, w) auto_pad=SAME_UPPER\nout y'],
  ['Gemm', 'in x [3,5]\nconst w [5,4]\nconst b [4]\ny = Gemm(x, w, b)\nout y'],
  ['Gemm with its weight transposed', 'in x [3,5]\nconst w [4,5]\ny = Gemm(x, w) transB=1\nout y'],
  ['MatMul', 'in x [2,3,5]\nconst w [5,4]\ny = MatMul(x, w)\nout y'],
])('at full rank a %s split in two gives what it gave', async (_, text) => {
  const before = graphOf(text);
  const [layer] = layersOf(before) as [Layer];
  const { rows } = readWeights(before, layer) as { rows: Float32Array };
  const outputs = layer.shape[layer.axis] as number;
  const columns = rows.length / outputs;
  const eigen = symmetricEigen(outputCovariance(rows, identity(columns), columns), outputs);
  const kernel = layer.kind === 'conv' ? layer.shape.slice(1) : [columns];
  await expectSame(before, principalFactors(rows, eigen, outputs, kernel), rows);
});

/** The graph's layer in stages gives what it gave, and the stages are the rows that they say. */
async function expectSame(before: Graph, factors: Factors, rows: Float32Array): Promise<void> {
  const graph = cloneGraph(before);
  const [layer] = layersOf(graph) as [Layer];
  splitLayer(graph, layer, factors);
  verifyGraph(graph, 'test');
  expect(graph.nodes.length).toBe(factors.stages.length);
  await expectSameOutputs(before, graph, 13);
  for (const [i, value] of rows.entries()) expect(factors.rows[i]).toBeCloseTo(value, 4);
}

const KERNEL =
  'in x [2,4,9,8]\nconst w [6,4,3,2]\nconst b [6]\ny = Conv(x, w, b) strides=[2,1] pads=[1,0,1,1] dilations=[1,2]\nout y';
const SAME = 'in x [2,4,9,8]\nconst w [6,4,3,3]\ny = Conv(x, w) auto_pad=SAME_LOWER strides=[1,2]\nout y';

describe('a kernel in parts', () => {
  test.each([KERNEL, SAME])('gives at full rank what it gave', async (text) => {
    const graph = graphOf(text);
    const [layer] = layersOf(graph) as [Layer];
    const { rows } = readWeights(graph, layer) as { rows: Float32Array };
    const eigen = symmetricEigen(outputCovariance(rows, identity(rows.length / 6), rows.length / 6), 6);
    await expectSame(graph, spatialFactors(layer, rows, 12), rows);
    await expectSame(graph, tuckerFactors(layer, rows, eigen, [4, 6]), rows);
  });

  test('is at a lower rank the nearest one: the error is of the singular values that are dropped', () => {
    const [layer] = layersOf(graphOf(KERNEL)) as [Layer];
    const random = seededRandom(9);
    // A kernel of rank 2 by its axes, and a bit of noise.
    const rows = new Float32Array(6 * 4 * 3 * 2);
    for (let r = 0; r < 2; r++) {
      const [tall, wide] = [12, 12].map((n) => Array.from({ length: n }, () => gaussian(random))) as [
        number[],
        number[],
      ];
      for (let o = 0; o < 6; o++) {
        for (let i = 0; i < 12; i++) {
          for (let x = 0; x < 2; x++) {
            const at = (o * 12 + i) * 2 + x;
            rows[at] = (rows[at] as number) + (tall[i] as number) * (wide[o * 2 + x] as number);
          }
        }
      }
    }
    const error = (low: Float32Array) => low.reduce((sum, value, i) => sum + (value - (rows[i] as number)) ** 2, 0);
    expect(error(spatialFactors(layer, rows, 2).rows)).toBeLessThan(1e-9 * error(new Float32Array(rows.length)));
    expect(error(spatialFactors(layer, rows, 1).rows)).toBeGreaterThan(0.01 * error(new Float32Array(rows.length)));
  });

  test('by both modes of channels is exact where both are as low', () => {
    const [layer] = layersOf(graphOf(KERNEL)) as [Layer];
    const random = seededRandom(9);
    const draw = (n: number) => Float32Array.from({ length: n }, () => gaussian(random));
    // [6, 2] [2, 3 x 6] [3, 4]: outputs of rank 2, inputs of rank 3.
    const [up, core, down] = [draw(12), draw(36), draw(12)];
    const rows = new Float32Array(144);
    for (let i = 0; i < 144; i++) {
      const [o, c, t] = [Math.floor(i / 24), Math.floor(i / 6) % 4, i % 6];
      for (let a = 0; a < 2; a++) {
        for (let b = 0; b < 3; b++) {
          const weight = (up[o * 2 + a] as number) * (down[b * 4 + c] as number);
          rows[i] = (rows[i] as number) + weight * (core[(a * 3 + b) * 6 + t] as number);
        }
      }
    }
    const eigen = symmetricEigen(outputCovariance(rows, identity(24), 24), 6);
    const error = (inner: number, outer: number) =>
      tuckerFactors(layer, rows, eigen, [inner, outer]).rows.reduce((s, v, i) => s + (v - (rows[i] as number)) ** 2, 0);
    expect(error(3, 2)).toBeLessThan(1e-8);
    expect(error(2, 2)).toBeGreaterThan(0.1);
    expect(error(3, 1)).toBeGreaterThan(0.1);
  });
});

function identity(n: number): Float64Array {
  return Float64Array.from({ length: n * n }, (_, i) => (i % (n + 1) === 0 ? 1 : 0));
}
