/**
 * The range whose 8-bit codes tell most about the values: of ranges up to a threshold on either side of 0, the one where the
 * distribution as quantized diverges least (Kullback and Leibler) from the distribution itself, with what was clipped counted
 * at the ends. Source: Migacz, "8-bit inference with TensorRT" (2017), and onnxruntime's calibrate.py, for ranges that need
 * not be symmetric; that zeros are left as they are is pytorch-quantization's (NVIDIA), calib/histogram.py.
 */
import type { ValueRange } from './activation-ranges.ts';
import type { Histogram } from './histogram.ts';

/** Cells of the widest range that the divergence is computed over. */
export const ENTROPY_CELLS = 2048;
/** Codes that there are. */
export const ENTROPY_LEVELS = 256;
/** Thresholds tried, evenly spaced: the last one is all that was seen. */
export const ENTROPY_THRESHOLDS = 128;
/** Below this share of the farthest value nothing is tried: that far, no clipping was ever right. */
const THRESHOLD_MIN = ENTROPY_LEVELS / ENTROPY_CELLS;
/** In place of a count of 0. */
const SMOOTHED = 1e-4;

export function rangeByEntropy(histogram: Histogram, seen: ValueRange): ValueRange {
  const farthest = Math.max(-seen.low, seen.high);
  const cell = (seen.high - seen.low) / ENTROPY_CELLS;
  const points = pointsOf(histogram);
  let best = seen;
  let bestDivergence = Number.POSITIVE_INFINITY;
  for (let i = 1; i <= ENTROPY_THRESHOLDS; i++) {
    const threshold = farthest * (THRESHOLD_MIN + ((1 - THRESHOLD_MIN) * i) / ENTROPY_THRESHOLDS);
    const range = { low: Math.max(seen.low, -threshold), high: Math.min(seen.high, threshold) };
    const divergence = divergenceOf(points, range, cell);
    if (divergence < bestDivergence) [best, bestDivergence] = [range, divergence];
  }
  return best;
}

interface Point {
  readonly value: number;
  readonly count: number;
  /** One value that a code means exactly, not many that share it: it is not spread over its neighbours when coded. */
  readonly isExact: boolean;
}

/**
 * Zeros and the ends of what was seen are exact. Without that, what a ReLU or a bound left there would be most of the
 * divergence of every range with more than one cell a code, and the narrowest range would always win.
 */
function pointsOf({ counts, sums, zeros, first, width, min, max, atMin, atMax }: Histogram): Point[] {
  const exact = [
    { value: 0, count: zeros },
    ...(min === 0 ? [] : [{ value: min, count: atMin }]),
    ...(max === 0 || max === min ? [] : [{ value: max, count: atMax }]),
  ];
  const [left, leftSums] = [counts.slice(), sums.slice()];
  for (const { value, count } of exact) {
    if (value === 0) continue;
    const bin = Math.floor(value / width) - first;
    left[bin] = (left[bin] as number) - count;
    leftSums[bin] = (leftSums[bin] as number) - count * value;
  }
  const spread = [...left].map((count, i) => ({ value: (leftSums[i] as number) / count, count, isExact: false }));
  return [...exact.map((point) => ({ ...point, isExact: true })), ...spread].filter(({ count }) => count > 0);
}

function divergenceOf(points: readonly Point[], { low, high }: ValueRange, cell: number): number {
  const cells = Math.max(ENTROPY_LEVELS, Math.round((high - low) / cell));
  const inside = new Float64Array(cells);
  const clipped = new Float64Array(cells);
  const exact: number[] = [];
  for (const { value, count, isExact } of points) {
    const isInside = value >= low && value <= high;
    if (isInside && isExact) {
      exact.push(count);
      continue;
    }
    const at = Math.min(cells - 1, Math.max(0, Math.floor(((value - low) / (high - low)) * cells)));
    const to = isInside ? inside : clipped;
    to[at] = (to[at] as number) + count;
  }
  const actual = inside.map((count, i) => count + (clipped[i] as number));
  return divergence([...actual, ...exact], [...asQuantized(inside, actual), ...exact]);
}

/** What is left when each code spreads its count evenly over the cells that had any. */
function asQuantized(inside: Float64Array, actual: Float64Array): Float64Array {
  const spread = new Float64Array(inside.length);
  for (let level = 0; level < ENTROPY_LEVELS; level++) {
    const from = Math.floor((level * inside.length) / ENTROPY_LEVELS);
    const to = Math.floor(((level + 1) * inside.length) / ENTROPY_LEVELS);
    let [sum, taken] = [0, 0];
    for (let i = from; i < to; i++) {
      sum += inside[i] as number;
      if ((actual[i] as number) > 0) taken++;
    }
    for (let i = from; i < to; i++) if ((actual[i] as number) > 0) spread[i] = sum / taken;
  }
  return spread;
}

/** Of two lists of counts, in nats. */
function divergence(p: readonly number[], q: readonly number[]): number {
  const total = (counts: readonly number[]) => counts.reduce((a, b) => a + b, 0) || 1;
  const [pTotal, qTotal] = [total(p), total(q)];
  let sum = 0;
  for (const [i, count] of p.entries()) {
    if (count > 0) sum += (count / pTotal) * Math.log(count / pTotal / ((q[i] || SMOOTHED) / qTotal));
  }
  return sum;
}
