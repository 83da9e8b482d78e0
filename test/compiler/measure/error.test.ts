import { expect, test } from 'vitest';
import { float16Bits } from '../../../compiler/compress/float16.ts';
import { largestError, relativeError } from '../../../compiler/measure/error.ts';
import { float32, type Tensor } from '../../../shared/tensor.ts';

const half = (...values: number[]): Tensor => {
  const data = float16Bits(Float32Array.from(values));
  return { dtype: 'float16', shape: [values.length], data };
};

test('errors of half precision are those of the numbers, not of their bits', () => {
  // Neighbours on both sides of 0, and infinities as masks have them.
  const [actual, expected] = [half(3, 4 + 2 ** -8, -1e-7, -Infinity), half(3, 4, 1e-7, -Infinity)];
  expect(relativeError(actual, expected)).toBeCloseTo(2 ** -8 / 5, 6);
  expect(largestError(actual, expected)).toBeCloseTo(2 ** -8 / 4, 6);
  expect(relativeError(half(Number.NaN), half(1))).toBe(Number.POSITIVE_INFINITY);
});

test('errors are of the norm and of the largest value', () => {
  const [actual, expected] = [float32([2], Float32Array.of(3, 5)), float32([2], Float32Array.of(3, 4))];
  expect(relativeError(actual, expected)).toBeCloseTo(0.2, 12);
  expect(largestError(actual, expected)).toBe(0.25);
});
