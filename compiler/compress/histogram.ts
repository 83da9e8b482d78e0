/**
 * Counts of values that come batch by batch, in bins whose width never has to be known before: bins lie at whole multiples of
 * one width, the range grows by whole bins so that old counts keep theirs, and where there would be too many bins, pairs of
 * them become one. Memory does not depend on how much was counted. Zeros are counted apart: after a ReLU they are most
 * values, and every range holds them exactly. So are those that equal the least or largest value, where a bound cut many off.
 */

/** Bins of the first batch on its wider side. */
const BINS_AT_FIRST = 2048;
/** With more, the width is doubled. */
const BINS_MAX = 8192;

export interface Histogram {
  /** Least and largest value seen; 0 before there is one. */
  min: number;
  max: number;
  /** How many values were as small, or as large, as these. They are in the bins (or zeros) as well. */
  atMin: number;
  atMax: number;
  zeros: number;
  /** All values seen, zeros too. NaN and infinite ones are left out. */
  count: number;
  /** Of a bin; 0 before a value other than 0 was seen. */
  width: number;
  /** Bin i counts values in [(first + i) · width, (first + i + 1) · width), and holds their sum beside. */
  first: number;
  counts: Float64Array;
  sums: Float64Array;
}

export function newHistogram(): Histogram {
  const none = new Float64Array(0);
  return { min: 0, max: 0, atMin: 0, atMax: 0, zeros: 0, count: 0, width: 0, first: 0, counts: none, sums: none };
}

export function addValues(histogram: Histogram, values: Float32Array): void {
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  let [atLow, atHigh, finite] = [0, 0, 0];
  for (const value of values) {
    if (!Number.isFinite(value)) continue;
    finite++;
    if (value < low) [low, atLow] = [value, 0];
    if (value > high) [high, atHigh] = [value, 0];
    if (value === low) atLow++;
    if (value === high) atHigh++;
  }
  if (finite === 0) return;
  if (histogram.count === 0 || low < histogram.min) [histogram.min, histogram.atMin] = [low, 0];
  if (histogram.count === 0 || high > histogram.max) [histogram.max, histogram.atMax] = [high, 0];
  if (low === histogram.min) histogram.atMin += atLow;
  if (high === histogram.max) histogram.atMax += atHigh;
  histogram.count += finite;
  if (low === 0 && high === 0) {
    histogram.zeros += finite;
    return;
  }
  cover(histogram, low, high);
  const { width, first, counts, sums } = histogram;
  for (const value of values) {
    if (value === 0) histogram.zeros++;
    else if (Number.isFinite(value)) {
      const bin = Math.floor(value / width) - first;
      counts[bin] = (counts[bin] as number) + 1;
      sums[bin] = (sums[bin] as number) + value;
    }
  }
}

/** Widens the bins until all from `low` to `high` are there and no more than there may be. */
function cover(histogram: Histogram, low: number, high: number): void {
  if (histogram.width === 0) histogram.width = Math.max(Math.abs(low), Math.abs(high)) / BINS_AT_FIRST;
  for (;;) {
    const { width, first, counts } = histogram;
    const isEmpty = counts.length === 0;
    const from = Math.min(isEmpty ? 0 : first, Math.floor(low / width));
    const to = Math.max(isEmpty ? 0 : first + counts.length, Math.floor(high / width) + 1);
    if (to - from <= BINS_MAX) {
      if (from < first || to > first + counts.length) move(histogram, width, from, to, (bin) => bin);
      return;
    }
    const [half, end] = [Math.floor(first / 2), Math.ceil((first + counts.length) / 2)];
    move(histogram, width * 2, half, end, (bin) => Math.floor(bin / 2));
  }
}

function move(histogram: Histogram, width: number, from: number, to: number, newBin: (bin: number) => number): void {
  const { first, counts, sums } = histogram;
  const [newCounts, newSums] = [new Float64Array(to - from), new Float64Array(to - from)];
  for (const [i, count] of counts.entries()) {
    const at = newBin(first + i) - from;
    newCounts[at] = (newCounts[at] as number) + count;
    newSums[at] = (newSums[at] as number) + (sums[i] as number);
  }
  Object.assign(histogram, { width, first: from, counts: newCounts, sums: newSums });
}
