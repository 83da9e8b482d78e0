/**
 * Scales, zero points and codes of 8-bit integers: activations in uint8 over a range, weights in int8 symmetric about 0, biases
 * in int32 at the scale of the products that they are added to. Source: Jacob et al., "Quantization and training of neural
 * networks for efficient integer-arithmetic-only inference" (arXiv 1712.05877), 2.1-2.4.
 */
import { elementCount } from '../../shared/tensor.ts';
import type { ValueRange } from './activation-ranges.ts';

/** Real value = (code - zeroPoint) · scale. */
export interface CodeScale {
  readonly scale: number;
  readonly zeroPoint: number;
}

const UINT8_MAX = 255;
/** So much of int32 may be bias: the rest is for the products' sum. */
const BIAS_CODE_MAX = 2 ** 30;
/** Share of a range that may be cut off for the sake of a bound at its other end. */
const CUT_MAX = 0.01;

/**
 * The codes of a range. The zero point is a whole number, so one end moves. Where an activation bounds one end, many values lie
 * on it and no code may lie beyond: it is met exactly, by a wider step.
 * @param bounds beyond which no code may mean a value: those of an activation that saturation stands for
 * @param areMet false: a bound is kept to, and not met. Beside weights of one scale that is better (bench/peers)
 */
export function activationScale({ low, high }: ValueRange, bounds?: ValueRange, areMet = true): CodeScale {
  const from = Math.min(0, Math.max(low, bounds?.low ?? low));
  const to = Math.max(0, Math.min(high, bounds?.high ?? high));
  const scale = Math.fround((to - from) / UINT8_MAX);
  // Nothing but 0, or next to nothing: float32 could not hold the step.
  if (scale < 1e-30) return { scale: 1, zeroPoint: 0 };
  const [least, most] = [-(bounds?.low ?? -Infinity), bounds?.high ?? Infinity];
  if (areMet && least + from < scale && to + scale < most) {
    const codes = codesToBound(least / scale);
    const met = { scale: codes === 0 ? floatBelow(to / UINT8_MAX) : floatBelow(least / codes), zeroPoint: codes };
    if (met.scale * (UINT8_MAX - codes) <= most) return met;
  } else if (areMet && most - to < scale && least > scale - from) {
    const codes = codesToBound(most / scale);
    const met = { scale: floatBelow(codes === 0 ? -from / UINT8_MAX : most / codes), zeroPoint: UINT8_MAX - codes };
    if (met.scale * met.zeroPoint <= least) return met;
  }
  const zeroPoint = Math.min(UINT8_MAX, Math.max(0, roundHalfEven(-from / scale)));
  // Rounding the zero point moved the ends by up to half a step.
  const limits = [
    zeroPoint > 0 ? least / zeroPoint : Infinity,
    zeroPoint < UINT8_MAX ? most / (UINT8_MAX - zeroPoint) : Infinity,
  ];
  return { scale: floatBelow(Math.min(scale, ...limits)), zeroPoint };
}

/** Whole steps between 0 and a bound: fewer make a step wider, and one more would cut off the same share at the other end. */
function codesToBound(steps: number): number {
  const above = Math.ceil(steps);
  return 1 - steps / above <= CUT_MAX ? above : Math.floor(steps);
}

/** uint8 codes of values. */
export function activationCodes(values: Float32Array, { scale, zeroPoint }: CodeScale): Uint8Array {
  return Uint8Array.from(values, (value) => Math.min(UINT8_MAX, Math.max(0, roundHalfEven(value / scale) + zeroPoint)));
}

/** Codes of a weight lie within ± this. 7 bits keep sums of two products in int16: see `saturation`. */
export function weightCodeMax(bits: 7 | 8): number {
  return bits === 8 ? 127 : 63;
}

/**
 * Scales of a weight by its largest values, raised where the bias would not fit its own codes: one a channel, or one for all.
 * @param rows [channels, inputs of one]
 * @param bias [channels] or none
 * @param inputScale of the activation that the weight is multiplied with
 */
export function weightScales(
  rows: Float32Array,
  channels: number,
  granularity: 'tensor' | 'channel',
  codeMax: number,
  bias: Float32Array | undefined,
  inputScale: number,
): Float32Array {
  const columns = rows.length / channels;
  const perChannel = Float32Array.from({ length: channels }, (_, c) => {
    let largest = 0;
    for (let i = c * columns; i < (c + 1) * columns; i++) largest = Math.max(largest, Math.abs(rows[i] as number));
    const least = Math.abs(bias?.[c] ?? 0) / inputScale / BIAS_CODE_MAX;
    return Math.max(largest / codeMax, least);
  });
  const scales = granularity === 'channel' ? perChannel : Float32Array.of(Math.max(...perChannel));
  // Nothing but 0. Not before the largest was taken: a channel of zeros must not set the scale of all.
  return scales.map((scale) => (scale < 1e-30 ? 1 : scale));
}

/**
 * int8 codes of a weight as it lies.
 * @param axis along which its scales run, where there are several
 */
export function weightCodes(
  { shape, data }: { readonly shape: readonly number[]; readonly data: Float32Array },
  axis: number,
  scales: Float32Array,
  codeMax: number,
): Int8Array {
  const stride = elementCount(shape.slice(axis + 1));
  return Int8Array.from(data, (value, i) => {
    const scale = scales[Math.floor(i / stride) % scales.length] as number;
    return Math.min(codeMax, Math.max(-codeMax, roundHalfEven(value / scale)));
  });
}

/** int32 codes at the scale of activation · weight. */
export function biasCodes(bias: Float32Array, scales: Float32Array): Int32Array {
  return Int32Array.from(bias, (value, c) => roundHalfEven(value / (scales[c % scales.length] as number)));
}

/** ONNX's rounding: of two integers as near, the even one. */
export function roundHalfEven(value: number): number {
  const rounded = Math.round(value);
  return rounded - value === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
}

/** The largest float32 that is no larger. */
function floatBelow(value: number): number {
  const rounded = Math.fround(value);
  if (rounded <= value) return rounded;
  const bits = new Uint32Array(Float32Array.of(rounded).buffer);
  bits[0] = (bits[0] as number) - 1;
  return new Float32Array(bits.buffer)[0] as number;
}
