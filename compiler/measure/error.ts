/** How far tensors are from what they should be: the two measures that verifying and measuring share. */
import type { Tensor, Tensors } from '../../shared/tensor.ts';
import { elementsOf } from '../compress/float16.ts';

type ErrorMeasure = (actual: Tensor, expected: Tensor) => number;

/** Infinite where a tensor is missing or of another size. */
export function worstError(names: readonly string[], actual: Tensors, expected: Tensors, error: ErrorMeasure): number {
  return Math.max(
    0,
    ...names.map((name) => {
      const [a, b] = [actual[name], expected[name]];
      if (!a || !b || a.data.length !== b.data.length) return Number.POSITIVE_INFINITY;
      return error(a, b);
    }),
  );
}

/** Largest absolute difference over the largest absolute value. NaN counts as infinitely wrong; equal infinities are right, and left out. */
export function largestError(actual: Tensor, expected: Tensor): number {
  const [made, wanted] = [elementsOf(actual), elementsOf(expected)];
  let difference = 0;
  let largest = 0;
  for (let i = 0; i < wanted.length; i++) {
    const [a, b] = [Number(made[i]), Number(wanted[i])];
    if (Number.isNaN(a) || Number.isNaN(b)) return Number.POSITIVE_INFINITY;
    if (isSameInfinity(a, b)) continue;
    difference = Math.max(difference, Math.abs(a - b));
    largest = Math.max(largest, Math.abs(b));
  }
  if (difference === Number.POSITIVE_INFINITY) return difference;
  return difference === 0 ? 0 : difference / largest;
}

/** Norm of the difference over the norm of the expected values. NaN counts as infinitely wrong; equal infinities are right, and left out. */
export function relativeError(actual: Tensor, expected: Tensor): number {
  const [made, wanted] = [elementsOf(actual), elementsOf(expected)];
  let difference = 0;
  let power = 0;
  for (let i = 0; i < wanted.length; i++) {
    const [a, b] = [Number(made[i]), Number(wanted[i])];
    if (isSameInfinity(a, b)) continue;
    difference += (a - b) ** 2;
    power += b ** 2;
  }
  if (difference === 0) return 0;
  const error = Math.sqrt(difference / power);
  return Number.isNaN(error) ? Number.POSITIVE_INFINITY : error;
}

/** What a mask leaves out is minus infinity in many models. */
function isSameInfinity(a: number, b: number): boolean {
  return a === b && !Number.isFinite(a);
}
