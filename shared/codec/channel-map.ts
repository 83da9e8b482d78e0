/**
 * A tensor's channels <-> fewer components, by a map that the compiler found: the principal components of calibration
 * samples. Its rows are orthonormal, so the same map leads there and, transposed, back; what it leaves out comes back as the
 * channels' means. Kept apart from quantizing, which it feeds, because it is where the time goes.
 */

import { type Multiply, simdMultiply } from './simd-multiply.ts';

export interface ChannelMap {
  readonly channels: number;
  readonly components: number;
  /** Of each channel. */
  readonly mean: Float64Array;
  /** [components][channels]. */
  readonly rows: Float64Array;
}

/** A map made ready to be used again and again. */
export interface PreparedMap {
  /** @param values [channels][columns] @returns [components][columns] */
  toComponents(values: Float32Array): Float32Array | Float64Array;
  /**
   * @param levels [components][columns] as whole multiples of `step`, counted from `centre`
   * @returns [channels][columns]
   */
  fromComponents(levels: Uint8Array, centre: number, step: number): Float32Array;
}

/** With WebAssembly where the host has it: it measured 8 to 15 times faster than plain JavaScript, in Node and Chromium. */
export function preparedMap(map: ChannelMap, multiplier: typeof simdMultiply = simdMultiply): PreparedMap {
  const { channels, components, mean, rows } = map;
  const forth = multiplier(rows, components, channels, new Float64Array(components));
  const back = multiplier(transposed(rows, components, channels), channels, components, mean);
  if (forth === null || back === null) {
    return {
      toComponents: (values) => toComponents(values, map),
      fromComponents: (levels, centre, step) => fromComponents(levels, centre, step, map),
    };
  }
  return {
    toComponents: (values) => multiplied(forth, values, mean),
    fromComponents: (levels, centre, step) => back(valuesOf(levels, centre, step), levels.length / components),
  };
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

/** Components whose sums are built together, each of two columns: as many as stay in registers. */
const ROWS_TOGETHER = 4;

/** @param values [channels][columns] @returns [components][columns] */
function toComponents(values: Float32Array, { channels, components, mean, rows }: ChannelMap): Float64Array {
  const columns = values.length / channels;
  const result = new Float64Array(components * columns);
  const centred = centredColumns(values, mean, columns);
  const whole = components - (components % ROWS_TOGETHER);
  for (let i = 0; i < whole; i += ROWS_TOGETHER) fourRows(centred, rows, i, channels, columns, result);
  for (let i = whole; i < components; i++) oneRow(centred, rows, i, channels, columns, result);
  return result;
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
  { channels, components, mean, rows }: ChannelMap,
): Float32Array {
  const columns = levels.length / components;
  const column = new Float64Array(channels);
  const result = new Float32Array(channels * columns);
  for (let j = 0; j < columns; j++) {
    column.set(mean);
    for (let i = 0; i < components; i++) {
      const level = (levels[i * columns + j] as number) - centre;
      if (level !== 0) addScaled(column, rows, i * channels, level * step);
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

function fourRows(
  centred: Float64Array,
  rows: Float64Array,
  component: number,
  channels: number,
  columns: number,
  result: Float64Array,
): void {
  const r0 = component * channels;
  const [r1, r2, r3] = [r0 + channels, r0 + 2 * channels, r0 + 3 * channels];
  for (let j = 0; j < columns; j += 2) {
    // The last of an odd number of columns is done twice over.
    const j1 = j + 1 < columns ? j + 1 : j;
    const x0 = j * channels;
    const x1 = j1 * channels;
    let [a0, a1, b0, b1, c0, c1, d0, d1] = [0, 0, 0, 0, 0, 0, 0, 0];
    for (let c = 0; c < channels; c++) {
      const p = centred[x0 + c] as number;
      const q = centred[x1 + c] as number;
      const w0 = rows[r0 + c] as number;
      const w1 = rows[r1 + c] as number;
      const w2 = rows[r2 + c] as number;
      const w3 = rows[r3 + c] as number;
      a0 += w0 * p;
      a1 += w0 * q;
      b0 += w1 * p;
      b1 += w1 * q;
      c0 += w2 * p;
      c1 += w2 * q;
      d0 += w3 * p;
      d1 += w3 * q;
    }
    const at = component * columns;
    result[at + j] = a0;
    result[at + j1] = a1;
    result[at + columns + j] = b0;
    result[at + columns + j1] = b1;
    result[at + 2 * columns + j] = c0;
    result[at + 2 * columns + j1] = c1;
    result[at + 3 * columns + j] = d0;
    result[at + 3 * columns + j1] = d1;
  }
}

function oneRow(
  centred: Float64Array,
  rows: Float64Array,
  component: number,
  channels: number,
  columns: number,
  result: Float64Array,
): void {
  for (let j = 0; j < columns; j++) {
    let sum = 0;
    for (let c = 0; c < channels; c++) {
      sum += (rows[component * channels + c] as number) * (centred[j * channels + c] as number);
    }
    result[component * columns + j] = sum;
  }
}

function addScaled(column: Float64Array, rows: Float64Array, at: number, factor: number): void {
  for (let c = 0; c < column.length; c++) column[c] = (column[c] as number) + factor * (rows[at + c] as number);
}
