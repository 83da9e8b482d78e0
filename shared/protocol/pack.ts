/**
 * Plain values -> msgpack. Without a library: a page says hello before the rest of the SDK has come, and headers need a small part
 * of the format, whose source is github.com/msgpack/msgpack/blob/master/spec.md
 */

/** Of the host, as all have it: the language alone has no bytes of a text. */
declare const TextEncoder: new () => { encode(text: string): Uint8Array };

/** A first byte, and how many bytes of an integer stand behind it. */
type Form = readonly [first: number, bytes: number];

const UNSIGNED: readonly Form[] = [
  [0xcc, 1],
  [0xcd, 2],
  [0xce, 4],
];
const SIGNED: readonly Form[] = [
  [0xd0, 1],
  [0xd1, 2],
  [0xd2, 4],
];
const STRING: readonly Form[] = [
  [0xd9, 1],
  [0xda, 2],
  [0xdb, 4],
];
const ARRAY: readonly Form[] = [
  [0xdc, 2],
  [0xdd, 4],
];
const MAP: readonly Form[] = [
  [0xde, 2],
  [0xdf, 4],
];

/** Throws TypeError for what is no map, array, string, number, boolean or null. */
export function pack(value: unknown): Uint8Array {
  const bytes: number[] = [];
  write(bytes, value);
  return Uint8Array.from(bytes);
}

function write(to: number[], value: unknown): void {
  if (value === null) to.push(0xc0);
  else if (typeof value === 'boolean') to.push(value ? 0xc3 : 0xc2);
  else if (typeof value === 'number') writeNumber(to, value);
  else if (typeof value === 'string') writeText(to, value);
  else if (Array.isArray(value)) {
    if (value.length < 16) to.push(0x90 | value.length);
    else writeInteger(to, ARRAY, value.length);
    for (const item of value) write(to, item);
  } else if (typeof value === 'object') {
    const entries = Object.entries(value);
    writeInteger(to, MAP, entries.length);
    for (const [key, item] of entries) {
      writeText(to, key);
      write(to, item);
    }
  } else throw new TypeError(`a message holds no ${typeof value}`);
}

function writeText(to: number[], text: string): void {
  const bytes = new TextEncoder().encode(text);
  if (bytes.length < 32) to.push(0xa0 | bytes.length);
  else writeInteger(to, STRING, bytes.length);
  for (const byte of bytes) to.push(byte);
}

function writeNumber(to: number[], value: number): void {
  if (!Number.isInteger(value) || value >= 2 ** 32 || value < -(2 ** 31)) {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setFloat64(0, value);
    to.push(0xcb, ...bytes);
  } else if (value >= -32 && value < 128) to.push(value & 0xff);
  else if (value > 0) writeInteger(to, UNSIGNED, value);
  else writeInteger(to, SIGNED, value, -2 * value - 1);
}

/** In the first form whose values go up to `reach`. */
function writeInteger(to: number[], forms: readonly Form[], value: number, reach = value): void {
  const [first, bytes] = forms.find(([, size]) => reach < 2 ** (8 * size)) as Form;
  to.push(first);
  for (let at = bytes - 1; at >= 0; at--) to.push((value >>> (8 * at)) & 0xff);
}
