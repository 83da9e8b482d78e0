/** NumPy's .npy, and .npz archives of them: the files that people keep arrays in (numpy.org, "NPY format"). */
import { unzipSync } from 'fflate';
import { messageOf, TandemError } from '../../shared/errors.ts';
import { type DType, elementCount, type Tensor, type Tensors, tensorFromBytes } from '../../shared/tensor.ts';

const MAGIC = '\x93NUMPY';
/** Little-endian types by NumPy's names for them; bool and bytes have no order. */
const DTYPES: Readonly<Record<string, DType>> = {
  ...{ '<f4': 'float32', '<f8': 'float64', '<f2': 'float16', '|b1': 'bool' },
  ...{ '|i1': 'int8', '|u1': 'uint8', '<i2': 'int16', '<u2': 'uint16' },
  ...{ '<i4': 'int32', '<u4': 'uint32', '<i8': 'int64', '<u8': 'uint64' },
};

/** Arrays of a .npz by their names. Throws BAD_INPUT. */
export function readNpz(bytes: Uint8Array, what: string): Tensors {
  let files: Record<string, Uint8Array>;
  try {
    files = unzipSync(bytes);
  } catch (error) {
    throw new TandemError('BAD_INPUT', `${what} is no .npz archive: ${messageOf(error)}`, { cause: error });
  }
  const arrays = Object.entries(files).filter(([name]) => name.endsWith('.npy'));
  return Object.fromEntries(arrays.map(([name, npy]) => [name.slice(0, -4), readNpy(npy, `${name} of ${what}`)]));
}

/** Throws BAD_INPUT for what is no array, or one of a type or order that tensors do not have. */
export function readNpy(bytes: Uint8Array, what: string): Tensor {
  const fail = (why: string) => new TandemError('BAD_INPUT', `${what} ${why}`);
  const latin = (from: number, to: number) => String.fromCharCode(...bytes.subarray(from, to));
  if (bytes.byteLength < 12 || latin(0, 6) !== MAGIC) throw fail('is no .npy array');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  // Version 1 has a header of up to 64 kB, later ones of up to 4 GB.
  const [start, length] = bytes[6] === 1 ? [10, view.getUint16(8, true)] : [12, view.getUint32(8, true)];
  const header = latin(start, Math.min(start + length, start + 10_000));
  const descr = /'descr':\s*'([^']+)'/.exec(header)?.[1] ?? '';
  const dims = /'shape':\s*\(([\d, ]*)\)/.exec(header)?.[1];
  const dtype = DTYPES[descr];
  if (!dtype || dims === undefined) throw fail(`has elements of type ${descr || 'unknown'}, which tensors do not have`);
  if (/'fortran_order':\s*True/.test(header)) throw fail('is in Fortran order: save np.ascontiguousarray of it');
  const shape = dims.split(',').flatMap((dim) => (dim.trim() === '' ? [] : [Number(dim)]));
  try {
    return tensorFromBytes(dtype, shape, bytes.subarray(start + length));
  } catch (error) {
    throw fail(`is not whole: ${elementCount(shape)} elements of ${dtype}, ${messageOf(error)}`);
  }
}
