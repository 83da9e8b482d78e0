/**
 * The range of every activation that is to be held in 8 bits, from samples: by what was seen, or by one of three rules that
 * give up rare large values for finer steps. One pass over the samples, whatever the rule.
 */
import { asFloat32 } from '../../shared/tensor.ts';
import { addValues, type Histogram, newHistogram } from './histogram.ts';
import { rangeByEntropy } from './range-by-entropy.ts';
import { rangeBySquaredError } from './range-by-squared-error.ts';
import { type SegmentData, visitValues } from './segment-data.ts';

/** Always holds 0: padding and what a ReLU stops must be exact. */
export interface ValueRange {
  readonly low: number;
  readonly high: number;
}

/** min-max keeps all that was seen; percentile a share of the values; entropy and mse weigh clipping against the step. */
export const CALIBRATION_METHODS = ['min-max', 'percentile', 'entropy', 'mse'] as const;
export type CalibrationMethod = (typeof CALIBRATION_METHODS)[number];

/** Share of the values that `percentile` keeps. Source: onnxruntime, python/tools/quantization/calibrate.py. */
const KEPT = 0.99999;

/**
 * @param names values of the segment's graph, of float32
 * @returns a range for each of them
 */
export async function calibrateRanges(
  data: SegmentData,
  names: readonly string[],
  method: CalibrationMethod,
): Promise<Map<string, ValueRange>> {
  if (method === 'min-max') return seenRanges(data, names);
  const histograms = await collectHistograms(data, names);
  return new Map([...histograms].map(([name, histogram]) => [name, rangeOf(histogram, method)]));
}

/** What `rangeOf` says of min-max, without the histograms. */
async function seenRanges(data: SegmentData, names: readonly string[]): Promise<Map<string, ValueRange>> {
  const ranges = new Map<string, ValueRange>(names.map((name) => [name, { low: 0, high: 0 }]));
  await visitValues(data.model, data, names, (values) => {
    for (const [name, range] of ranges) {
      const tensor = values[name];
      if (!tensor) continue;
      let { low, high } = range;
      for (const value of asFloat32(tensor)) {
        if (value < low) low = value;
        else if (value > high) high = value;
      }
      ranges.set(name, { low, high });
    }
  });
  return ranges;
}

/** What the values of each name are, for more than one rule. */
export async function collectHistograms(data: SegmentData, names: readonly string[]): Promise<Map<string, Histogram>> {
  const histograms = new Map(names.map((name) => [name, newHistogram()]));
  await visitValues(data.model, data, names, (values) => {
    for (const [name, histogram] of histograms) {
      const tensor = values[name];
      if (tensor) addValues(histogram, asFloat32(tensor));
    }
  });
  return histograms;
}

export function rangeOf(histogram: Histogram, method: CalibrationMethod): ValueRange {
  const seen = { low: Math.min(0, histogram.min), high: Math.max(0, histogram.max) };
  if (histogram.width === 0) return seen;
  switch (method) {
    case 'min-max':
      return seen;
    case 'percentile':
      return rangeByPercentile(histogram, seen);
    case 'entropy':
      return rangeByEntropy(histogram, seen);
    case 'mse':
      return rangeBySquaredError(histogram, seen);
    default:
      return method satisfies never;
  }
}

/** Half of what may go is cut off at each end, in whole bins. */
function rangeByPercentile({ counts, zeros, count, first, width }: Histogram, seen: ValueRange): ValueRange {
  const cut = (count * (1 - KEPT)) / 2;
  const countOf = (bin: number) => (counts[bin] ?? 0) + (bin === -first ? zeros : 0);
  let [from, to] = [0, counts.length - 1];
  for (let below = countOf(from); below <= cut && from < to; below += countOf(from)) from++;
  for (let above = countOf(to); above <= cut && to > from; above += countOf(to)) to--;
  return {
    low: Math.min(0, Math.max(seen.low, (first + from) * width)),
    high: Math.max(0, Math.min(seen.high, (first + to + 1) * width)),
  };
}
