import { afterEach, describe, expect, test, vi } from 'vitest';
import { simdMultiply } from '../../../shared/codec/simd-multiply.ts';

/** Products of small whole numbers are exact, in whatever order they are added. */
const numbers = (length: number, seed: number) => Array.from({ length }, (_, i) => ((i * 37 + seed) % 23) - 11);

function expected(matrix: readonly number[], input: readonly number[], start: readonly number[], columns: number) {
  const depth = input.length / columns;
  return start.flatMap((first, i) =>
    Array.from({ length: columns }, (_, j) => {
      let sum = first;
      for (let c = 0; c < depth; c++) sum += (matrix[i * depth + c] as number) * (input[c * columns + j] as number);
      return sum;
    }),
  );
}

describe('the WebAssembly multiplication', () => {
  test.each([
    [1, 1, [1]],
    [4, 3, [4, 8]],
    [5, 7, [1, 2, 3, 4, 5, 9]],
    [9, 150, [400, 3, 401]],
  ])('gives start + matrix * input for %i x %i, as often as it is asked', (rows, depth, widths) => {
    const [matrix, start] = [numbers(rows * depth, 1), numbers(rows, 2)];
    const multiply = simdMultiply(Float64Array.from(matrix), rows, depth, Float64Array.from(start));
    for (const columns of widths) {
      const input = numbers(depth * columns, columns);
      const product = multiply?.(Float32Array.from(input), columns) ?? [];
      expect([...product]).toEqual(expected(matrix, input, start, columns));
    }
    expect(multiply?.(new Float32Array(0), 0)).toEqual(new Float32Array(0));
  });
});

describe('without WebAssembly', () => {
  afterEach(() => vi.unstubAllGlobals());

  const make = () => simdMultiply(new Float64Array(4), 2, 2, new Float64Array(2));

  test.each([
    ['that there is', undefined],
    ['with SIMD', { validate: (): boolean => false }],
    [
      'that the page may use',
      {
        validate: (): boolean => true,
        Module: class {
          constructor() {
            throw new EvalError('forbidden by the policy');
          }
        },
      },
    ],
  ])('%s there is no multiplication', (_, api) => {
    expect(make()).not.toBeNull();
    vi.stubGlobal('WebAssembly', api);
    expect(make()).toBeNull();
  });
});
