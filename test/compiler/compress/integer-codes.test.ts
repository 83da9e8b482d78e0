import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { activationScale, weightScales } from '../../../compiler/compress/integer-codes.ts';

const [low, high] = [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY];

/** What the codes 0 and 255 mean. */
function endsOf({ scale, zeroPoint }: { scale: number; zeroPoint: number }) {
  return { low: -zeroPoint * scale, high: (255 - zeroPoint) * scale };
}

const near = fc.double({ min: 0.01, max: 1, noNaN: true });
const far = fc.double({ min: 1, max: 200, noNaN: true });

describe('codes of a range that an activation bounds', () => {
  test('reach to the bound below and no farther, and keep the other end', () => {
    fc.assert(
      fc.property(near, far, (bound, end) => {
        const plain = (bound + end) / 255;
        const ends = endsOf(activationScale({ low: -bound, high: end }, { low: -bound, high }));
        expect(ends.low).toBeGreaterThanOrEqual(-bound);
        if (bound >= plain) expect(ends.low).toBeLessThanOrEqual(-bound * (1 - 1e-6));
        expect(ends.high).toBeGreaterThanOrEqual(end - 0.0101 * (bound + end));
      }),
      { numRuns: 2000 },
    );
  });

  test('reach to the bound above and no farther, and keep the other end', () => {
    fc.assert(
      fc.property(near, far, (bound, end) => {
        const plain = (bound + end) / 255;
        const ends = endsOf(activationScale({ low: -end, high: bound }, { low, high: bound }));
        expect(ends.high).toBeLessThanOrEqual(bound);
        if (bound >= plain) expect(ends.high).toBeGreaterThanOrEqual(bound * (1 - 1e-6));
        expect(ends.low).toBeLessThanOrEqual(-end + 0.0101 * (bound + end));
      }),
      { numRuns: 2000 },
    );
  });

  test('stay within both bounds, and lose no more than half a step', () => {
    fc.assert(
      fc.property(near, near, (below, above) => {
        const scale = activationScale({ low: -below, high: above }, { low: -below, high: above });
        const ends = endsOf(scale);
        expect(ends.low).toBeGreaterThanOrEqual(-below);
        expect(ends.high).toBeLessThanOrEqual(above);
        const plain = (below + above) / 255;
        // The end with few codes moves by half a step; the other by as large a share of itself.
        const codes = Math.max(0.5, Math.min(scale.zeroPoint, 255 - scale.zeroPoint));
        expect(ends.high - ends.low).toBeGreaterThanOrEqual((below + above) * (1 - 1 / (codes + 0.5)) - plain);
      }),
      { numRuns: 2000 },
    );
  });

  test('do not reach beyond bounds where these need not be met, and then take the plain step where it fits', () => {
    fc.assert(
      fc.property(near, far, (bound, end) => {
        const range = { low: -bound, high: end };
        const scale = activationScale(range, { low: -bound, high }, false);
        expect(endsOf(scale).low).toBeGreaterThanOrEqual(-bound);
        const plain = activationScale(range);
        expect(scale.zeroPoint).toBe(plain.zeroPoint);
        expect(scale.scale).toBeLessThanOrEqual(plain.scale);
      }),
      { numRuns: 500 },
    );
  });

  test('are those of the range where the bound is far from it', () => {
    expect(activationScale({ low: -1, high: 4.1 }, { low: -3, high })).toEqual(activationScale({ low: -1, high: 4.1 }));
  });
});

test('a channel of zeros leaves the one scale of a weight to the others', () => {
  const rows = Float32Array.of(0.127, -0.0635, 0, 0);
  expect(weightScales(rows, 2, 'tensor', 127, undefined, 1)).toEqual(Float32Array.of(0.001));
  expect(weightScales(rows, 2, 'channel', 127, undefined, 1)).toEqual(Float32Array.of(0.001, 1));
  expect(weightScales(new Float32Array(4), 2, 'tensor', 127, undefined, 1)).toEqual(Float32Array.of(1));
});
