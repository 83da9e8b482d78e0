import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { cholesky, choleskyInverse, choleskySolve } from '../../../compiler/linalg/cholesky.ts';
import { gaussian, seededRandom } from '../../../shared/random.ts';
import { tandemError } from '../../shared/tandem-error.ts';

/** B Bᵀ + 0.1 I of a random B: as an array of rows. */
function positiveDefinite(n: number, seed: number): number[][] {
  const random = seededRandom(seed);
  const b = Array.from({ length: n }, () => Array.from({ length: n }, () => gaussian(random)));
  return b.map((row, i) =>
    b.map((other, j) => row.reduce((sum, x, k) => sum + x * (other[k] as number), i === j ? 0.1 : 0)),
  );
}

const flat = (rows: readonly (readonly number[])[]) => Float64Array.from(rows.flat());

function product(a: Float64Array, b: Float64Array, n: number, columns: number): number[] {
  return Array.from({ length: n * columns }, (_, at) => {
    const [i, j] = [Math.floor(at / columns), at % columns];
    let sum = 0;
    for (let k = 0; k < n; k++) sum += (a[i * n + k] as number) * (b[k * columns + j] as number);
    return sum;
  });
}

function expectNear(actual: ArrayLike<number>, expected: ArrayLike<number>, errorMax: number): void {
  expect(actual.length).toBe(expected.length);
  for (let i = 0; i < expected.length; i++) {
    expect(Math.abs((actual[i] as number) - (expected[i] as number))).toBeLessThanOrEqual(errorMax);
  }
}

describe('the factor of Cholesky', () => {
  test('is lower triangular and gives the matrix back', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 12 }), fc.integer(), (n, seed) => {
        const a = positiveDefinite(n, seed);
        const l = cholesky(flat(a), n);
        const transposed = Float64Array.from(
          { length: n * n },
          (_, at) => l[(at % n) * n + Math.floor(at / n)] as number,
        );
        expectNear(product(l, transposed, n, n), a.flat(), 1e-9);
        for (let i = 0; i < n; i++) for (let j = i + 1; j < n; j++) expect(l[i * n + j]).toBe(0);
      }),
      { numRuns: 30 },
    );
  });

  test('solves and inverts', () => {
    const n = 9;
    const a = flat(positiveDefinite(n, 3));
    const l = cholesky(a, n);
    const b = Float64Array.from({ length: n * 2 }, (_, i) => Math.sin(i));
    const x = b.slice();
    choleskySolve(l, n, x, 2);
    expectNear(product(a, x, n, 2), b, 1e-9);
    const identity = Float64Array.from({ length: n * n }, (_, at) => (at % n === Math.floor(at / n) ? 1 : 0));
    expectNear(product(a, choleskyInverse(l, n), n, n), identity, 1e-9);
  });

  test('is refused of a matrix that is not positive definite', () => {
    expect(() => cholesky(Float64Array.of(1, 2, 2, 1), 2)).toThrow(tandemError('BAD_INPUT', 'positive definite'));
  });
});
