import { describe, expect, test } from 'vitest';
import { readWeights } from '../../../compiler/compress/layer-weights.ts';
import { type Layer, layersOf } from '../../../compiler/compress/layers.ts';
import {
  composed,
  outputCovariance,
  principalFactors,
  rankErrors,
  symmetricEigen,
} from '../../../compiler/compress/low-rank.ts';
import { splitLayer } from '../../../compiler/compress/split-layer.ts';
import { cloneGraph } from '../../../compiler/graph/graph.ts';
import { verifyGraph } from '../../../compiler/graph/verify.ts';
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
      const low = composed(principalFactors(rows, eigen, rank));
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
      const { rank, down, up } = principalFactors(rows, eigen, 2);
      const moved = { rank, down: down.map((v) => v + 0.05 * gaussian(random)), up };
      const difference = composed(moved).map((value, at) => value - (rows[at] as number));
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
  const graph = cloneGraph(before);
  const [layer] = layersOf(graph) as [Layer];
  const { rows } = readWeights(graph, layer) as { rows: Float32Array };
  const outputs = layer.shape[layer.axis] as number;
  const gram = outputCovariance(rows, identity(rows.length / outputs), rows.length / outputs);
  splitLayer(graph, layer, principalFactors(rows, symmetricEigen(gram, outputs), outputs));
  verifyGraph(graph, 'test');
  expect(graph.nodes.map(({ outputs: [name] }) => name)).toEqual(['y.thin', 'y']);
  await expectSameOutputs(before, graph, 13);
});

function identity(n: number): Float64Array {
  return Float64Array.from({ length: n * n }, (_, i) => (i % (n + 1) === 0 ? 1 : 0));
}
