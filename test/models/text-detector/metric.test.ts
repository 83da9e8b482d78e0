import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Box } from '../../../models/text-detector/boxes.ts';
import { countMatches, overlapOf } from '../../../models/text-detector/metric.ts';

const box = (left: number, top: number, right: number, bottom: number): Box => ({ left, top, right, bottom });

const SIDE = 12;

/** Pixels in a box, one by one. */
function pixelsOf({ left, top, right, bottom }: Box): Set<number> {
  const all = Array.from({ length: SIDE * SIDE }, (_, i) => i);
  return new Set(all.filter((i) => i % SIDE >= left && i % SIDE < right && i >= top * SIDE && i < bottom * SIDE));
}

describe('the overlap of two boxes', () => {
  test('is what they share of what they cover, counted in pixels', () => {
    const side = fc.tuple(fc.integer({ min: 0, max: SIDE }), fc.integer({ min: 0, max: SIDE }));
    const boxes = fc
      .tuple(side, side)
      .map(([x, y]) => box(Math.min(...x), Math.min(...y), Math.max(...x), Math.max(...y)));
    fc.assert(
      fc.property(boxes, boxes, (a, b) => {
        const [inA, inB] = [pixelsOf(a), pixelsOf(b)];
        const shared = [...inA].filter((i) => inB.has(i)).length;
        const union = new Set([...inA, ...inB]).size;
        expect(overlapOf(a, b)).toBeCloseTo(union === 0 ? 0 : shared / union, 12);
        expect(overlapOf(b, a)).toBe(overlapOf(a, b));
      }),
      { numRuns: 300 },
    );
  });
});

describe('boxes that match', () => {
  test('overlap by a half or more', () => {
    const wanted = [box(0, 0, 10, 10)];
    expect(countMatches(wanted, [box(0, 0, 10, 5)])).toBe(1);
    expect(countMatches(wanted, [box(0, 0, 10, 4.9)])).toBe(0);
    expect(countMatches(wanted, [box(20, 0, 30, 10)])).toBe(0);
  });

  test('stand for one each', () => {
    const one = [box(0, 0, 10, 10)];
    const two = [box(0, 0, 10, 9), box(0, 1, 10, 10)];
    expect(countMatches(one, two)).toBe(1);
    expect(countMatches(two, one)).toBe(1);
    expect(countMatches(two, two)).toBe(2);
  });

  test('are taken best pair first', () => {
    // The first wanted box could have either; the second only the one that is its own.
    const wanted = [box(0, 0, 10, 10), box(0, 3, 10, 13)];
    const found = [box(0, 3, 10, 13), box(0, 0, 10, 8)];
    expect(countMatches(wanted, found)).toBe(2);
  });

  test('are none where nothing is wanted or found', () => {
    expect(countMatches([], [box(0, 0, 1, 1)])).toBe(0);
    expect(countMatches([box(0, 0, 1, 1)], [])).toBe(0);
  });
});
