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

/** Reads what RangeEncoder wrote. Knows nothing of the symbols: the caller looks them up by `target`. */
export class RangeDecoder {
  private range = 0xffffffff;
  private code = 0;
  private unit = 0;
  private position = 0;
  private readonly bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    for (let i = 0; i < 4; i++) this.code = ((this.code << 8) | this.next()) >>> 0;
  }

  /** Where in [0, FREQUENCY_TOTAL) the next symbol lies. */
  target(): number {
    this.unit = this.range >>> FREQUENCY_BITS;
    const target = (this.code / this.unit) | 0;
    return target < FREQUENCY_TOTAL ? target : FREQUENCY_TOTAL - 1;
  }

  /** Takes the symbol that owns [start, start + frequency) out of the stream. Call after `target`. */
  consume(start: number, frequency: number): void {
    this.code -= this.unit * start;
    this.range = this.unit * frequency;
    while (this.range < TOP) {
      this.range = (this.range << 8) >>> 0;
      this.code = ((this.code << 8) | this.next()) >>> 0;
    }
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
    // Past the end zeros are read, so that bad input costs no more than good; finish() tells.
    return this.bytes[this.position++] ?? 0;
  }
}
