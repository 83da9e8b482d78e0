import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { centreOf, dequantize, quantize, quantizeCentred } from '../../../shared/codec/quantize.ts';

const ranges = fc.record({
  low: fc.float({ min: -1000, max: 1000, noNaN: true }),
  step: fc.float({ min: Math.fround(0.001), max: 100, noNaN: true }),
});
const widths = fc.constantFrom(2, 3, 4, 5, 6, 7, 8);

describe('quantization', () => {
  test('is off by half a step at most, inside the range', () => {
    const share = fc.double({ min: 0, max: 1, noNaN: true });
    fc.assert(
      fc.property(ranges, widths, share, (range, bits, at) => {
        const value = Math.fround(range.low + at * range.step * (2 ** bits - 1));
        const [back] = dequantize(quantize(Float32Array.of(value), range, bits), range) as unknown as [number];
        const rounding = 2 ** -22 * (Math.abs(range.low) + range.step * 2 ** bits);
        expect(Math.abs(value - back)).toBeLessThanOrEqual(range.step / 2 + rounding);
      }),
      { numRuns: 1000 },
    );
  });

  test('takes what lies outside to the nearer end', () => {
    const far = fc.double({ min: 0, max: 1e30, noNaN: true });
    fc.assert(
      fc.property(ranges, widths, far, ({ low, step }, bits, distance) => {
        const top = 2 ** bits - 1;
        const values = Float32Array.of(low - distance, low + step * top + distance);
        expect([...quantize(values, { low, step }, bits)]).toEqual([0, top]);
      }),
    );
  });

  test('takes infinities to the ends and NaN to the lowest level', () => {
    const { POSITIVE_INFINITY, NEGATIVE_INFINITY, NaN: notANumber } = Number;
    const values = Float32Array.of(NEGATIVE_INFINITY, POSITIVE_INFINITY, notANumber);
    expect([...quantize(values, { low: -1, step: 0.5 }, 4)]).toEqual([0, 15, 0]);
    expect([...quantize(values, { low: -1, step: 0.5 }, 8)]).toEqual([0, 255, 0]);
  });

  test('gives every level its symbol, and the symbol its level', () => {
    const range = { low: -2, step: 0.25 };
    const levels = Float32Array.from({ length: 16 }, (_, symbol) => -2 + symbol * 0.25);
    expect(quantize(levels, range, 4)).toEqual(Uint8Array.from({ length: 16 }, (_, symbol) => symbol));
    expect(dequantize(quantize(levels, range, 4), range)).toEqual(levels);
  });
});

describe('quantization around 0', () => {
  const levelsOf = (values: readonly number[], rounding: number, bits = 4) =>
    [...quantizeCentred(Float64Array.from(values), 2, bits, rounding)].map((symbol) => symbol - centreOf(bits));

  test('rounds to the nearest level where a half is the least that counts', () => {
    expect(levelsOf([0, 0.9, -0.9, 1.1, -1.1, 2.9, -2.9, 3.1, -3.1], 0.5)).toEqual([0, 0, 0, 1, -1, 1, -1, 2, -2]);
  });

  test('takes more to a level nearer to 0 where less counts, alike on both sides', () => {
    // Up from 0.7 of a step on.
    expect(levelsOf([1.3, -1.3, 1.5, -1.5, 3.3, -3.3, 3.5, -3.5], 0.3)).toEqual([0, 0, 1, -1, 1, -1, 2, -2]);
  });

  test('takes what lies outside to the last level, and what is no number to 0', () => {
    const { POSITIVE_INFINITY: far, NaN: notANumber } = Number;
    expect(levelsOf([16, -16, 1e30, -1e30, far, -far, notANumber], 0.4)).toEqual([7, -8, 7, -8, 7, -8, 0]);
    expect(levelsOf([1e30, -1e30], 0.5, 8)).toEqual([127, -128]);
  });

  test('is never off by more than a step less the rounding, inside the levels', () => {
    const value = fc.double({ min: -100, max: 100, noNaN: true });
    fc.assert(
      fc.property(value, fc.constantFrom(0.5, 0.4, 0.3), fc.boolean(), (at, rounding, isFloat32) => {
        const values = isFloat32 ? Float32Array.of(at) : Float64Array.of(at);
        const level = (quantizeCentred(values, 1, 8, rounding)[0] as number) - 128;
        expect(Math.abs(level - (values[0] as number))).toBeLessThanOrEqual(1 - rounding + 1e-5);
        expect(Math.abs(level)).toBeLessThanOrEqual(Math.abs(values[0] as number) + rounding);
      }),
      { numRuns: 500 },
    );
  });
});
