import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { fitLinear, meanOf, median, percentile, round } from '../../../compiler/measure/fit.ts';

describe('a straight line through points', () => {
  test('is found again where they lie on one', () => {
    const sizes = fc.uniqueArray(fc.integer({ min: 1, max: 1000 }), { minLength: 2, maxLength: 10 });
    const number = fc.integer({ min: -1000, max: 1000 });
    fc.assert(
      fc.property(sizes, number, number, (list, fixed, perSize) => {
        const line = fitLinear(list.map((size) => ({ size, value: fixed + perSize * size })));
        expect(line.perSize).toBeCloseTo(perSize, 3);
        expect(line.fixed).toBeCloseTo(fixed, 0);
      }),
    );
  });

  test('has the least squares where they do not', () => {
    const points = [
      { size: 1, value: 3 },
      { size: 2, value: 2 },
      { size: 3, value: 7 },
      { size: 4, value: 6 },
    ];
    expect(fitLinear(points)).toEqual({ fixed: 1, perSize: 1.4 });
  });

  test('is their mean where all have one size', () => {
    expect(fitLinear([5, 7, 9].map((value) => ({ size: 32, value })))).toEqual({ fixed: 7, perSize: 0 });
  });
});

describe('statistics', () => {
  test('the percentile is one of the values, and the highest for a share of 1', () => {
    const values = [5, 1, 4, 2, 3];
    expect([0, 0.2, 0.5, 0.95, 1].map((share) => percentile(values, share))).toEqual([1, 2, 3, 5, 5]);
    expect(values).toEqual([5, 1, 4, 2, 3]);
    expect(percentile([10, 9, 100], 0.5)).toBe(10);
  });

  test('the median is what half the values are below', () => {
    expect(median([9, 1, 1000])).toBe(9);
  });

  test('of nothing they are 0', () => {
    expect([percentile([], 0.5), median([]), meanOf([])]).toEqual([0, 0, 0]);
  });

  test('the mean is the sum over the count', () => {
    expect(meanOf([1, 2, 6])).toBe(3);
  });

  test('a figure keeps six digits that mean something', () => {
    expect([123456.789, 0.000123456789, -1.5, 0].map(round)).toEqual([123457, 0.000123457, -1.5, 0]);
  });
});
