import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { symmetricEigen } from '../../../compiler/linalg/eigen.ts';
import { gaussian, seededRandom } from '../../../shared/random.ts';

/** B B' of a B with `rank` columns. */
function gram(n: number, rank: number, seed: number): Float64Array {
  const random = seededRandom(seed);
  const b = Float64Array.from({ length: n * rank }, () => gaussian(random));
  return Float64Array.from({ length: n * n }, (_, i) => {
    let sum = 0;
    for (let k = 0; k < rank; k++)
      sum += (b[Math.floor(i / n) * rank + k] as number) * (b[(i % n) * rank + k] as number);
    return sum;
  });
}

function expectEigen(matrix: Float64Array, n: number): void {
  const { values, vectors } = symmetricEigen(matrix, n);
  const scale = 1e-10 * (1 + Math.max(0, ...matrix.map(Math.abs)) * n);
  for (let i = 0; i < n; i++) {
    expect(values[i]).toBeLessThanOrEqual(values[i - 1] ?? Number.POSITIVE_INFINITY);
    for (let a = 0; a < n; a++) {
      let [product, inner] = [0, 0];
      for (let b = 0; b < n; b++) {
        product += (matrix[a * n + b] as number) * (vectors[i * n + b] as number);
        inner += (vectors[i * n + b] as number) * (vectors[a * n + b] as number);
      }
      expect(Math.abs(product - (values[i] as number) * (vectors[i * n + a] as number))).toBeLessThan(scale);
      expect(Math.abs(inner - (i === a ? 1 : 0))).toBeLessThan(1e-10);
    }
  }
}

describe('eigenvectors', () => {
  test('are orthonormal, sorted, and only stretched by the matrix, whatever its rank', () => {
    const size = fc.integer({ min: 1, max: 12 });
    fc.assert(fc.property(size, fc.nat(12), fc.nat(), (n, rank, seed) => expectEigen(gram(n, rank, seed), n)));
  });

  test('are found of matrices with a sign, with zeros and with equal values', () => {
    expectEigen(Float64Array.of(0, 1, 1, 0), 2);
    expectEigen(new Float64Array(25), 5);
    expectEigen(
      Float64Array.from({ length: 49 }, (_, i) => (i % 8 === 0 ? 3 : 0)),
      7,
    );
    expectEigen(
      Float64Array.from({ length: 36 }, (_, i) => Math.sin(Math.floor(i / 6) * (i % 6))),
      6,
    );
  });

  test('of a large matrix of low rank settle', () => expectEigen(gram(90, 7, 3), 90));

  test('are the same for the same matrix, their largest entry positive', () => {
    const { vectors } = symmetricEigen(gram(9, 9, 4), 9);
    expect(symmetricEigen(gram(9, 9, 4), 9).vectors).toEqual(vectors);
    for (let i = 0; i < 9; i++) {
      const row = [...vectors.subarray(i * 9, (i + 1) * 9)];
      expect(Math.max(...row)).toBe(Math.max(...row.map(Math.abs)));
    }
  });
});
