import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { dequantize, quantize } from '../../../shared/codec/quantize.ts';

const ranges = fc.record({
  low: fc.float({ min: -1000, max: 1000, noNaN: true }),
  step: fc.float({ min: Math.fround(0.001), max: 100, noNaN: true }),
});
const widths = fc.constantFrom(4, 8);

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
