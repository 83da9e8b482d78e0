/**
 * The range that loses least in the mean square: what lies outside is clipped, what lies inside is off by rounding, taken to
 * be uniform within a step. That sum is convex in both ends, and with one end fixed its minimum is known between any two
 * neighbouring values, so the ends are moved in turn, each to its exact optimum by a scan of those breakpoints. Exact for
 * values at the means of a fine histogram's bins; that the zero point will be rounded is left out. Source of the scan: AI Edge Quantizer, its OSCAR clipping.
 */
import type { ValueRange } from './activation-ranges.ts';
import type { Histogram } from './histogram.ts';

/** Steps between the ends of a range of 8 bits. */
const STEPS = 255;
/** The ends are each other's input: they settle after a few rounds. */
const ROUNDS_MAX = 100;

/** Values and how many there are of each, the one farthest from 0 first. */
type Points = readonly { readonly value: number; readonly count: number }[];

export function rangeBySquaredError({ counts, sums }: Histogram, seen: ValueRange): ValueRange {
  const points = [...counts].flatMap((count, i) => (count > 0 ? { value: (sums[i] as number) / count, count } : []));
  const above = points.filter(({ value }) => value > 0).reverse();
  const below = points.filter(({ value }) => value < 0).map(({ value, count }) => ({ value: -value, count }));
  // Zeros are exact whatever the range, so they make no rounding error.
  const noise = points.reduce((sum, { count }) => sum + count, 0) / (12 * STEPS * STEPS);
  let { low, high } = seen;
  for (let round = 0; round < ROUNDS_MAX; round++) {
    const [lowBefore, highBefore] = [low, high];
    high = bestEnd(above, -low, noise, seen.high);
    low = -bestEnd(below, high, noise, -seen.low);
    if (Math.abs(low - lowBefore) + Math.abs(high - highBefore) <= 1e-9 * (seen.high - seen.low)) break;
  }
  return { low: low === 0 ? 0 : low, high };
}

/**
 * The end c ≥ 0 with the least Σ max(v - c, 0)² + noise · (c + other)²: with k values clipped, where the derivative is 0,
 * c = (Σ clipped - noise · other) / (k + noise).
 * @param other distance of the other end from 0
 */
function bestEnd(points: Points, other: number, noise: number, endMax: number): number {
  let [clipped, sum] = [0, 0];
  for (const [i, { value, count }] of points.entries()) {
    clipped += count;
    sum += count * value;
    const end = (sum - noise * other) / (clipped + noise);
    // The derivative rises with c: the first segment that holds its zero is the one.
    if (end >= (points[i + 1]?.value ?? 0)) return Math.min(endMax, end);
  }
  return 0;
}
