import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { fromBase64, isBase64, toBase64 } from '../../shared/base64.ts';

describe('base64', () => {
  test('is what Node makes of the same bytes, and leads back to them', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
        const text = toBase64(bytes);
        expect(text).toBe(Buffer.from(bytes).toString('base64'));
        expect(isBase64(text)).toBe(true);
        expect(fromBase64(text)).toEqual(bytes);
      }),
    );
  });

  test.each(['A', 'AB', 'ABC', 'AB=', 'A===', 'AB==', 'ABB=', 'AAA=AAAA', 'AA-_', 'AAAA\n', ' AAA'])(
    'is not %j: one text stands for some bytes, no other does',
    (text) => {
      expect(isBase64(text)).toBe(false);
    },
  );
});
