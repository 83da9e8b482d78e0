/**
 * A range coder: turns symbols with known frequencies into close to their entropy in bytes, and back. Byte-wise with
 * carry propagation (Martin, "Range encoding", 1979; the carry scheme is that of LZMA's reference coder).
 */
import { TandemError } from '../errors.ts';

/** Frequencies of one context sum to 2 ** FREQUENCY_BITS. */
export const FREQUENCY_BITS = 14;
export const FREQUENCY_TOTAL = 1 << FREQUENCY_BITS;

const TOP = 2 ** 24;
const WORD = 2 ** 32;

/** Writes into a buffer of fixed size, and says so when it is full: callers that must not expand then store plainly. */
export class RangeEncoder {
  private low = 0;
  private range = 0xffffffff;
  /** The byte that a carry could still change, and how many 0xff bytes wait behind it; -1 before the first byte. */
  private cache = -1;
  private pending = 0;
  private length = 0;
  private readonly buffer: Uint8Array;

  constructor(bytesMax: number) {
    this.buffer = new Uint8Array(bytesMax);
  }

  /** Whether more was written than the buffer takes; the output is then useless. */
  get isFull(): boolean {
    return this.length > this.buffer.length;
  }

  /** Encodes the symbol that owns [start, start + frequency) of FREQUENCY_TOTAL. frequency > 0. */
  encode(start: number, frequency: number): void {
    const unit = this.range >>> FREQUENCY_BITS;
    this.low += unit * start;
    this.range = unit * frequency;
    while (this.range < TOP) {
      this.range = (this.range << 8) >>> 0;
      this.shiftLow();
    }
  }

  /** Flushes and gives what was written. */
  finish(): Uint8Array {
    for (let i = 0; i < 5; i++) this.shiftLow();
    return this.buffer.subarray(0, this.length);
  }

  private shiftLow(): void {
    const carry = this.low >= WORD ? 1 : 0;
    const low = this.low - carry * WORD;
    if (low < 0xff000000 || carry === 1) {
      if (this.cache >= 0) this.put(this.cache + carry);
      for (; this.pending > 0; this.pending--) this.put(0xff + carry);
      this.cache = low >>> 24;
    } else {
      this.pending++;
    }
    this.low = (low << 8) >>> 0;
  }

  private put(byte: number): void {
    if (this.length < this.buffer.length) this.buffer[this.length] = byte;
    this.length++;
  }
}

/** Targets that share an entry of a lookup table. */
export const LOOKUP_SHIFT = 7;

/** Reads what RangeEncoder wrote. */
export class RangeDecoder {
  /** The code and the range: in a field, a number of more than 31 bits is a slow one. */
  private readonly state = Uint32Array.of(0, 0xffffffff);
  private position = 0;
  private readonly bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    for (let i = 0; i < 4; i++) this.state[0] = ((this.state[0] as number) << 8) | this.next();
  }

  /**
   * The next symbol, counted from 0. All in one, on locals: fields that pass 31 bits are slow to get at.
   * @param cumulated symbol s owns [cumulated[at + s], cumulated[at + s + 1]) of FREQUENCY_TOTAL
   * @param lookup entry lookupAt + (target >> LOOKUP_SHIFT) is a symbol that does not begin behind the target
   */
  decode(cumulated: Uint16Array, at: number, lookup: Uint8Array, lookupAt: number): number {
    const { bytes, state } = this;
    let code = state[0] as number;
    let range = state[1] as number;
    const unit = range >>> FREQUENCY_BITS;
    // Past the total only where the bytes are none of ours.
    const target = Math.min((code / unit) >>> 0, FREQUENCY_TOTAL - 1);
    let symbol = lookup[lookupAt + (target >> LOOKUP_SHIFT)] as number;
    let start = cumulated[at + symbol] as number;
    let end = cumulated[at + symbol + 1] as number;
    while (end <= target) {
      symbol++;
      start = end;
      end = cumulated[at + symbol + 1] as number;
    }
    code -= unit * start;
    range = unit * (end - start);
    while (range < TOP) {
      range = (range << 8) >>> 0;
      // Past the end zeros are read, so that bad input costs no more than good; finish() tells.
      const byte = this.position < bytes.length ? (bytes[this.position] as number) : 0;
      this.position++;
      code = ((code << 8) | byte) >>> 0;
    }
    state[0] = code;
    state[1] = range;
    return symbol;
  }

  /** Whether exactly all bytes were read, once all symbols are. */
  get isAtEnd(): boolean {
    return this.position === this.bytes.length;
  }

  /** Throws BAD_PAYLOAD unless exactly all bytes were read: a message cut short or padded is not one of ours. */
  finish(): void {
    if (!this.isAtEnd) {
      throw new TandemError(
        'BAD_PAYLOAD',
        `expected ${this.position} bytes of range-coded data, got ${this.bytes.length}`,
      );
    }
  }

  private next(): number {
    return this.bytes[this.position++] ?? 0;
  }
}
