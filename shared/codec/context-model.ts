/**
 * Which frequencies to expect for the next symbol. A symbol is coded in nibbles. The first depends on its channel's
 * class (channels that behave alike share tables) and on the neighbours decoded before it: to its left, and above it
 * where there are rows. The second nibble of an 8-bit symbol depends on the first alone. All tables are static, made
 * by the compiler from calibration samples and carried by the plan; a message carries none.
 */
import { TandemError } from '../errors.ts';
import { FREQUENCY_TOTAL, type RangeDecoder, type RangeEncoder } from './range-coder.ts';

/** Values of a nibble. */
export const NIBBLES = 16;
/** Neighbour states: what the neighbours' mean first nibble is, and one for "no neighbour". */
export const NEIGHBOUR_STATES = NIBBLES + 1;

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
  /** [class][neighbour state][nibble]. */
  readonly first: Uint8Array;
  /** [first nibble][second nibble]; empty for symbols of up to 4 bits. */
  readonly second: Uint8Array;
}

/** Cumulative frequencies, ready to code with: context c owns entries [c * 17, c * 17 + 16], from 0 to the total. */
export interface ContextModel {
  readonly classes: Uint8Array;
  readonly first: Uint16Array;
  readonly second: Uint16Array | null;
}

const STRIDE = NIBBLES + 1;

/** Throws BAD_PLAN where the tables' sizes do not fit together. */
export function contextModel(tables: ContextTables): ContextModel {
  const classCount = tables.classes.reduce((most, value) => Math.max(most, value + 1), 0);
  const expected = classCount * NEIGHBOUR_STATES * NIBBLES;
  const hasSecond = tables.second.length > 0;
  if (tables.first.length !== expected || (hasSecond && tables.second.length !== NIBBLES * NIBBLES)) {
    throw new TandemError(
      'BAD_PLAN',
      `a context model of ${classCount} classes takes tables of ${expected} and ${NIBBLES * NIBBLES} or 0 entries, ` +
        `got ${tables.first.length} and ${tables.second.length}`,
    );
  }
  return {
    classes: tables.classes,
    first: cumulative(tables.first),
    second: hasSecond ? cumulative(tables.second) : null,
  };
}

export function encodeSymbols(
  symbols: Uint8Array,
  geometry: Geometry,
  model: ContextModel,
  encoder: RangeEncoder,
): void {
  for (const row of rowsOf(geometry, model.classes)) {
    encodeRow(symbols, row, model.first, model.second, encoder);
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
  for (const row of rowsOf(geometry, model.classes)) decodeRow(symbols, row, model.first, model.second, decoder);
}

/** Tells every symbol with its context: what the compiler makes tables of. */
export function countSymbols(
  symbols: Uint8Array,
  geometry: Geometry,
  classes: Uint8Array,
  shift: number,
  count: (context: number, symbol: number) => void,
): void {
  for (const { base, start, end, above } of rowsOf(geometry, classes)) {
    let left = -1;
    for (let i = start; i < end; i++) {
      const symbol = symbols[i] as number;
      count(base + neighbourState(left, nibbleAbove(symbols, i, above, shift)), symbol);
      left = symbol >> shift;
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

function* rowsOf({ channels, rows, columns }: Geometry, classes: Uint8Array): Generator<Row> {
  let start = 0;
  for (let channel = 0; channel < channels; channel++) {
    const base = (classes[channel] as number) * NEIGHBOUR_STATES;
    for (let row = 0; row < rows; row++) {
      yield { base, start, end: start + columns, above: row > 0 ? columns : 0 };
      start += columns;
    }
  }
}

// Both loops take all they touch as plain arguments: over a closure they run three times slower.

function encodeRow(
  symbols: Uint8Array,
  { base, start, end, above }: Row,
  first: Uint16Array,
  second: Uint16Array | null,
  encoder: RangeEncoder,
): void {
  const shift = second ? 4 : 0;
  let left = -1;
  for (let i = start; i < end; i++) {
    const symbol = symbols[i] as number;
    const nibble = symbol >> shift;
    encodeNibble(first, base + neighbourState(left, nibbleAbove(symbols, i, above, shift)), nibble, encoder);
    if (second) encodeNibble(second, nibble, symbol & 15, encoder);
    left = nibble;
  }
}

function decodeRow(
  symbols: Uint8Array,
  { base, start, end, above }: Row,
  first: Uint16Array,
  second: Uint16Array | null,
  decoder: RangeDecoder,
): void {
  const shift = second ? 4 : 0;
  let left = -1;
  for (let i = start; i < end; i++) {
    const nibble = decodeNibble(first, base + neighbourState(left, nibbleAbove(symbols, i, above, shift)), decoder);
    symbols[i] = second ? (nibble << 4) | decodeNibble(second, nibble, decoder) : nibble;
    left = nibble;
  }
}

/** -1 where there is no row above. */
function nibbleAbove(symbols: Uint8Array, i: number, above: number, shift: number): number {
  return above === 0 ? -1 : (symbols[i - above] as number) >> shift;
}

/** The rounded mean of the neighbours' nibbles; -1 stands for one that is not there. */
function neighbourState(left: number, above: number): number {
  if (left < 0) return above < 0 ? NIBBLES : above;
  return above < 0 ? left : (left + above + 1) >> 1;
}

/** An 8-bit floating form of a count: 4 bits of exponent, 4 of mantissa, exact in integers on every machine. */
export function expandFrequency(code: number): number {
  const exponent = code >> 4;
  const mantissa = code & 15;
  return exponent === 0 ? mantissa : (NIBBLES + mantissa) << (exponent - 1);
}

/** The code whose expansion is nearest below or at `count`, for counts up to 507,903. */
export function compactFrequency(count: number): number {
  let code = 0;
  while (code < 255 && expandFrequency(code + 1) <= count) code++;
  return code;
}

/** Scales every context to the coder's total, each nibble at least 1: what calibration never saw stays possible. */
function cumulative(codes: Uint8Array): Uint16Array {
  const contexts = codes.length / NIBBLES;
  const result = new Uint16Array(contexts * STRIDE);
  for (let context = 0; context < contexts; context++) {
    const seen = Array.from(codes.subarray(context * NIBBLES, (context + 1) * NIBBLES), expandFrequency);
    // A context that calibration never met expects nothing in particular.
    const counts = seen.some((count) => count > 0) ? seen : seen.map(() => 1);
    const sum = counts.reduce((a, b) => a + b, 0);
    const spread = FREQUENCY_TOTAL - NIBBLES;
    const scaled = counts.map((count) => 1 + Math.floor((count * spread) / sum));
    // What rounding left over goes to the most frequent nibble.
    const largest = counts.indexOf(Math.max(...counts));
    scaled[largest] = (scaled[largest] as number) + FREQUENCY_TOTAL - scaled.reduce((a, b) => a + b, 0);
    for (let n = 0, start = 0; n < NIBBLES; n++) {
      start += scaled[n] as number;
      result[context * STRIDE + n + 1] = start;
    }
  }
  return result;
}

function encodeNibble(table: Uint16Array, context: number, nibble: number, encoder: RangeEncoder): void {
  const at = context * STRIDE + nibble;
  const start = table[at] as number;
  encoder.encode(start, (table[at + 1] as number) - start);
}

function decodeNibble(table: Uint16Array, context: number, decoder: RangeDecoder): number {
  const base = context * STRIDE;
  const target = decoder.target();
  // Binary search over the 16 nibbles.
  let nibble = (table[base + 8] as number) <= target ? 8 : 0;
  if ((table[base + nibble + 4] as number) <= target) nibble += 4;
  if ((table[base + nibble + 2] as number) <= target) nibble += 2;
  if ((table[base + nibble + 1] as number) <= target) nibble += 1;
  const start = table[base + nibble] as number;
  decoder.consume(start, (table[base + nibble + 1] as number) - start);
  return nibble;
}
