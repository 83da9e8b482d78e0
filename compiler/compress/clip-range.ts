/** How far a quantizer should reach: what lies beyond is cut off, and what lies within has the smaller steps for it. */
import type { QuantizerRange } from '../../shared/codec/quantize.ts';

const HISTOGRAM_BINS = 2048;
/** Candidate clips are these shares of the observed minimum and maximum. */
const CLIP_STEPS = 25;

/** The range whose quantization error over `values` is least in the mean square. It always holds 0. */
export function clipRange(values: readonly number[], bits: number): QuantizerRange {
  let min = 0;
  let max = 0;
  for (const value of values) {
    min = Math.min(min, value);
    max = Math.max(max, value);
  }
  const levels = 2 ** bits - 1;
  const width = max - min;
  // Nothing, or next to nothing: float32 could not hold the step.
  if (width < 1e-30) return { low: 0, step: Math.fround(1 / levels) };
  const counts = new Float64Array(HISTOGRAM_BINS);
  for (const value of values) {
    const bin = Math.min(HISTOGRAM_BINS - 1, Math.floor(((value - min) / width) * HISTOGRAM_BINS));
    counts[bin] = (counts[bin] as number) + 1;
  }
  let best: QuantizerRange = { low: min, step: width / levels };
  let bestError = Number.POSITIVE_INFINITY;
  for (let a = 1; a <= CLIP_STEPS; a++) {
    for (let b = 1; b <= CLIP_STEPS; b++) {
      const low = (min * a) / CLIP_STEPS;
      const step = ((max * b) / CLIP_STEPS - low) / levels;
      const error = squaredError(counts, { min, width }, { low, step }, levels);
      if (error < bestError) [best, bestError] = [{ low, step }, error];
    }
  }
  // Plans are JSON and hashed: float32 precision says all there is to say.
  return { low: Math.fround(best.low), step: Math.fround(best.step) };
}

function squaredError(
  counts: Float64Array,
  histogram: { min: number; width: number },
  { low, step }: QuantizerRange,
  levels: number,
): number {
  let error = 0;
  for (let bin = 0; bin < counts.length; bin++) {
    const count = counts[bin] as number;
    if (count === 0) continue;
    const value = histogram.min + ((bin + 0.5) / counts.length) * histogram.width;
    const level = Math.min(levels, Math.max(0, Math.round((value - low) / step)));
    error += count * (low + level * step - value) ** 2;
  }
  return error;
}
