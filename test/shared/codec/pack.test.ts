import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { pack, packedBytes, unpack } from '../../../shared/codec/pack.ts';
import { tandemError } from '../tandem-error.ts';

const widths = fc.integer({ min: 1, max: 8 });

describe('packing', () => {
  test('lays symbols bit behind bit, the lowest first, and gives them back', () => {
    fc.assert(
      fc.property(widths, fc.uint8Array({ maxLength: 70 }), (bits, bytes) => {
        const symbols = bytes.map((byte) => byte & (2 ** bits - 1));
        const packed = pack(symbols, bits);
        const written = [...symbols].map((symbol) => symbol.toString(2).padStart(bits, '0')).reverse();
        const number = BigInt(`0b0${written.join('')}`);
        expect([...packed]).toEqual(Array.from(packed, (_, i) => Number((number >> BigInt(8 * i)) & 255n)));
        expect(packed).toHaveLength(packedBytes(symbols.length, bits));
        expect(unpack(packed, symbols.length, bits)).toEqual(symbols);
      }),
    );
  });

  test('refuses a byte too few and a byte too many with BAD_PAYLOAD', () => {
    for (const bits of [2, 3, 5, 6, 8]) {
      const packed = pack(new Uint8Array(11), bits);
      for (const wrong of [packed.subarray(1), new Uint8Array(packed.length + 1)]) {
        expect(() => unpack(wrong, 11, bits)).toThrow(tandemError('BAD_PAYLOAD', `expected ${packed.length} bytes`));
      }
    }
  });
});
