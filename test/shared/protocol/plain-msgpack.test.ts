import fc from 'fast-check';
import { Packr } from 'msgpackr';
import { describe, expect, test } from 'vitest';
import { isPlainMsgpack } from '../../../shared/protocol/plain-msgpack.ts';

const packr = new Packr({ useRecords: false });

function bytesOf(hex: string): Uint8Array {
  return Uint8Array.from(Buffer.from(hex.replace(/\s/g, ''), 'hex'));
}

/** One value of every form that is allowed, in hex. */
const PLAIN: readonly [string, string][] = [
  ['a small integer', '07'],
  ['a small negative integer', 'e0'],
  ['an empty map', '80'],
  ['a small map', '82 a161 01 a162 02'],
  ['an empty array', '90'],
  ['a small array', '93 01 02 03'],
  ['an empty string', 'a0'],
  ['a short string', 'a3 616263'],
  ['nil', 'c0'],
  ['false', 'c2'],
  ['true', 'c3'],
  ['a float32', 'ca 3f800000'],
  ['a float64', 'cb 3ff0000000000000'],
  ['an uint8', 'cc ff'],
  ['an uint16', 'cd ffff'],
  ['an uint32', 'ce ffffffff'],
  ['an uint64', 'cf 0000000000000001'],
  ['an int8', 'd0 80'],
  ['an int16', 'd1 8000'],
  ['an int32', 'd2 80000000'],
  ['an int64', 'd3 0000000000000001'],
  ['a string with 1 byte of length', 'd9 03 616263'],
  ['a string with 2 bytes of length', 'da 0003 616263'],
  ['a string with 4 bytes of length', 'db 00000003 616263'],
  ['an array with 2 bytes of length', 'dc 0002 01 02'],
  ['an array with 4 bytes of length', 'dd 00000002 01 02'],
  ['a map with 2 bytes of length', 'de 0001 a161 01'],
  ['a map with 4 bytes of length', 'df 00000001 a161 01'],
];

describe('plain msgpack', () => {
  test.each(PLAIN)('is %s', (_, hex) => {
    expect(isPlainMsgpack(bytesOf(hex))).toBe(true);
  });

  test.each(PLAIN)('is not %s cut short, or with something behind it', (_, hex) => {
    const bytes = bytesOf(hex);
    for (let length = 0; length < bytes.length; length++) expect(isPlainMsgpack(bytes.subarray(0, length))).toBe(false);
    expect(isPlainMsgpack(Uint8Array.of(...bytes, 0))).toBe(false);
  });

  test('is every message-like value that msgpackr packs, and nothing cut from one', () => {
    const long = fc.string({ unit: 'binary', minLength: 30, maxLength: 300 });
    const values = fc.oneof(
      fc.jsonValue({ maxDepth: 6 }),
      fc.array(long, { maxLength: 20 }),
      fc.dictionary(fc.string(), fc.double(), { maxKeys: 20 }),
    );
    fc.assert(
      fc.property(values, fc.nat(), (value, cut) => {
        const bytes = packr.pack(value);
        expect(isPlainMsgpack(bytes)).toBe(true);
        expect(isPlainMsgpack(bytes.subarray(0, cut % bytes.length))).toBe(false);
      }),
      { numRuns: 300 },
    );
  });

  test('is also what is large', () => {
    const many = Array.from({ length: 70_000 }, (_, i) => [String(i), i] as const);
    for (const value of ['a'.repeat(70_000), many, Object.fromEntries(many.slice(0, 60_000))]) {
      expect(isPlainMsgpack(packr.pack(value))).toBe(true);
    }
  });

  test.each([
    ['d3 ffffffffffffffff', true],
    ['d3 ffe0000000000001', true],
    ['d3 ffdfffffffffffff', false],
    ['d3 8000000000000000', false],
    ['d3 001fffffffffffff', true],
    ['d3 0020000000000000', false],
    ['cf 001fffffffffffff', true],
    ['cf 0020000000000000', false],
    ['cf ffffffffffffffff', false],
  ])('is a 64-bit integer within 2 ** 53 of 0: %s', (hex, isWithin) => {
    expect(isPlainMsgpack(bytesOf(hex))).toBe(isWithin);
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
