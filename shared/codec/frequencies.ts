/** Frequencies of symbols: as a plan carries them, a byte each, and as the range coder takes them, cumulative. */
import { FREQUENCY_BITS, FREQUENCY_TOTAL, LOOKUP_SHIFT } from './range-coder.ts';

/** An 8-bit floating form of a count: 4 bits of exponent, 4 of mantissa, exact in integers on every machine. */
export function expandFrequency(code: number): number {
  const exponent = code >> 4;
  const mantissa = code & 15;
  return exponent === 0 ? mantissa : (16 + mantissa) << (exponent - 1);
}

/** The code whose expansion is nearest below or at `count`, for counts up to 507,903. */
export function compactFrequency(count: number): number {
  let code = 0;
  while (code < 255 && expandFrequency(code + 1) <= count) code++;
  return code;
}

/**
 * Cumulative frequencies of one context, from 0 to the coder's total: one entry more than `codes`. Each symbol has at
 * least 1, so what calibration never saw stays possible.
 */
export function cumulative(codes: Uint8Array): Uint16Array {
  const seen = Array.from(codes, expandFrequency);
  // A context that calibration never met expects nothing in particular.
  const counts = seen.some((count) => count > 0) ? seen : seen.map(() => 1);
  const sum = counts.reduce((a, b) => a + b, 0);
  const spread = FREQUENCY_TOTAL - codes.length;
  const scaled = counts.map((count) => 1 + Math.floor((count * spread) / sum));
  // What rounding left over goes to the most frequent symbol.
  const largest = counts.indexOf(Math.max(...counts));
  scaled[largest] = (scaled[largest] as number) + FREQUENCY_TOTAL - scaled.reduce((a, b) => a + b, 0);
  const result = new Uint16Array(codes.length + 1);
  for (let n = 0; n < codes.length; n++) result[n + 1] = (result[n] as number) + (scaled[n] as number);
  return result;
}

/** Entries of the table that decoding looks the symbols of a context up in. */
export const LOOKUP_ENTRIES = 1 << (FREQUENCY_BITS - LOOKUP_SHIFT);

/** Of each run of targets, the symbol that owns its first: decoding goes on from there, mostly by no step at all. */
export function lookup(cumulated: Uint16Array): Uint8Array {
  const result = new Uint8Array(LOOKUP_ENTRIES);
  for (let entry = 0, symbol = 0; entry < LOOKUP_ENTRIES; entry++) {
    while ((cumulated[symbol + 1] as number) <= entry << LOOKUP_SHIFT) symbol++;
    result[entry] = symbol;
  }
  return result;
}
