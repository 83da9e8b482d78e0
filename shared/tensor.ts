/**
 * The tensor that every house speaks: a dtype, a shape and a typed array in row-major order. It stands apart from any
 * runtime's own tensor class so that compiler, server and client can pass values around without importing one.
 */
import { ARRAY_OF, type ArrayClass, type DType, elementCount, type TensorData } from './dtype.ts';

export { bytesPerElement, DTYPES, type DType, elementCount, isDType, type TensorData } from './dtype.ts';

/** `data.length` equals the product of `shape`; a scalar has shape `[]`. float16 is held as its bits in a Uint16Array. */
export interface Tensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data: TensorData;
}

/** Tensors by name, as graphs take and give them. */
export type Tensors = Readonly<Record<string, Tensor>>;

/** Whether a tensor's array is of the kind that its dtype has. */
export function holdsDType({ dtype, data }: Tensor): boolean {
  return data instanceof ARRAY_OF[dtype];
}

/** The same memory in the kind of array that a dtype has here. */
export function heldData(dtype: DType, { buffer, byteOffset, length }: TensorData): TensorData {
  const array: ArrayClass = ARRAY_OF[dtype];
  return new array(buffer, byteOffset, length);
}

/** A tensor over `data` as it is. Throws RangeError where length and shape disagree. */
export function tensor(dtype: DType, shape: readonly number[], data: TensorData): Tensor {
  if (data.length !== elementCount(shape)) {
    throw new RangeError(`a tensor of shape [${shape}] has ${elementCount(shape)} elements, got ${data.length}`);
  }
  return { dtype, shape, data };
}

export function zeros(dtype: DType, shape: readonly number[]): Tensor {
  const array: ArrayClass = ARRAY_OF[dtype];
  return { dtype, shape, data: new array(elementCount(shape)) };
}

export function float32(shape: readonly number[], data: Float32Array): Tensor & { readonly data: Float32Array } {
  return tensor('float32', shape, data) as Tensor & { readonly data: Float32Array };
}

/** The tensor's own bytes (little-endian on every platform Tandem runs on), not copied. */
export function tensorBytes(value: Tensor): Uint8Array {
  return new Uint8Array(value.data.buffer, value.data.byteOffset, value.data.byteLength);
}

/**
 * A tensor from raw little-endian bytes. The bytes are viewed in place where they are aligned, else copied once.
 * Throws RangeError where their number does not fit the shape.
 */
export function tensorFromBytes(dtype: DType, shape: readonly number[], bytes: Uint8Array): Tensor {
  const array: ArrayClass = ARRAY_OF[dtype];
  const count = elementCount(shape);
  if (bytes.byteLength !== count * array.BYTES_PER_ELEMENT) {
    throw new RangeError(
      `a ${dtype} tensor of shape [${shape}] takes ${count * array.BYTES_PER_ELEMENT} bytes, got ${bytes.byteLength}`,
    );
  }
  // Not bytes.slice(): on a Node Buffer that is another view.
  const aligned = bytes.byteOffset % array.BYTES_PER_ELEMENT === 0 ? bytes : new Uint8Array(bytes);
  return { dtype, shape, data: new array(aligned.buffer, aligned.byteOffset, count) };
}

/** The data of a float32 tensor. Throws TypeError for any other dtype. */
export function asFloat32(value: Tensor): Float32Array {
  if (!(value.data instanceof Float32Array)) throw new TypeError(`expected a float32 tensor, got ${value.dtype}`);
  return value.data;
}
