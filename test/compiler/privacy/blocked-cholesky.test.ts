import * as ort from 'onnxruntime-node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { cholesky, choleskySolve } from '../../../compiler/linalg/cholesky.ts';
import { blockedCholesky, blockedSolve } from '../../../compiler/privacy/blocked-cholesky.ts';
import { type Matrices, newMatrices } from '../../../compiler/privacy/matrices.ts';
import { nodeRuntime } from '../../../runtimes/onnxruntime-node.ts';
import { gaussian, seededRandom } from '../../../shared/random.ts';

let matrices: Matrices;
beforeAll(async () => {
  matrices = await newMatrices(nodeRuntime(ort, { threads: 1 }));
});
afterAll(() => matrices.release());

/** X Xᵀ and something on the diagonal. */
function positive(n: number): Float64Array {
  const random = seededRandom(n);
  const x = Float64Array.from({ length: n * n }, () => gaussian(random));
  return Float64Array.from({ length: n * n }, (_, at) => {
    const [i, j] = [Math.floor(at / n), at % n];
    let sum = i === j ? 0.1 * n : 0;
    for (let k = 0; k < n; k++) sum += (x[i * n + k] as number) * (x[j * n + k] as number);
    return sum;
  });
}

function farthest(a: Float64Array, b: Float64Array): number {
  return a.reduce((most, value, i) => Math.max(most, Math.abs(value - (b[i] as number))), a.length - b.length);
}

describe('in blocks', () => {
  test.each([1, 63, 64, 65, 150])('a factor of %i columns is what it is row by row', async (n) => {
    const a = positive(n);
    expect(farthest(await blockedCholesky(matrices.product64, a.slice(), n), cholesky(a, n))).toBeLessThan(1e-9);
  });

  test.each([
    [1, 1],
    [64, 3],
    [150, 150],
    [150, 70],
    [150, 128],
  ])('a solution of %i columns, of which %i are used, is what it is row by row', async (n, size) => {
    const a = positive(n);
    const leading = Float64Array.from({ length: size * size }, (_, at) => {
      return a[Math.floor(at / size) * n + (at % size)] as number;
    });
    const random = seededRandom(3);
    const b = Float64Array.from({ length: size * 5 }, () => gaussian(random));
    const [expected, found] = [b.slice(), b.slice()];
    choleskySolve(cholesky(leading, size), size, expected, 5);
    const factor = await blockedCholesky(matrices.product64, a, n);
    await blockedSolve(matrices.product64, factor, n, size, found, 5);
    expect(farthest(found, expected)).toBeLessThan(1e-9);
  });

  test('what is not positive definite is refused', async () => {
    const a = positive(100);
    a[90 * 100 + 90] = -1;
    await expect(blockedCholesky(matrices.product64, a, 100)).rejects.toThrow('positive definite');
  });
});
