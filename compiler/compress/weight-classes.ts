/**
 * Frequency tables for quantized weights. Channels whose codes spread alike share a table, found by Lloyd's algorithm
 * with code length as the distance, over the channels of all weights of a file: a table costs bytes, and one weight
 * alone rarely has enough codes to pay for several.
 */

/** How often each code occurs in one channel: index is code + 128. */
export type Histogram = Uint32Array;

export interface WeightClasses {
  /** Class of each channel. */
  readonly classes: Uint8Array;
  /** Of each class, the sum over its channels. */
  readonly tables: readonly Histogram[];
  /** What all channels take: codes, classes and tables. */
  readonly bits: number;
}

/** Values of a code. */
export const CODES = 256;
/** Numbers of classes that are tried. On ocr-line at 4 bits a 16th class costs as much as it saves. */
const CLASS_COUNTS = [1, 2, 4, 8];
const ROUNDS = 12;
/** Added to every count: a code that a class has not met yet is dear, not impossible. */
const UNSEEN = 0.02;
/** Of a code that occurs: what a table says of others is zeros, which brotli takes out. */
const TABLE_ENTRY_BITS = 16;

/** The cheapest of the numbers of classes tried. */
export function weightClasses(channels: readonly Histogram[]): WeightClasses {
  return CLASS_COUNTS.map((count) => withClasses(channels, count)).reduce((best, one) =>
    one.bits < best.bits ? one : best,
  );
}

/** Bits of these codes at their own entropy. */
function entropyBits(counts: ArrayLike<number>): number {
  const total = Array.from(counts).reduce((a, b) => a + b, 0);
  return Array.from(counts).reduce((bits, count) => (count === 0 ? bits : bits - count * Math.log2(count / total)), 0);
}

/** A quick upper bound of what `weightClasses` finds: channels as they start out, and all in one class. */
export function roughBits(channels: readonly Histogram[]): number {
  return Math.min(...[1, 4].map((count) => resultOf(channels, startingClasses(channels, count), count).bits));
}

function sumOf(channels: readonly Histogram[]): Histogram {
  return sums(channels, new Uint8Array(channels.length), 1)[0] as Histogram;
}

function withClasses(channels: readonly Histogram[], count: number): WeightClasses {
  const all = sumOf(channels);
  const present = Array.from(all.keys()).filter((code) => (all[code] as number) > 0);
  let classes = startingClasses(channels, count);
  for (let round = 0; round < ROUNDS; round++) {
    const costs = sums(channels, classes, count).map(codeLengths);
    classes = Uint8Array.from(channels, (channel) => cheapest(channel, costs, present));
  }
  return resultOf(channels, classes, count);
}

function resultOf(channels: readonly Histogram[], of: Uint8Array, count: number): WeightClasses {
  // Classes that lost all their channels are left out.
  const used = Array.from({ length: count }, (_, i) => i).filter((one) => of.includes(one));
  const classes = of.map((one) => used.indexOf(one));
  const tables = sums(channels, classes, used.length);
  const classCounts = used.map((_, i) => classes.reduce((n, one) => n + (one === i ? 1 : 0), 0));
  const entries = tables.map((table) => table.filter((n) => n > 0).length);
  const bits =
    tables.reduce((total, table) => total + entropyBits(table), entropyBits(classCounts)) +
    entries.reduce((total, count) => total + count * TABLE_ENTRY_BITS, 0);
  return { classes, tables, bits };
}

/** By entropy, in equal shares. */
function startingClasses(channels: readonly Histogram[], count: number): Uint8Array {
  const bitsPerCode = channels.map((channel) => entropyBits(channel) / channel.reduce((a, b) => a + b, 0));
  const order = channels.map((_, i) => i).sort((a, b) => (bitsPerCode[a] as number) - (bitsPerCode[b] as number));
  const classes = new Uint8Array(channels.length);
  for (const [rank, channel] of order.entries()) classes[channel] = Math.floor((rank * count) / order.length);
  return classes;
}

function sums(channels: readonly Histogram[], classes: Uint8Array, count: number): Histogram[] {
  const tables = Array.from({ length: count }, () => new Uint32Array(CODES));
  for (const [i, channel] of channels.entries()) {
    const table = tables[classes[i] as number] as Histogram;
    for (let code = 0; code < CODES; code++) table[code] = (table[code] as number) + (channel[code] as number);
  }
  return tables;
}

function codeLengths(table: Histogram): Float64Array {
  const total = table.reduce((a, b) => a + b + UNSEEN, 0);
  return Float64Array.from(table, (count) => -Math.log2((count + UNSEEN) / total));
}

function cheapest(channel: Histogram, costs: readonly Float64Array[], present: readonly number[]): number {
  let [best, leastBits] = [0, Number.POSITIVE_INFINITY];
  for (const [i, cost] of costs.entries()) {
    let bits = 0;
    for (const code of present) bits += (channel[code] as number) * (cost[code] as number);
    if (bits < leastBits) [best, leastBits] = [i, bits];
  }
  return best;
}
