import { describe, expect, test } from 'vitest';
import { rangeMs } from '../../../compiler/measure/candidates.ts';

describe('the time of a range of pieces', () => {
  test('is their sum where the whole takes as long as all of them', () => {
    expect(rangeMs([1, 2, 3, 4], [10], 1, 3)).toBe(5);
  });

  test('is less what the pieces lose by being pieces, evenly; a single piece loses nothing', () => {
    // 12 instead of 9: one a joint.
    const pieces = [3, 3, 3, 3];
    expect([1, 2, 3, 4].map((to) => rangeMs(pieces, [9], 0, to))).toEqual([3, 5, 7, 9]);
    expect(rangeMs(pieces, [9], 2, 4)).toBe(5);
  });

  test('never shrinks as it becomes longer, and is nothing for an empty range', () => {
    const pieces = [1, 1, 10];
    expect([0, 1, 2, 3].map((to) => rangeMs(pieces, [2], 0, to))).toEqual([0, 1, 2, 10]);
    expect(rangeMs([5], [4], 0, 1)).toBe(5);
    // Faster than the whole, by noise: nothing is lost.
    expect(rangeMs([1, 2], [4], 0, 2)).toBe(3);
  });
});
