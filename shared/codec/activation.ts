/**
 * Boundary tensors <-> bytes at a quantized tier: uniform quantization, then context-modelled range coding. A coded
 * tensor is one byte that names the mode, then the symbols: range-coded, or, where that would be no smaller, packed
 * plainly. So it never takes more than 1 + ceil(symbols * bits / 8) bytes, whatever was put in.
 */
import { fromBase64 } from '../base64.ts';
import { asTandemError, TandemError } from '../errors.ts';
import type { QuantizedTensor, QuantizedTier, TensorSpec } from '../plan.ts';
import { asFloat32, type DType, elementCount, float32, type Tensor, tensorBytes, tensorFromBytes } from '../tensor.ts';
import { type ContextModel, contextModel, decodeSymbols, encodeSymbols, type Geometry } from './context-model.ts';
import { pack, packedBytes, unpack } from './pack.ts';
import { RangeDecoder, RangeEncoder } from './range-coder.ts';
import { tensorDequantizer, tensorQuantizer } from './tensor-quantizer.ts';

const MODE_PACKED = 0;
const MODE_RANGE_CODED = 1;

/** A tier made ready to code with. Make it once a plan, not once a message. */
export interface ActivationEncoder {
  /** One coded part a tensor, in the boundary's order. Throws TypeError for tensors that are not float32. */
  encode(tensors: readonly Tensor[]): Uint8Array[];
}

/** Likewise, for who receives. */
export interface ActivationDecoder {
  /**
   * @param shapes concrete shapes in the boundary's order, already checked against the plan
   * @throws BAD_PAYLOAD for parts that this codec did not write
   */
  decode(parts: readonly Uint8Array[], shapes: readonly (readonly number[])[]): Tensor[];
}

/**
 * @param specs the boundary's tensors, whose channel counts the tables must fit
 * @throws BAD_PLAN where they do not
 */
export function activationEncoder(tier: QuantizedTier, specs: readonly TensorSpec[]): ActivationEncoder {
  const encoders = tier.tensors.map((coding, i) =>
    coding === null ? tensorBytes : tensorEncoder(coding, tier, specs[i] as TensorSpec),
  );
  return { encode: (tensors) => tensors.map((value, i) => at(encoders, i, tier)(value)) };
}

/** Throws as `activationEncoder` does. */
export function activationDecoder(tier: QuantizedTier, specs: readonly TensorSpec[]): ActivationDecoder {
  const decoders = tier.tensors.map((coding, i): TensorDecoder => {
    const spec = specs[i] as TensorSpec;
    if (coding !== null) return tensorDecoder(coding, tier, spec);
    // What is no float32 (shapes, indices) is small and loses nothing.
    return (part, shape) => rawTensor(spec.name, spec.dtype, shape, part);
  });
  return {
    decode: (parts, shapes) => parts.map((part, i) => at(decoders, i, tier)(part, shapes[i] as readonly number[])),
  };
}

export interface ActivationCodec extends ActivationEncoder, ActivationDecoder {}

/** Both, for who sends and receives. */
export function activationCodec(tier: QuantizedTier, specs: readonly TensorSpec[]): ActivationCodec {
  return { ...activationEncoder(tier, specs), ...activationDecoder(tier, specs) };
}

function at<T>(coders: readonly T[], i: number, { name }: QuantizedTier): T {
  const coder = coders[i];
  if (!coder) throw new TandemError('BAD_PAYLOAD', `tier ${name} codes ${coders.length} tensors, got more`);
  return coder;
}

/** A tensor out of its own bytes. Throws BAD_PAYLOAD where they are too few or too many. */
export function rawTensor(name: string, dtype: DType, shape: readonly number[], part: Uint8Array): Tensor {
  try {
    return tensorFromBytes(dtype, shape, part);
  } catch (error) {
    throw asTandemError(error, 'BAD_PAYLOAD', `${name}, ${dtype} [${shape}]`);
  }
}

type TensorDecoder = (part: Uint8Array, shape: readonly number[]) => Tensor;

function tensorEncoder(coding: QuantizedTensor, tier: QuantizedTier, spec: TensorSpec): (value: Tensor) => Uint8Array {
  const { bits } = tier;
  const model = modelOf(coding, tier, spec);
  const quantize = tensorQuantizer(coding, bits, spec);
  return (value) => encodeSymbolBytes(quantize(asFloat32(value)), codedGeometry(value.shape, coding), model, bits);
}

function tensorDecoder(coding: QuantizedTensor, tier: QuantizedTier, spec: TensorSpec): TensorDecoder {
  const { bits } = tier;
  const model = modelOf(coding, tier, spec);
  const dequantize = tensorDequantizer(coding, bits, spec);
  return (part, shape) =>
    float32(shape, dequantize(decodeSymbolBytes(part, codedGeometry(shape, coding), model, bits)));
}

function modelOf(coding: QuantizedTensor, { name, bits }: QuantizedTier, spec: TensorSpec): ContextModel {
  const { channels, map } = coding;
  const classes = fromBase64(coding.classes);
  if (classes.length !== channels || (map === null && channels !== 1 && spec.shape[1] !== channels)) {
    throw new TandemError(
      'BAD_PLAN',
      `tier ${name} has classes for ${classes.length} of ${channels} channels; ${spec.name} has ${spec.shape[1]}`,
    );
  }
  const [starts, first, second] = [coding.starts, coding.first, coding.second].map(fromBase64) as Bytes3;
  return contextModel({ classes, starts, first, second }, bits);
}

type Bytes3 = [Uint8Array, Uint8Array, Uint8Array];

/** How the symbols of a tensor of this shape lie: [1, C, ..., columns] with C coded channels, or one row of everything. */
export function codedGeometry(
  shape: readonly number[],
  { channels, map }: Pick<QuantizedTensor, 'channels' | 'map'>,
): Geometry {
  const coded = map === null ? shape : [1, channels, ...shape.slice(2)];
  const count = elementCount(coded);
  if (channels === 1) return { channels: 1, rows: 1, columns: count };
  const columns = coded.length > 2 ? (coded.at(-1) ?? 1) : 1;
  return { channels, rows: count / channels / Math.max(1, columns), columns };
}

function encodeSymbolBytes(symbols: Uint8Array, geometry: Geometry, model: ContextModel, bits: number): Uint8Array {
  const bytesMax = packedBytes(symbols.length, bits);
  const encoder = new RangeEncoder(bytesMax);
  encodeSymbols(symbols, geometry, model, encoder);
  const coded = encoder.finish();
  const isSmaller = !encoder.isFull && coded.length < bytesMax;
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
