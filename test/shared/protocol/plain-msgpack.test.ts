import fc from 'fast-check';
import { Packr } from 'msgpackr';
import { describe, expect, test } from 'vitest';
import { pack } from '../../../shared/protocol/pack.ts';
import { unpack } from '../../../shared/protocol/plain-msgpack.ts';

const packr = new Packr({ useRecords: false });

function bytesOf(hex: string): Uint8Array {
  return Uint8Array.from(Buffer.from(hex.replace(/\s/g, ''), 'hex'));
}

function isPlainMsgpack(bytes: Uint8Array): boolean {
  try {
    unpack(bytes);
    return true;
  } catch {
    return false;
  }
}

/** One value of every form that is allowed, in hex, and what it is. */
const PLAIN: readonly [string, string, unknown][] = [
  ['a small integer', '07', 7],
  ['a small negative integer', 'e0', -32],
  ['an empty map', '80', {}],
  ['a small map', '82 a161 01 a162 02', { a: 1, b: 2 }],
  ['an empty array', '90', []],
  ['a small array', '93 01 02 03', [1, 2, 3]],
  ['an empty string', 'a0', ''],
  ['a short string', 'a3 616263', 'abc'],
  ['nil', 'c0', null],
  ['false', 'c2', false],
  ['true', 'c3', true],
  ['a float32', 'ca 3fc00000', 1.5],
  ['a float64', 'cb 3ff4000000000000', 1.25],
  ['an uint8', 'cc ff', 255],
  ['an uint16', 'cd ffff', 65_535],
  ['an uint32', 'ce ffffffff', 2 ** 32 - 1],
  ['an uint64', 'cf 001fffffffffffff', 2 ** 53 - 1],
  ['an int8', 'd0 80', -128],
  ['an int16', 'd1 8000', -32_768],
  ['an int32', 'd2 80000000', -(2 ** 31)],
  ['an int64', 'd3 ffe0000000000001', 1 - 2 ** 53],
  ['a string with 1 byte of length', 'd9 03 616263', 'abc'],
  ['a string with 2 bytes of length', 'da 0003 616263', 'abc'],
  ['a string with 4 bytes of length', 'db 00000003 616263', 'abc'],
  ['an array with 2 bytes of length', 'dc 0002 01 02', [1, 2]],
  ['an array with 4 bytes of length', 'dd 00000002 01 02', [1, 2]],
  ['a map with 2 bytes of length', 'de 0001 a161 01', { a: 1 }],
  ['a map with 4 bytes of length', 'df 00000001 a161 01', { a: 1 }],
];

const long = fc.string({ unit: 'binary', minLength: 30, maxLength: 300 });
/** NaN is not equal to itself, and 0 of either sign is packed as 0. */
const doubles = fc.double({ noNaN: true }).map((value) => value + 0);
const integers = fc.oneof(fc.integer(), fc.integer({ min: -200, max: 300 }), fc.nat(2 ** 17), fc.maxSafeInteger());
const values = fc.oneof(
  fc.jsonValue({ maxDepth: 6 }).map((value) => JSON.parse(JSON.stringify(value))),
  fc.array(fc.oneof(long, integers), { maxLength: 40 }),
  fc.dictionary(fc.string(), doubles, { maxKeys: 20 }),
);

describe('plain msgpack', () => {
  test.each(PLAIN)('is %s', (_, hex, value) => {
    expect(unpack(bytesOf(hex))).toEqual(value);
    expect(unpack(Buffer.concat([Buffer.of(0xff), bytesOf(hex)]).subarray(1))).toEqual(value);
  });

  test.each(PLAIN)('is not %s cut short, or with something behind it', (_, hex) => {
    const bytes = bytesOf(hex);
    for (let length = 0; length < bytes.length; length++) expect(isPlainMsgpack(bytes.subarray(0, length))).toBe(false);
    expect(isPlainMsgpack(Uint8Array.of(...bytes, 0))).toBe(false);
  });

  test('is, of every message-like value, byte for byte what msgpackr packs, and nothing cut from one', () => {
    fc.assert(
      fc.property(values, fc.nat(), (value, cut) => {
        const bytes = pack(value);
        expect(Buffer.from(bytes).toString('hex')).toBe(packr.pack(value).toString('hex'));
        expect(isPlainMsgpack(bytes.subarray(0, cut % bytes.length))).toBe(false);
      }),
      { numRuns: 300 },
    );
  });

  test('gives back what was packed', () => {
    fc.assert(
      fc.property(values, (value) => {
        expect(unpack(pack(value))).toEqual(value);
      }),
      { numRuns: 300 },
    );
  });

  test('is also what is large', () => {
    const many = Array.from({ length: 70_000 }, (_, i) => [String(i), i] as const);
    const map = Object.fromEntries(many.slice(0, 60_000));
    for (const value of ['a'.repeat(70_000), many, map]) {
      expect(Buffer.compare(pack(value), packr.pack(value))).toBe(0);
      expect(unpack(pack(value))).toEqual(value);
    }
    expect(Object.keys(unpack(pack(Object.fromEntries(many))) as object)).toHaveLength(70_000);
  });

  test.each([undefined, { a: undefined }, [() => 1], 1n, Symbol('a')])('is not made of %s', (value) => {
    expect(() => pack(value)).toThrow('a message holds no');
  });

  test.each([
    ['an unsigned integer', 'cf 0020000000000000'],
    ['a negative integer', 'd3 ffe0000000000000'],
  ])('is not %s beyond what a number holds', (_, hex) => {
    expect(isPlainMsgpack(bytesOf(hex))).toBe(false);
  });

  test('has keys of text or numbers, and makes properties of them that are the map’s own', () => {
    expect(unpack(bytesOf('81 07 01'))).toEqual({ 7: 1 });
    for (const key of ['80', '90', 'c0']) expect(isPlainMsgpack(bytesOf(`81 ${key} 01`))).toBe(false);
    const map = unpack(bytesOf('81 a95f5f70726f746f5f5f 81 a161 01'));
    expect(Object.getPrototypeOf(map)).toBe(Object.prototype);
    expect(Object.keys(map as object)).toEqual(['__proto__']);
  });

  test.each([
    ['the byte that is never used', 'c1'],
    ['binary data', 'c4 01 00'],
    ['binary data with 2 bytes of length', 'c5 0001 00'],
    ['binary data with 4 bytes of length', 'c6 00000001 00'],
    ['an extension', 'c7 01 20 00'],
    ['an extension with 2 bytes of length', 'c8 0001 20 00'],
    ['an extension with 4 bytes of length', 'c9 00000001 20 00'],
    ['an extension of 1 byte', 'd4 20 00'],
    ['an extension of 2 bytes', 'd5 20 0000'],
    ['an extension of 4 bytes', 'd6 20 00000000'],
    ['an extension of 8 bytes', 'd7 20 0000000000000000'],
    ['an extension of 16 bytes', `d8 20 ${'00'.repeat(16)}`],
  ])('is not %s, at any depth', (_, hex) => {
    expect(isPlainMsgpack(bytesOf(hex))).toBe(false);
    expect(isPlainMsgpack(bytesOf(`92 01 ${hex}`))).toBe(false);
    expect(isPlainMsgpack(bytesOf(`81 a161 91 ${hex}`))).toBe(false);
  });

  test('is nested as deep as messages are, and not without end', () => {
    const nested = (depth: number, level: string) => isPlainMsgpack(bytesOf(`${level.repeat(depth)} 00`));
    expect([nested(8, '91'), nested(8, '81a161'), nested(8, '8101')]).toEqual([true, true, true]);
    expect([nested(17, '91'), nested(17, '81a161'), nested(60_000, '91')]).toEqual([false, false, false]);
  });

  test.each(['db ffffffff', 'dd ffffffff', 'df ffffffff', 'dd ffffffff dd ffffffff dd ffffffff'])(
    'is not a length that nothing follows: %s',
    (hex) => {
      expect(isPlainMsgpack(bytesOf(hex))).toBe(false);
    },
  );
});
