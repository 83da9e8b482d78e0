import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { lookup } from '../../../shared/codec/frequencies.ts';
import { FREQUENCY_TOTAL, RangeDecoder, RangeEncoder } from '../../../shared/codec/range-coder.ts';
import { seededRandom } from '../../../shared/random.ts';
import { orRefusal, tandemError } from '../tandem-error.ts';

/** Frequencies of each symbol; they sum to FREQUENCY_TOTAL. */
type Table = readonly number[];

const UNIFORM: Table = new Array<number>(16).fill(FREQUENCY_TOTAL / 16);
const RARE_LAST: Table = [FREQUENCY_TOTAL - 1, 1];
const RARE_FIRST: Table = [1, FREQUENCY_TOTAL - 1];

/** Tables of up to 16 symbols, from even ones to ones where a symbol has all but what the others must have. */
const tables: fc.Arbitrary<Table> = fc
  .array(fc.double({ min: 0, max: 30, noNaN: true }), { minLength: 2, maxLength: 16 })
  .map((exponents) => {
    const weights = exponents.map((exponent) => 2 ** exponent);
    const sum = weights.reduce((a, b) => a + b);
    const table = weights.map((weight) => 1 + Math.floor((weight / sum) * (FREQUENCY_TOTAL - weights.length)));
    table[0] = (table[0] as number) + FREQUENCY_TOTAL - table.reduce((a, b) => a + b);
    return table;
  });

const messages = fc.oneof(tables, fc.constantFrom(UNIFORM, RARE_LAST, RARE_FIRST)).chain((table) =>
  fc.record({
    table: fc.constant(table),
    symbols: fc.array(fc.nat(table.length - 1), { maxLength: 400 }),
  }),
);

function startOf(table: Table, symbol: number): number {
  return table.slice(0, symbol).reduce((a, b) => a + b, 0);
}

function encoderOf(symbols: readonly number[], table: Table, bytesMax: number): RangeEncoder {
  const encoder = new RangeEncoder(bytesMax);
  for (const symbol of symbols) encoder.encode(startOf(table, symbol), table[symbol] as number);
  return encoder;
}

function encode(symbols: readonly number[], table: Table): Uint8Array {
  return encoderOf(symbols, table, 2 * symbols.length + 16).finish();
}

function decode(bytes: Uint8Array, count: number, table: Table): number[] {
  const decoder = new RangeDecoder(bytes);
  const cumulated = Uint16Array.from({ length: table.length + 1 }, (_, symbol) => startOf(table, symbol));
  const found = lookup(cumulated);
  const symbols = Array.from({ length: count }, () => decoder.decode(cumulated, 0, found, 0));
  decoder.finish();
  return symbols;
}

/** Symbols drawn as often as the table says. */
function draw(table: Table, count: number): number[] {
  const random = seededRandom(7);
  return Array.from({ length: count }, () => {
    const target = random() * FREQUENCY_TOTAL;
    return table.findIndex((_, symbol) => startOf(table, symbol + 1) > target);
  });
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

describe('the range coder', () => {
  test('decodes what it encoded, whatever the frequencies', () => {
    fc.assert(
      fc.property(messages, ({ symbols, table }) => {
        expect(decode(encode(symbols, table), symbols.length, table)).toEqual(symbols);
      }),
      { numRuns: 500 },
    );
  });

  test.each([
    ['the common symbol only', [0, 0, 0, 0, 0, 0, 0, 0]],
    ['the rare symbol only', [1, 1, 1, 1, 1, 1, 1, 1]],
    ['a rare symbol among common ones', [0, 0, 0, 1, 0, 0, 1, 0, 0]],
    ['nothing', []],
  ])('decodes %s of a table with a frequency of 1 in 16384', (_, symbols) => {
    expect(decode(encode(symbols, RARE_LAST), symbols.length, RARE_LAST)).toEqual(symbols);
  });

  test('writes the bytes that it always wrote', () => {
    expect(hex(encode([], UNIFORM))).toBe('00000000');
    expect(hex(encode([0, 1, 2, 3, 15, 14, 13, 12], UNIFORM))).toBe('0123fa4c04900000');
  });

  test('carries into bytes that were held back', () => {
    // Found by search: the last symbol's carry turns a waiting 0xff into 0x00 and raises the byte before it.
    const table = [1, FREQUENCY_TOTAL - 2, 1];
    const symbols = [1, 0, 0, 1, 2];
    expect(hex(encode(symbols, table))).toBe('0004000efe80020000');
    expect(decode(encode(symbols, table), symbols.length, table)).toEqual(symbols);
  });

  test.each([
    ['even', UNIFORM],
    ['skewed', [8192, 4096, 2048, 1024, 512, 256, 128, 128]],
    ['very skewed', [16000, 300, 80, 3, 1]],
    ['one against all', RARE_LAST],
  ])('comes within a hundredth and a few bytes of the entropy, for %s frequencies', (_, table) => {
    const symbols = draw(table, 20_000);
    const idealBits = symbols.reduce((sum, symbol) => sum - Math.log2((table[symbol] as number) / FREQUENCY_TOTAL), 0);
    const { length } = encode(symbols, table);
    expect(length).toBeLessThanOrEqual((idealBits / 8) * 1.01 + 6);
    expect(length).toBeGreaterThanOrEqual(Math.floor(idealBits / 8));
  });

  test('says that it is full exactly where the buffer is too small', () => {
    const symbols = draw(UNIFORM, 100);
    const { length } = encode(symbols, UNIFORM);
    const isFullAt = (bytesMax: number) => {
      const encoder = encoderOf(symbols, UNIFORM, bytesMax);
      encoder.finish();
      return encoder.isFull;
    };
    expect([0, 1, length - 1, length, length + 1].map(isFullAt)).toEqual([true, true, true, false, false]);
  });

  test('gives no more bytes than the buffer has, even when full', () => {
    expect(encoderOf(draw(UNIFORM, 1000), UNIFORM, 10).finish()).toHaveLength(10);
  });

  test('refuses data that was cut short', () => {
    const bytes = encode([1, 2, 3, 4, 5, 6, 7, 8], UNIFORM);
    for (let length = 0; length < bytes.length; length++) {
      expect(() => decode(bytes.subarray(0, length), 8, UNIFORM)).toThrow(tandemError('BAD_PAYLOAD'));
    }
  });

  test('refuses data with something behind it', () => {
    fc.assert(
      fc.property(messages, fc.uint8Array({ minLength: 1, maxLength: 5 }), ({ symbols, table }, padding) => {
        const padded = Uint8Array.of(...encode(symbols, table), ...padding);
        expect(() => decode(padded, symbols.length, table)).toThrow(tandemError('BAD_PAYLOAD'));
      }),
    );
  });

  test('makes symbols or a refusal of any garbage', () => {
    fc.assert(
      fc.property(tables, fc.uint8Array({ maxLength: 60 }), fc.nat(200), (table, garbage, count) => {
        const symbols = orRefusal(() => decode(garbage, count, table));
        for (const symbol of symbols ?? []) expect(table[symbol]).toBeDefined();
      }),
      { numRuns: 500 },
    );
  });
});
