/**
 * msgpack -> plain values: maps, arrays, strings, numbers, booleans and nil, to a bounded depth, and nothing behind them. Without a
 * library: they read extension types whoever sends them; with msgpackr's references a hundred bytes stand for 2 ** 40 values.
 * 64-bit integers are taken where a number can hold them: some encoders write every integer so.
 */

/** Of the host, as all have it: the language alone reads no text from bytes. */
declare const TextDecoder: new (
  label: 'utf-8',
  options: { readonly ignoreBOM: boolean },
) => { decode(bytes: Uint8Array): string };

/** Levels of maps and arrays; messages have four. */
const DEPTH_MAX = 16;

/**
 * Source of the format: github.com/msgpack/msgpack/blob/master/spec.md
 * @throws RangeError or TypeError for other bytes
 */
export function unpack(bytes: Uint8Array): unknown {
  const reader = new Reader(bytes);
  const value = reader.value(0);
  if (!reader.isAtEnd) throw new RangeError('there is something behind the value');
  return value;
}

class Reader {
  private at = 0;
  private readonly bytes: Uint8Array;
  private readonly view: DataView;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get isAtEnd(): boolean {
    return this.at === this.bytes.length;
  }

  value(depth: number): unknown {
    if (depth > DEPTH_MAX) throw new RangeError('it is nested too deep');
    const { view } = this;
    const first = view.getUint8(this.past(1));
    if (first < 0x80) return first;
    if (first < 0x90) return this.map(first & 0x0f, depth);
    if (first < 0xa0) return this.items(first & 0x0f, depth);
    if (first < 0xc0) return this.text(first & 0x1f);
    if (first >= 0xe0) return first - 0x100;
    switch (first) {
      case 0xc0:
        return null;
      case 0xc2:
        return false;
      case 0xc3:
        return true;
      case 0xca:
        return view.getFloat32(this.past(4));
      case 0xcb:
        return view.getFloat64(this.past(8));
      case 0xcc:
      case 0xcd:
      case 0xce:
        return this.unsigned(1 << (first - 0xcc));
      case 0xcf:
        return safe(view.getBigUint64(this.past(8)));
      case 0xd0:
        return view.getInt8(this.past(1));
      case 0xd1:
        return view.getInt16(this.past(2));
      case 0xd2:
        return view.getInt32(this.past(4));
      case 0xd3:
        return safe(view.getBigInt64(this.past(8)));
      case 0xd9:
      case 0xda:
      case 0xdb:
        return this.text(this.unsigned(1 << (first - 0xd9)));
      case 0xdc:
      case 0xdd:
        return this.items(this.unsigned(2 << (first - 0xdc)), depth);
      case 0xde:
      case 0xdf:
        return this.map(this.unsigned(2 << (first - 0xde)), depth);
      default:
        throw new TypeError(`nothing plain begins with 0x${first.toString(16)}`);
    }
  }

  /** Moves past so many bytes. Gives where they begin. */
  private past(size: number): number {
    const start = this.at;
    if (size > this.bytes.length - start) throw new RangeError('it ends too early');
    this.at += size;
    return start;
  }

  private unsigned(size: number): number {
    let value = 0;
    const end = this.past(size) + size;
    for (let at = end - size; at < end; at++) value = value * 256 + (this.bytes[at] as number);
    return value;
  }

  private text(length: number): string {
    const start = this.past(length);
    return new TextDecoder('utf-8', { ignoreBOM: true }).decode(this.bytes.subarray(start, this.at));
  }

  /** Makes no room for what is only announced: each item takes a byte at least. */
  private items(length: number, depth: number): unknown[] {
    const items: unknown[] = [];
    while (items.length < length) items.push(this.value(depth + 1));
    return items;
  }

  private map(length: number, depth: number): object {
    const entries: [string, unknown][] = [];
    while (entries.length < length) entries.push([this.key(depth), this.value(depth + 1)]);
    // Makes properties of its own, whatever they are called.
    return Object.fromEntries(entries);
  }

  private key(depth: number): string {
    const key = this.value(depth + 1);
    if (typeof key === 'object') throw new TypeError('a key is text');
    return String(key);
  }
}

function safe(integer: bigint): number {
  const value = Number(integer);
  if (!Number.isSafeInteger(value)) throw new RangeError('no number holds such an integer');
  return value;
}
