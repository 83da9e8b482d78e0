/**
 * Which frequencies to expect for the next symbol. Symbols are coded in up to two steps: first the bucket that holds it,
 * of 16 at most, whose frequencies depend on its channel's class (channels that behave alike share tables) and on the
 * neighbours decoded before it: to its left, and above it where there are rows; then, where a bucket holds several
 * symbols, which of them, given the bucket alone. All tables are static, made by the compiler from calibration samples
 * and carried by the plan; a message carries none.
 */
import { TandemError } from '../errors.ts';
import { cumulative, LOOKUP_ENTRIES, lookup } from './frequencies.ts';
import type { RangeDecoder, RangeEncoder } from './range-coder.ts';

const BUCKETS_MAX = 16;

/** How a tensor lies: channels outermost, each of `rows` x `columns` symbols. */
export interface Geometry {
  readonly channels: number;
  readonly rows: number;
  readonly columns: number;
}

/** As the plan carries it. Bytes of `first` and `second` are frequencies in the 8-bit form of `expandFrequency`. */
export interface ContextTables {
  /** Class of each channel. */
  readonly classes: Uint8Array;
  /** First symbol of each bucket; empty for symbols of up to 4 bits, which are their own buckets. */
  readonly starts: Uint8Array;
  /** [class][neighbour state][bucket]. */
  readonly first: Uint8Array;
  /** [symbol], within its bucket; empty for symbols of up to 4 bits. */
  readonly second: Uint8Array;
}

/** Ready to code with. */
export interface ContextModel {
  readonly classes: Uint8Array;
  readonly buckets: number;
  /** Of each symbol. */
  readonly bucketOf: Uint8Array;
  readonly first: Coding;
  /** null where every bucket holds one symbol. Context b is bucket b, its symbols counted from `starts[b]`. */
  readonly second: Coding | null;
  readonly starts: Uint8Array;
}

/** Contexts with their cumulative frequencies: those of context c begin at `offsets[c]`. */
interface Coding {
  readonly offsets: Uint32Array;
  readonly cumulated: Uint16Array;
  /** [context][LOOKUP_ENTRIES]. */
  readonly lookup: Uint8Array;
}

/** Buckets of symbols of this many bits. */
export function bucketCount(bits: number): number {
  return Math.min(BUCKETS_MAX, 2 ** bits);
}

/** Neighbour states: what the neighbours' mean bucket is, and one for "no neighbour". */
export function stateCount(bits: number): number {
  return bucketCount(bits) + 1;
}

/** Throws BAD_PLAN where the tables' sizes do not fit together. */
export function contextModel(tables: ContextTables, bits: number): ContextModel {
  const { classes, first, second } = tables;
  const classCount = classes.reduce((most, value) => Math.max(most, value + 1), 0);
  const buckets = bucketCount(bits);
  const symbols = 2 ** bits;
  const isSplit = symbols > buckets;
  const expected = [classCount * stateCount(bits) * buckets, isSplit ? symbols : 0, isSplit ? buckets : 0];
  const got = [first.length, second.length, tables.starts.length];
  if (got.some((length, i) => length !== expected[i])) {
    throw new TandemError(
      'BAD_PLAN',
      `a context model of ${bits} bits and ${classCount} classes takes tables of ${expected} entries, got ${got}`,
    );
  }
  const starts = isSplit ? tables.starts : Uint8Array.from({ length: buckets }, (_, b) => b);
  if (starts[0] !== 0 || starts.some((start, b) => start >= symbols || (b > 0 && start <= (starts[b - 1] as number)))) {
    throw new TandemError('BAD_PLAN', `buckets of ${bits} bits start at 0 and rise below ${symbols}, got ${starts}`);
  }
  const contexts = Array.from({ length: first.length / buckets }, (_, c) =>
    first.subarray(c * buckets, (c + 1) * buckets),
  );
  const within = Array.from(starts, (start, b) => second.subarray(start, starts[b + 1] ?? symbols));
  return {
    ...{ classes, buckets, starts, bucketOf: bucketsOf(starts, symbols) },
    first: codingOf(contexts),
    second: isSplit ? codingOf(within) : null,
  };
}

/** Bucket of each symbol. */
export function bucketsOf(starts: Uint8Array, symbols: number): Uint8Array {
  const buckets = new Uint8Array(symbols);
  for (let symbol = 1, bucket = 0; symbol < symbols; symbol++) {
    if (symbol === starts[bucket + 1]) bucket++;
    buckets[symbol] = bucket;
  }
  return buckets;
}

function codingOf(contexts: readonly Uint8Array[]): Coding {
  const tables = contexts.map(cumulative);
  const offsets = new Uint32Array(tables.length);
  const cumulated = new Uint16Array(tables.reduce((sum, { length }) => sum + length, 0));
  const lookups = new Uint8Array(tables.length * LOOKUP_ENTRIES);
  let offset = 0;
  for (const [context, table] of tables.entries()) {
    offsets[context] = offset;
    cumulated.set(table, offset);
    lookups.set(lookup(table), context * LOOKUP_ENTRIES);
    offset += table.length;
  }
  return { offsets, cumulated, lookup: lookups };
}

export function encodeSymbols(
  symbols: Uint8Array,
  geometry: Geometry,
  model: ContextModel,
  encoder: RangeEncoder,
): void {
  for (const row of rowsOf(geometry, model.classes, model.buckets)) {
    encodeRow(symbols, row, model, encoder);
    if (encoder.isFull) return;
  }
}

/** Fills `symbols`. */
export function decodeSymbols(
  symbols: Uint8Array,
  geometry: Geometry,
  model: ContextModel,
  decoder: RangeDecoder,
): void {
  for (const row of rowsOf(geometry, model.classes, model.buckets)) decodeRow(symbols, row, model, decoder);
}

/**
 * Tells every symbol with its context: what the compiler makes tables of.
 * @param bucketOf of each symbol
 * @param buckets how many there are
 */
export function countSymbols(
  symbols: Uint8Array,
  geometry: Geometry,
  { classes, bucketOf, buckets }: Pick<ContextModel, 'classes' | 'bucketOf' | 'buckets'>,
  count: (context: number, symbol: number) => void,
): void {
  for (const { base, start, end, above } of rowsOf(geometry, classes, buckets)) {
    let left = -1;
    for (let i = start; i < end; i++) {
      const symbol = symbols[i] as number;
      count(base + neighbourState(left, bucketAbove(symbols, i, above, bucketOf), buckets), symbol);
      left = bucketOf[symbol] as number;
    }
  }
}

/** One row of one channel, in coding order. */
interface Row {
  /** First context of the channel's class. */
  readonly base: number;
  readonly start: number;
  readonly end: number;
  /** How far back the same column of the row above is; 0 where there is none. */
  readonly above: number;
}

function* rowsOf({ channels, rows, columns }: Geometry, classes: Uint8Array, buckets: number): Generator<Row> {
  let start = 0;
  for (let channel = 0; channel < channels; channel++) {
    const base = (classes[channel] as number) * (buckets + 1);
    for (let row = 0; row < rows; row++) {
      yield { base, start, end: start + columns, above: row > 0 ? columns : 0 };
      start += columns;
    }
  }
}

// Both loops take all they touch as plain locals: over a closure they run three times slower.

function encodeRow(
  symbols: Uint8Array,
  { base, start, end, above }: Row,
  { first, second, bucketOf, buckets, starts }: ContextModel,
  encoder: RangeEncoder,
): void {
  let left = -1;
  for (let i = start; i < end; i++) {
    const symbol = symbols[i] as number;
    const bucket = bucketOf[symbol] as number;
    encodeIn(first, base + neighbourState(left, bucketAbove(symbols, i, above, bucketOf), buckets), bucket, encoder);
    if (second !== null) encodeIn(second, bucket, symbol - (starts[bucket] as number), encoder);
    left = bucket;
  }
}

function decodeRow(
  symbols: Uint8Array,
  { base, start, end, above }: Row,
  { first, second, bucketOf, buckets, starts }: ContextModel,
  decoder: RangeDecoder,
): void {
  let left = -1;
  for (let i = start; i < end; i++) {
    const state = neighbourState(left, bucketAbove(symbols, i, above, bucketOf), buckets);
    const bucket = decodeIn(first, base + state, decoder);
    symbols[i] = second === null ? bucket : (starts[bucket] as number) + decodeIn(second, bucket, decoder);
    left = bucket;
  }
}

/** -1 where there is no row above. */
function bucketAbove(symbols: Uint8Array, i: number, above: number, bucketOf: Uint8Array): number {
  return above === 0 ? -1 : (bucketOf[symbols[i - above] as number] as number);
}

/** The rounded mean of the neighbours' buckets; -1 stands for one that is not there. */
function neighbourState(left: number, above: number, buckets: number): number {
  if (left < 0) return above < 0 ? buckets : above;
  return above < 0 ? left : (left + above + 1) >> 1;
}

function encodeIn({ offsets, cumulated }: Coding, context: number, symbol: number, encoder: RangeEncoder): void {
  const at = (offsets[context] as number) + symbol;
  const start = cumulated[at] as number;
  encoder.encode(start, (cumulated[at + 1] as number) - start);
}

function decodeIn({ offsets, cumulated, lookup: lookups }: Coding, context: number, decoder: RangeDecoder): number {
  return decoder.decode(cumulated, offsets[context] as number, lookups, context * LOOKUP_ENTRIES);
}
