/** IEEE 754 half precision as bits: what float16 tensors hold, JavaScript having no array of them here. */
import type { Tensor } from '../../shared/tensor.ts';

/** The largest finite value. */
export const FLOAT16_MAX = 65504;

/** Rounded to the nearest, ties to even; what lies beyond the largest value becomes infinite. */
export function float16Bits(values: Float32Array): Uint16Array {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
  return Uint16Array.from(words, halfOf);
}

export function float16Values(bits: Uint16Array): Float32Array {
  return Float32Array.from(bits, (half) => {
    const exponent = (half >> 10) & 31;
    const fraction = half & 1023;
    const sign = half >> 15 === 1 ? -1 : 1;
    if (exponent === 31) return fraction > 0 ? Number.NaN : sign * Number.POSITIVE_INFINITY;
    return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
  });
}

/** What a tensor's elements are as numbers: of float16 its data are not. */
export function elementsOf({ dtype, data }: Tensor): Tensor['data'] {
  return dtype === 'float16' ? float16Values(data as Uint16Array) : data;
}

function halfOf(word: number): number {
  const sign = (word >>> 16) & 0x8000;
  const fraction = word & 0x7fffff;
  const exponent = ((word >>> 23) & 255) - 112;
  if (exponent === 143) return sign | 0x7c00 | (fraction > 0 ? 0x200 : 0);
  if (exponent >= 31) return sign | 0x7c00;
  if (exponent > 0) return sign | roundedShift((exponent << 23) | fraction, 13);
  // Subnormal: the leading 1 is spelled out.
  return exponent < -10 ? sign : sign | roundedShift(fraction | 0x800000, 14 - exponent);
}

/** A carry runs on into the exponent, which is what it should do, up to infinity. */
function roundedShift(bits: number, shift: number): number {
  const kept = bits >>> shift;
  const rest = bits & ((1 << shift) - 1);
  const half = 1 << (shift - 1);
  return rest > half || (rest === half && (kept & 1) === 1) ? kept + 1 : kept;
}
