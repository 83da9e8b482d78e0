/**
 * A tensor's channels <-> fewer components, by maps that the compiler found: the principal components of calibration
 * samples, and the way back, in which what was left out comes back as the channels' means. Kept apart from quantizing, which
 * it feeds, because it is where the time goes.
 */

import { type Multiply, simdMultiply } from './simd-multiply.ts';

export interface ChannelMap {
  readonly channels: number;
  readonly components: number;
  /** Of each channel. */
  readonly mean: Float64Array;
  /** [components][channels]: what a channel's deviation from its mean adds to a component. */
  readonly rows: Float64Array;
  /** [components][channels]: what a component adds to a channel. The same as `rows` where those are orthonormal. */
  readonly back: Float64Array;
}

export type Components = Float32Array | Float64Array;

/**
 * The way to components, made ready to be gone again and again. With WebAssembly where the host has it: it measured 8 to 15 times
 * faster than plain JavaScript, in Node and Chromium.
 * @returns values [channels][columns] -> [components][columns]
 */
export function wayForth(map: ChannelMap, multiplier = simdMultiply): (values: Float32Array) => Components {
  const { channels, components, mean, rows } = map;
  const forth = multiplier(rows, components, channels, new Float64Array(components));
  return forth ? (values) => multiplied(forth, values, mean) : (values) => toComponents(values, map);
}

/**
 * The way back, likewise.
 * @returns levels [components][columns] as whole multiples of `step`, counted from `centre` -> [channels][columns]
 */
export function wayBack(
  map: ChannelMap,
  multiplier = simdMultiply,
): (levels: Uint8Array, centre: number, step: number) => Float32Array {
  const { channels, components, mean, back } = map;
  const home = multiplier(transposed(back, components, channels), channels, components, mean);
  return home
    ? (levels, centre, step) => home(valuesOf(levels, centre, step), levels.length / components)
    : (levels, centre, step) => fromComponents(levels, centre, step, map);
}

function multiplied(forth: Multiply, values: Float32Array, mean: Float64Array): Float32Array {
  const columns = values.length / mean.length;
  const centred = new Float32Array(values.length);
  for (let c = 0, i = 0; c < mean.length; c++) {
    const offset = mean[c] as number;
    for (const end = i + columns; i < end; i++) centred[i] = (values[i] as number) - offset;
  }
  return forth(centred, columns);
}

function valuesOf(levels: Uint8Array, centre: number, step: number): Float32Array {
  const values = new Float32Array(levels.length);
  for (let i = 0; i < levels.length; i++) values[i] = ((levels[i] as number) - centre) * step;
  return values;
}

function transposed(rows: Float64Array, components: number, channels: number): Float64Array {
  return Float64Array.from({ length: rows.length }, (_, i) => {
    return rows[(i % components) * channels + Math.floor(i / components)] as number;
  });
}

/** @param values [channels][columns] @returns [components][columns] */
function toComponents(values: Float32Array, { channels, components, mean, rows }: ChannelMap): Float64Array {
  const columns = values.length / channels;
  const result = new Float64Array(components * columns);
  const centred = centredColumns(values, mean, columns);
  for (let i = 0; i < components; i++) {
    for (let j = 0; j < columns; j++)
      result[i * columns + j] = dot(rows, i * channels, centred, j * channels, channels);
  }
  return result;
}

function dot(a: Float64Array, fromA: number, b: Float64Array, fromB: number, count: number): number {
  let sum = 0;
  for (let c = 0; c < count; c++) sum += (a[fromA + c] as number) * (b[fromB + c] as number);
  return sum;
}

/**
 * Adds up only components that are not 0: at low rates most are.
 * @param levels [components][columns] as whole multiples of `step`, counted from `centre`
 * @returns [channels][columns]
 */
function fromComponents(
  levels: Uint8Array,
  centre: number,
  step: number,
  { channels, components, mean, back }: ChannelMap,
): Float32Array {
  const columns = levels.length / components;
  const column = new Float64Array(channels);
  const result = new Float32Array(channels * columns);
  for (let j = 0; j < columns; j++) {
    column.set(mean);
    for (let i = 0; i < components; i++) {
      const level = (levels[i * columns + j] as number) - centre;
      if (level !== 0) addScaled(column, back, i * channels, level * step);
    }
    for (let c = 0; c < channels; c++) result[c * columns + j] = column[c] as number;
  }
  return result;
}

/** [columns][channels], so that the sums below run along memory. */
function centredColumns(values: Float32Array, mean: Float64Array, columns: number): Float64Array {
  const channels = mean.length;
  const centred = new Float64Array(values.length);
  for (let c = 0; c < channels; c++) {
    const offset = mean[c] as number;
    for (let j = 0; j < columns; j++) centred[j * channels + c] = (values[c * columns + j] as number) - offset;
  }
  return centred;
}

function addScaled(column: Float64Array, rows: Float64Array, at: number, factor: number): void {
  for (let c = 0; c < column.length; c++) column[c] = (column[c] as number) + factor * (rows[at + c] as number);
}
