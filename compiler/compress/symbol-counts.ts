/**
 * What the symbols of one coded tensor are like: how often each comes in each channel, and in each context. First whole
 * channels are counted, which gives classes of channels and buckets of symbols; contexts need both, so they come after.
 */
import { toBase64 } from '../../shared/base64.ts';
import { bucketCount, bucketsOf, countSymbols, type Geometry, stateCount } from '../../shared/codec/context-model.ts';
import { compactFrequency } from '../../shared/codec/frequencies.ts';
import type { QuantizedTensor } from '../../shared/plan.ts';

/** Channel classes of a tensor: more gain under 1 % on real boundaries and only make the plan larger. */
const CLASSES_MAX = 8;

export class SymbolCounts {
  private readonly bits: number;
  private readonly channels: number;
  /** [channel][symbol]. */
  private readonly byChannel: Float64Array;
  private classes: Uint8Array;
  private starts: Uint8Array;
  private bucketOf: Uint8Array;
  /** [context][bucket]. */
  private readonly first: Float64Array;
  private readonly second: Float64Array;

  constructor(channels: number, bits: number) {
    this.bits = bits;
    this.channels = channels;
    this.byChannel = new Float64Array(channels * 2 ** bits);
    this.classes = new Uint8Array(channels);
    this.starts = new Uint8Array(0);
    this.bucketOf = new Uint8Array(0);
    this.first = new Float64Array(CLASSES_MAX * stateCount(bits) * bucketCount(bits));
    this.second = new Float64Array(2 ** bits > bucketCount(bits) ? 2 ** bits : 0);
  }

  /** @param symbols [channels][any number] */
  count(symbols: Uint8Array): void {
    const perChannel = symbols.length / this.channels;
    for (let channel = 0, i = 0; channel < this.channels; channel++) {
      for (const end = i + perChannel; i < end; i++) {
        increment(this.byChannel, channel * 2 ** this.bits + (symbols[i] as number));
      }
    }
  }

  /** Ends the counting of whole channels: from here on contexts are counted. */
  fix(): void {
    const symbols = 2 ** this.bits;
    const total = new Float64Array(symbols);
    const ofChannel = (c: number) => this.byChannel.subarray(c * symbols, (c + 1) * symbols);
    for (let c = 0; c < this.channels; c++)
      for (const [symbol, count] of ofChannel(c).entries()) add(total, symbol, count);
    this.starts = bucketStarts(total, bucketCount(this.bits));
    this.bucketOf = bucketsOf(this.starts, symbols);
    this.classes = classesByEntropy(Array.from({ length: this.channels }, (_, c) => this.bucketEntropy(ofChannel(c))));
  }

  countContexts(symbols: Uint8Array, geometry: Geometry): void {
    const buckets = bucketCount(this.bits);
    const { first, second, classes, bucketOf } = this;
    countSymbols(symbols, geometry, { classes, bucketOf, buckets }, (context, symbol) => {
      increment(first, context * buckets + (bucketOf[symbol] as number));
      if (second.length > 0) increment(second, symbol);
    });
  }

  tables(): Pick<QuantizedTensor, 'channels' | 'classes' | 'starts' | 'first' | 'second'> {
    const buckets = bucketCount(this.bits);
    const classCount = Math.max(...this.classes) + 1;
    const isSplit = this.second.length > 0;
    const firsts = this.first.subarray(0, classCount * stateCount(this.bits) * buckets);
    return {
      channels: this.channels,
      classes: toBase64(this.classes),
      starts: toBase64(isSplit ? this.starts : new Uint8Array(0)),
      first: toBase64(compacted(firsts, buckets)),
      second: toBase64(this.compactedSecond()),
    };
  }

  private bucketEntropy(counts: Float64Array): number {
    const inBuckets = new Float64Array(bucketCount(this.bits));
    for (const [symbol, count] of counts.entries()) add(inBuckets, this.bucketOf[symbol] as number, count);
    return entropy(inBuckets);
  }

  private compactedSecond(): Uint8Array {
    const codes = new Uint8Array(this.second.length);
    if (codes.length === 0) return codes;
    for (const [bucket, start] of this.starts.entries()) {
      codes.set(compactCounts(this.second.subarray(start, this.starts[bucket + 1] ?? codes.length)), start);
    }
    return codes;
  }
}

/**
 * Where buckets of neighbouring symbols begin so that they come about equally often: what is common has a bucket to itself,
 * and so a context that knows it. The bucket that comes most often is split in two, again and again.
 * @param counts of each symbol
 */
export function bucketStarts(counts: Float64Array, buckets: number): Uint8Array {
  const ranges = [{ start: 0, end: counts.length }];
  // A trace of every symbol, so that what was never seen is split evenly.
  const trace = 1e-6 * (1 + counts.reduce((a, b) => a + b, 0));
  const mass = (start: number, end: number) =>
    counts.subarray(start, end).reduce((sum, count) => sum + count + trace / counts.length, 0);
  while (ranges.length < buckets) {
    const splittable = ranges.filter(({ start, end }) => end - start > 1);
    const [range] = splittable.sort((a, b) => mass(b.start, b.end) - mass(a.start, a.end));
    if (range === undefined) break;
    const half = mass(range.start, range.end) / 2;
    let middle = range.start + 1;
    // As even as it gets: a symbol goes to the left while that brings the left nearer to a half.
    while (middle < range.end - 1 && mass(range.start, middle) + mass(middle, middle + 1) / 2 < half) middle++;
    ranges.push({ start: middle, end: range.end });
    range.end = middle;
  }
  return Uint8Array.from(ranges.map(({ start }) => start).sort((a, b) => a - b));
}

/** Channels sorted by entropy, in classes of equal size. */
function classesByEntropy(entropies: readonly number[]): Uint8Array {
  const count = Math.min(CLASSES_MAX, entropies.length);
  const classes = new Uint8Array(entropies.length);
  const order = [...entropies.keys()].sort((a, b) => (entropies[a] as number) - (entropies[b] as number));
  for (const [rank, channel] of order.entries()) classes[channel] = Math.floor((rank * count) / entropies.length);
  return classes;
}

/** Bits a symbol of a source with these counts. */
export function entropy(counts: Float64Array): number {
  const total = counts.reduce((a, b) => a + b, 0);
  return counts.reduce((sum, count) => (count > 0 ? sum - (count / total) * Math.log2(count / total) : sum), 0);
}

function compacted(counts: Float64Array, perContext: number): Uint8Array {
  const codes = new Uint8Array(counts.length);
  for (let at = 0; at < counts.length; at += perContext) {
    codes.set(compactCounts(counts.subarray(at, at + perContext)), at);
  }
  return codes;
}

/** A context's counts, scaled down together where they pass what the 8-bit form can say. */
function compactCounts(counts: Float64Array): number[] {
  const scale = Math.min(1, 2 ** 18 / Math.max(1, ...counts));
  return Array.from(counts, (count) => compactFrequency(count * scale));
}

function increment(counts: Float64Array, index: number): void {
  add(counts, index, 1);
}

function add(counts: Float64Array, index: number, count: number): void {
  counts[index] = (counts[index] as number) + count;
}
