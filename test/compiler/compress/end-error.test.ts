import { describe, expect, test } from 'vitest';
import { divergence, endError } from '../../../compiler/compress/end-error.ts';
import { float16Bits } from '../../../compiler/compress/float16.ts';
import { float32, type Tensor, type Tensors } from '../../../shared/tensor.ts';

const values = (...numbers: number[]): Tensors => ({ y: float32([numbers.length / 2, 2], Float32Array.from(numbers)) });

describe('an error at the end', () => {
  test('is the relative entropy of probabilities, a mean over positions', () => {
    const expected = values(0.5, 0.5, 1, 0);
    const actual = values(0.25, 0.75, 0.5, 0.5);
    const first = 0.5 * Math.log(0.5 / 0.25) + 0.5 * Math.log(0.5 / 0.75);
    expect(divergence(actual, expected)).toBeCloseTo((first + Math.log(2)) / 2, 6);
    expect(divergence(expected, expected)).toBe(0);
    // A class that is gone altogether is bad, and no infinity.
    expect(divergence(values(0.5, 0.5, 0, 1), expected)).toBeCloseTo(Math.log(1e6) / 2, 3);
  });

  test('is the squared error of what is no probability, over its square', () => {
    expect(divergence(values(3, 4, 0, 1), values(3, 4, 0, 0))).toBeCloseTo(1 / 25, 9);
    expect(divergence(values(-1, 2), values(-1, 1))).toBeCloseTo(0.5, 9);
  });

  test('is counted in half precision too', () => {
    const half = (...numbers: number[]): Tensors => {
      const data = float16Bits(Float32Array.from(numbers));
      return { y: { dtype: 'float16', shape: [numbers.length], data } };
    };
    expect(divergence(half(3, 4, 1), half(3, 4, 0))).toBeCloseTo(1 / 25, 9);
  });

  test('is of what the rest makes of the outputs; that of the expected ones is made once', async () => {
    let runs = 0;
    const error = endError(async (outputs) => {
      runs++;
      return {
        y: float32(
          [1, 2],
          ((outputs['x'] as Tensor).data as Float32Array).map((value) => value * value),
        ),
      };
    });
    const expected = { x: float32([1, 2], Float32Array.of(3, 4)) };
    const actual = { x: float32([1, 2], Float32Array.of(3, 5)) };
    expect(await error(actual, expected)).toBeCloseTo(81 / (81 + 256), 6);
    expect(await error(expected, expected)).toBe(0);
    expect(runs).toBe(3);
  });
});
