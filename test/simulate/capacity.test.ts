import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Capacity, type Piece } from '../../simulate/capacity.ts';

/** Whole milliseconds and rates, so that adding up millisecond by millisecond is exact. */
const timeline = fc
  .array(fc.record({ lengthMs: fc.integer({ min: 1, max: 9 }), rate: fc.constantFrom(0, 0, 1, 3, 10) }), {
    minLength: 1,
    maxLength: 8,
  })
  .filter((pieces) => pieces.some(({ rate }) => rate > 0))
  .map((pieces) => {
    const made: Piece[] = [];
    let atMs = 0;
    for (const { lengthMs, rate } of pieces) {
      made.push({ atMs, rate });
      atMs += lengthMs;
    }
    return { pieces: made, periodMs: atMs };
  });

/** The rate in the millisecond that begins then, looked up without any cleverness. */
function rateIn(ms: number, { pieces, periodMs }: { pieces: readonly Piece[]; periodMs: number }): number {
  return pieces.findLast(({ atMs }) => atMs <= ms % periodMs)?.rate ?? 0;
}

describe('capacity', () => {
  test('ends a transfer where adding up millisecond by millisecond does', () => {
    fc.assert(
      fc.property(timeline, fc.integer({ min: 0, max: 200 }), fc.integer({ min: 1, max: 300 }), (line, atMs, units) => {
        const capacity = new Capacity(line.pieces, line.periodMs);
        let left = units;
        let ms = atMs;
        while (left > rateIn(ms, line)) left -= rateIn(ms++, line);
        expect(capacity.finish(atMs, units)).toBeCloseTo(ms + left / rateIn(ms, line), 6);
      }),
      { numRuns: 500 },
    );
  });

  test('counts between two times what adding up millisecond by millisecond does', () => {
    fc.assert(
      fc.property(timeline, fc.integer({ min: 0, max: 99 }), fc.integer({ min: 0, max: 99 }), (line, fromMs, forMs) => {
        let sum = 0;
        for (let ms = fromMs; ms < fromMs + forMs; ms++) sum += rateIn(ms, line);
        expect(new Capacity(line.pieces, line.periodMs).between(fromMs, fromMs + forMs)).toBeCloseTo(sum, 6);
      }),
    );
  });

  test('never ends sooner what begins later, or is more', () => {
    const anyTime = fc.double({ min: 0, max: 500, noNaN: true });
    fc.assert(
      fc.property(timeline, anyTime, anyTime, anyTime, anyTime, (line, a, b, units, more) => {
        const capacity = new Capacity(line.pieces, line.periodMs);
        const [early, late] = a < b ? [a, b] : [b, a];
        expect(capacity.finish(late, units)).toBeGreaterThanOrEqual(capacity.finish(early, units) - 1e-6);
        expect(capacity.finish(early, units + more)).toBeGreaterThanOrEqual(capacity.finish(early, units) - 1e-6);
      }),
    );
  });

  test('takes no time for nothing, in the middle of an outage too', () => {
    const capacity = new Capacity(
      [
        { atMs: 0, rate: 1 },
        { atMs: 10, rate: 0 },
      ],
      20,
    );
    expect(capacity.finish(12, 0)).toBe(12);
    expect(capacity.finish(12, 1)).toBe(21);
    expect(capacity.finish(0, 10)).toBe(10);
  });

  test('refuses what carries nothing, and times that do not rise', () => {
    expect(() => new Capacity([{ atMs: 0, rate: 0 }], 10)).toThrow(RangeError);
    expect(
      () =>
        new Capacity(
          [
            { atMs: 0, rate: 1 },
            { atMs: 0, rate: 1 },
          ],
          10,
        ),
    ).toThrow(RangeError);
    expect(
      () =>
        new Capacity(
          [
            { atMs: 0, rate: 1 },
            { atMs: 10, rate: 1 },
          ],
          10,
        ),
    ).toThrow(RangeError);
  });
});
