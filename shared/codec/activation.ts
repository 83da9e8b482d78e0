/**
 * Boundary tensors <-> bytes at a quantized tier: uniform quantization, then context-modelled range coding. A coded
 * tensor is one byte that names the mode, then the symbols: range-coded, or, where that would be no smaller, packed
 * plainly. So it never takes more than 1 + ceil(elements * bits / 8) bytes, whatever was put in.
 */
import { asTandemError, TandemError } from '../errors.ts';
import type { QuantizedTier, TensorSpec } from '../plan.ts';
import { asFloat32, type DType, elementCount, float32, type Tensor, tensorBytes, tensorFromBytes } from '../tensor.ts';
import { type ContextModel, contextModel, decodeSymbols, encodeSymbols, type Geometry } from './context-model.ts';
import { dequantize, quantize } from './quantize.ts';
import { RangeDecoder, RangeEncoder } from './range-coder.ts';

const MODE_PACKED = 0;
const MODE_RANGE_CODED = 1;

/** A tier made ready to code with. Make it once a plan, not once a message. */
export interface ActivationCodec {
  /** One coded part a tensor, in the boundary's order. Throws TypeError for tensors that are not float32. */
  encode(tensors: readonly Tensor[]): Uint8Array[];
  /**
   * @param shapes concrete shapes in the boundary's order, already checked against the plan
   * @throws BAD_PAYLOAD for parts that this codec did not write
   */
  decode(parts: readonly Uint8Array[], shapes: readonly (readonly number[])[]): Tensor[];
}

type TensorCoding = NonNullable<QuantizedTier['tensors'][number]>;

interface TensorCoder {
  encode(value: Tensor): Uint8Array;
  decode(part: Uint8Array, shape: readonly number[]): Tensor;
}

/**
 * @param specs the boundary's tensors, whose channel counts the tables must fit
 * @throws BAD_PLAN where they do not
 */
export function activationCodec(tier: QuantizedTier, specs: readonly TensorSpec[]): ActivationCodec {
  const coders = tier.tensors.map((coding, i) => {
    const spec = specs[i] as TensorSpec;
    return coding === null ? rawCoder(spec) : tensorCoder(coding, tier, spec);
  });
  const coderAt = (i: number) => {
    const coder = coders[i];
    if (!coder) throw new TandemError('BAD_PAYLOAD', `tier ${tier.name} codes ${coders.length} tensors, got more`);
    return coder;
  };
  return {
    encode: (tensors) => tensors.map((value, i) => coderAt(i).encode(value)),
    decode: (parts, shapes) => parts.map((part, i) => coderAt(i).decode(part, shapes[i] as readonly number[])),
  };
}

/** A tensor out of its own bytes. Throws BAD_PAYLOAD where they are too few or too many. */
export function rawTensor(name: string, dtype: DType, shape: readonly number[], part: Uint8Array): Tensor {
  try {
    return tensorFromBytes(dtype, shape, part);
  } catch (error) {
    throw asTandemError(error, 'BAD_PAYLOAD', `${name}, ${dtype} [${shape}]`);
  }
}

/** What is no float32 (shapes, indices) is small and loses nothing. */
function rawCoder({ name, dtype }: TensorSpec): TensorCoder {
  return { encode: tensorBytes, decode: (part, shape) => rawTensor(name, dtype, shape, part) };
}

function tensorCoder(coding: TensorCoding, { name, bits }: QuantizedTier, spec: TensorSpec): TensorCoder {
  if (coding.classes.length !== coding.channels || (coding.channels !== 1 && spec.shape[1] !== coding.channels)) {
    throw new TandemError(
      'BAD_PLAN',
      `tier ${name} has classes for ${coding.classes.length} of ${coding.channels} channels; ` +
        `${spec.name} has ${spec.shape[1]}`,
    );
  }
  const model = contextModel({
    classes: Uint8Array.from(coding.classes),
    first: Uint8Array.from(coding.first),
    second: Uint8Array.from(coding.second),
  });
  if ((bits === 8) !== (model.second !== null)) {
    throw new TandemError('BAD_PLAN', `tier ${name} of ${bits} bits has tables for another number of bits`);
  }
  return {
    encode(value: Tensor): Uint8Array {
      const symbols = quantize(asFloat32(value), coding, bits);
      return encodeSymbolBytes(symbols, geometryOf(value.shape, coding.channels), model, bits);
    },
    decode(part: Uint8Array, shape: readonly number[]): Tensor {
      const geometry = geometryOf(shape, coding.channels);
      return float32(shape, dequantize(decodeSymbolBytes(part, geometry, model, bits), coding));
    },
  };
}

/** A [1, C, ..., columns] tensor of C coded channels, or one row of everything. */
export function geometryOf(shape: readonly number[], channels: number): Geometry {
  const count = elementCount(shape);
  if (channels === 1) return { channels: 1, rows: 1, columns: count };
  const columns = shape.length > 2 ? (shape.at(-1) ?? 1) : 1;
  return { channels, rows: count / channels / Math.max(1, columns), columns };
}

function encodeSymbolBytes(symbols: Uint8Array, geometry: Geometry, model: ContextModel, bits: number): Uint8Array {
  const packedBytes = Math.ceil((symbols.length * bits) / 8);
  const encoder = new RangeEncoder(packedBytes);
  encodeSymbols(symbols, geometry, model, encoder);
  const coded = encoder.finish();
  const isSmaller = !encoder.isFull && coded.length < packedBytes;
  const body = isSmaller ? coded : pack(symbols, bits);
  const result = new Uint8Array(1 + body.length);
  result[0] = isSmaller ? MODE_RANGE_CODED : MODE_PACKED;
  result.set(body, 1);
  return result;
}

function decodeSymbolBytes(part: Uint8Array, geometry: Geometry, model: ContextModel, bits: number): Uint8Array {
  const count = geometry.channels * geometry.rows * geometry.columns;
  const body = part.subarray(1);
  switch (part[0]) {
    case MODE_PACKED:
      return unpack(body, count, bits);
    case MODE_RANGE_CODED: {
      const symbols = new Uint8Array(count);
      const decoder = new RangeDecoder(body);
      decodeSymbols(symbols, geometry, model, decoder);
      decoder.finish();
      return symbols;
    }
    default:
      throw new TandemError('BAD_PAYLOAD', `expected coding mode 0 or 1, got ${part[0] ?? 'an empty part'}`);
  }
}

/** 8-bit symbols as they are; two 4-bit symbols a byte, the first in the low half. */
function pack(symbols: Uint8Array, bits: number): Uint8Array {
  if (bits === 8) return symbols;
  const packed = new Uint8Array(Math.ceil(symbols.length / 2));
  for (let i = 0; i < symbols.length; i++) {
    packed[i >> 1] = (packed[i >> 1] as number) | ((symbols[i] as number) << ((i & 1) * 4));
  }
  return packed;
}

function unpack(packed: Uint8Array, count: number, bits: number): Uint8Array {
  const expected = Math.ceil((count * bits) / 8);
  if (packed.length !== expected) {
    throw new TandemError('BAD_PAYLOAD', `expected ${expected} bytes of packed symbols, got ${packed.length}`);
  }
  if (bits === 8) return packed;
  const symbols = new Uint8Array(count);
  for (let i = 0; i < count; i++) symbols[i] = ((packed[i >> 1] as number) >> ((i & 1) * 4)) & 15;
  return symbols;
}
