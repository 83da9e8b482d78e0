import { zipSync } from 'fflate';
import { describe, expect, test } from 'vitest';
import { readNpy, readNpz } from '../../../compiler/samples/npy.ts';
import { npy } from '../../helpers/npz.ts';
import { coded } from '../coded.ts';

const bytesOf = (array: ArrayBufferView) => new Uint8Array(array.buffer, array.byteOffset, array.byteLength);

describe('a .npy array', () => {
  test.each([
    ['<f4', 'float32', Float32Array.of(1, -2)],
    ['<f8', 'float64', Float64Array.of(1, -2)],
    ['<i8', 'int64', BigInt64Array.of(1n, -2n)],
    ['<i4', 'int32', Int32Array.of(1, -2)],
    ['|u1', 'uint8', Uint8Array.of(1, 2)],
    ['|b1', 'bool', Uint8Array.of(1, 0)],
    ['<f2', 'float16', Uint16Array.of(0x3c00, 0)],
  ])('of %s is a tensor of %s', (descr, dtype, data) => {
    expect(readNpy(npy(descr, '(2,)', bytesOf(data)), 'a.npy')).toEqual({ dtype, shape: [2], data });
  });

  test('may be a scalar, of many dimensions, and of a later version of the format', () => {
    expect(readNpy(npy('<i8', '()', bytesOf(BigInt64Array.of(7n))), 'a')).toMatchObject({ shape: [] });
    expect(readNpy(npy('<f4', '(1, 2, 3)', new Uint8Array(24), { version: 2 }), 'a')).toMatchObject({
      shape: [1, 2, 3],
    });
  });

  test.each([
    ['what is none', new TextEncoder().encode('hello, world'), 'is no .npy array'],
    ['objects', npy('|O', '(1,)', new Uint8Array(8)), 'elements of type |O'],
    ['big-endian numbers', npy('>f4', '(1,)', new Uint8Array(4)), 'elements of type >f4'],
    ['Fortran order', npy('<f4', '(2, 2)', new Uint8Array(16), { order: 'True' }), 'Fortran order'],
    ['too few bytes', npy('<f4', '(5,)', new Uint8Array(4)), 'is not whole'],
    ['an absurd shape', npy('<f4', '(99999999999, 99999999999)', new Uint8Array(4)), 'is not whole'],
  ])('is refused for %s (BAD_INPUT)', (_, bytes, message) => {
    expect(() => readNpy(bytes, 'a.npy')).toThrow(coded('BAD_INPUT', message));
  });
});

describe('a .npz archive', () => {
  test('gives its arrays by name', () => {
    const archive = zipSync({
      'x.npy': npy('<f4', '(1,)', bytesOf(Float32Array.of(3))),
      'notes.txt': new Uint8Array(1),
    });
    expect(readNpz(archive, 'a.npz')).toEqual({ x: { dtype: 'float32', shape: [1], data: Float32Array.of(3) } });
  });

  test('that is none is refused (BAD_INPUT)', () => {
    expect(() => readNpz(new Uint8Array(10), 'a.npz')).toThrow(coded('BAD_INPUT', 'a.npz is no .npz archive'));
  });
});
