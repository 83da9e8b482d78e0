import { describe, expect, test } from 'vitest';
import { tensor, tensorBytes, tensorFromBytes } from '../../shared/tensor.ts';

describe('tensors', () => {
  test('bytes of a tensor give the same tensor back', () => {
    const value = tensor('float32', [2, 2], Float32Array.of(1, -2, 0.5, 1e-9));
    expect(tensorFromBytes('float32', [2, 2], tensorBytes(value))).toEqual(value);
  });

  test('bytes at an odd offset of a Node Buffer are read all the same', () => {
    const buffer = Buffer.from([0xff, 0x00, 0x00, 0x80, 0x3f]);
    expect(tensorFromBytes('float32', [1], buffer.subarray(1)).data).toEqual(Float32Array.of(1));
  });

  test('data that does not fill the shape is refused', () => {
    expect(() => tensor('float32', [2, 2], new Float32Array(3))).toThrow('has 4 elements, got 3');
    expect(() => tensorFromBytes('int64', [2], new Uint8Array(8))).toThrow('takes 16 bytes, got 8');
  });
});
