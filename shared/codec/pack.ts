/** Symbols of a few bits as a string of bits, lowest bit first: what is sent where coding would make it no smaller. */
import { TandemError } from '../errors.ts';

export function packedBytes(count: number, bits: number): number {
  return Math.ceil((count * bits) / 8);
}

/** @param bits of a symbol, 1 to 8 */
export function pack(symbols: Uint8Array, bits: number): Uint8Array {
  if (bits === 8) return symbols;
  const packed = new Uint8Array(packedBytes(symbols.length, bits));
  let [word, held, at] = [0, 0, 0];
  for (let i = 0; i < symbols.length; i++) {
    word |= (symbols[i] as number) << held;
    held += bits;
    if (held < 8) continue;
    packed[at++] = word;
    word >>= 8;
    held -= 8;
  }
  if (held > 0) packed[at] = word;
  return packed;
}

/** Throws BAD_PAYLOAD where the bytes are too few or too many. Bits that pad the last byte are not looked at. */
export function unpack(packed: Uint8Array, count: number, bits: number): Uint8Array {
  const expected = packedBytes(count, bits);
  if (packed.length !== expected) {
    throw new TandemError('BAD_PAYLOAD', `expected ${expected} bytes of packed symbols, got ${packed.length}`);
  }
  if (bits === 8) return packed;
  const symbols = new Uint8Array(count);
  const mask = 2 ** bits - 1;
  let [word, held, at] = [0, 0, 0];
  for (let i = 0; i < count; i++) {
    if (held < bits) {
      word |= (packed[at++] as number) << held;
      held += 8;
    }
    symbols[i] = word & mask;
    word >>= bits;
    held -= bits;
  }
  return symbols;
}
