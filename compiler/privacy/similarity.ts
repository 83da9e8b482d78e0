/** How alike two planes are: peak signal-to-noise ratio, and structural similarity (Wang et al., IEEE TIP 2004). */
import type { Plane } from './plane.ts';

/** Where nothing differs: what is written down has to be finite. */
export const PSNR_MAX_DB = 99;

/** The paper's own: a window of 11 pixels and a deviation of 1.5, constants for a range of 1. */
const RADIUS = 5;
const DEVIATION = 1.5;
const C1 = 0.01 ** 2;
const C2 = 0.03 ** 2;
/** From the middle to one side, as the other. */
const HALF = [0, 1, 2, 3, 4, RADIUS].map((i) => Math.exp(-(i ** 2) / (2 * DEVIATION ** 2))) as [
  number,
  number,
  number,
  number,
  number,
  number,
];

/** Mean squared error. Throws RangeError for planes of different sizes. */
export function squaredError(a: Plane, b: Plane): number {
  assertSameSize(a, b);
  let sum = 0;
  for (let i = 0; i < a.data.length; i++) sum += ((a.data[i] as number) - (b.data[i] as number)) ** 2;
  return sum / Math.max(1, a.data.length);
}

/** In decibels, for a range of 1. */
export function psnr(a: Plane, b: Plane): number {
  return Math.min(PSNR_MAX_DB, -10 * Math.log10(squaredError(a, b)));
}

/** Mean over all places, from -1 to 1. Windows end at the edges, so that narrow planes have a value too. */
export function ssim(a: Plane, b: Plane): number {
  return ssimTo(a)(b);
}

/** The same for many planes that are held against one. */
export function ssimTo(a: Plane): (b: Plane) => number {
  const { rows, columns, data: x } = a;
  const size = rows * columns;
  const meanX = blurred(Float64Array.from(x), rows, columns);
  const squareX = blurred(product(x, x), rows, columns);
  return (b) => {
    assertSameSize(a, b);
    const y = b.data;
    const meanY = blurred(Float64Array.from(y), rows, columns);
    const squareY = blurred(product(y, y), rows, columns);
    const both = blurred(product(x, y), rows, columns);
    let sum = 0;
    for (let i = 0; i < size; i++) {
      const [mx, my] = [meanX[i] as number, meanY[i] as number];
      const variances = (squareX[i] as number) - mx * mx + (squareY[i] as number) - my * my;
      const covariance = (both[i] as number) - mx * my;
      sum += ((2 * mx * my + C1) * (2 * covariance + C2)) / ((mx * mx + my * my + C1) * (variances + C2));
    }
    return sum / Math.max(1, size);
  };
}

function product(x: Float32Array, y: Float32Array): Float64Array {
  const result = new Float64Array(x.length);
  for (let i = 0; i < x.length; i++) result[i] = (x[i] as number) * (y[i] as number);
  return result;
}

function blurred(values: Float64Array, rows: number, columns: number): Float64Array {
  // With nothing around it: what lies outside weighs nothing, and what is inside the more.
  const width = columns + 2 * RADIUS;
  const padded = new Float64Array((rows + 2 * RADIUS) * width);
  for (let row = 0; row < rows; row++) {
    padded.set(values.subarray(row * columns, (row + 1) * columns), (row + RADIUS) * width + RADIUS);
  }
  const first = RADIUS * width + RADIUS;
  const across = along(padded, 1, first, padded.length - first);
  const both = along(across, width, first, padded.length - first);
  const [down, side] = [insideOf(rows), insideOf(columns)];
  const result = new Float64Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    const from = (row + RADIUS) * width + RADIUS;
    for (let column = 0; column < columns; column++) {
      result[row * columns + column] =
        (both[from + column] as number) / ((down[row] as number) * (side[column] as number));
    }
  }
  return result;
}

/** Weighted sums of values that lie `step` apart, from one place to another. */
function along(values: Float64Array, step: number, from: number, to: number): Float64Array {
  const result = new Float64Array(values.length);
  const [w0, w1, w2, w3, w4, w5] = HALF;
  for (let i = from; i < to; i++) {
    result[i] =
      w0 * (values[i] as number) +
      w1 * ((values[i - step] as number) + (values[i + step] as number)) +
      w2 * ((values[i - 2 * step] as number) + (values[i + 2 * step] as number)) +
      w3 * ((values[i - 3 * step] as number) + (values[i + 3 * step] as number)) +
      w4 * ((values[i - 4 * step] as number) + (values[i + 4 * step] as number)) +
      w5 * ((values[i - 5 * step] as number) + (values[i + 5 * step] as number));
  }
  return result;
}

/** Of each place along a line, the sum of the weights that are inside it. */
function insideOf(length: number): Float64Array {
  return Float64Array.from({ length }, (_, place) => {
    let total = 0;
    for (let j = Math.max(0, place - RADIUS); j <= Math.min(length - 1, place + RADIUS); j++) {
      total += HALF[Math.abs(j - place)] as number;
    }
    return total;
  });
}

function assertSameSize(a: Plane, b: Plane): void {
  if (a.rows === b.rows && a.columns === b.columns) return;
  throw new RangeError(`expected a plane of ${a.rows} x ${a.columns}, got ${b.rows} x ${b.columns}`);
}
