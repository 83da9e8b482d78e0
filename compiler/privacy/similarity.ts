/** How alike two planes are: peak signal-to-noise ratio, and structural similarity (Wang et al., IEEE TIP 2004). */
import type { Plane } from './plane.ts';

/** Where nothing differs: what is written down has to be finite. */
export const PSNR_MAX_DB = 99;

/** The paper's own: a window of 11 pixels and a deviation of 1.5, constants for a range of 1. */
const RADIUS = 5;
const DEVIATION = 1.5;
const C1 = 0.01 ** 2;
const C2 = 0.03 ** 2;
const WEIGHTS = Array.from({ length: 2 * RADIUS + 1 }, (_, i) => Math.exp(-((i - RADIUS) ** 2) / (2 * DEVIATION ** 2)));

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
  assertSameSize(a, b);
  const { rows, columns } = a;
  const [x, y] = [a.data, b.data];
  const [meanX, meanY] = [blurred(x, rows, columns), blurred(y, rows, columns)];
  const [xx, yy, xy] = [product(x, x), product(y, y), product(x, y)].map((of) => blurred(of, rows, columns)) as [
    Float64Array,
    Float64Array,
    Float64Array,
  ];
  let sum = 0;
  for (let i = 0; i < rows * columns; i++) {
    const mx = meanX[i] as number;
    const my = meanY[i] as number;
    const variances = (xx[i] as number) - mx * mx + (yy[i] as number) - my * my;
    const covariance = (xy[i] as number) - mx * my;
    sum += ((2 * mx * my + C1) * (2 * covariance + C2)) / ((mx * mx + my * my + C1) * (variances + C2));
  }
  return sum / Math.max(1, rows * columns);
}

function product(x: Float32Array, y: Float32Array): Float64Array {
  const result = new Float64Array(x.length);
  for (let i = 0; i < x.length; i++) result[i] = (x[i] as number) * (y[i] as number);
  return result;
}

function blurred(values: Float32Array | Float64Array, rows: number, columns: number): Float64Array {
  return along(along(values, rows, columns, columns, 1), columns, rows, 1, columns);
}

/** Weighted means along lines of `length` values that lie `step` apart; lines begin `lineStep` apart. */
function along(
  values: Float32Array | Float64Array,
  lines: number,
  length: number,
  lineStep: number,
  step: number,
): Float64Array {
  const result = new Float64Array(values.length);
  for (let i = 0; i < length; i++) {
    const [first, last] = [Math.max(0, i - RADIUS), Math.min(length - 1, i + RADIUS)];
    let total = 0;
    for (let j = first; j <= last; j++) total += WEIGHTS[j - i + RADIUS] as number;
    for (let line = 0; line < lines; line++) {
      let sum = 0;
      for (let j = first; j <= last; j++) {
        sum += (WEIGHTS[j - i + RADIUS] as number) * (values[line * lineStep + j * step] as number);
      }
      result[line * lineStep + i * step] = sum / total;
    }
  }
  return result;
}

function assertSameSize(a: Plane, b: Plane): void {
  if (a.rows === b.rows && a.columns === b.columns) return;
  throw new RangeError(`expected a plane of ${a.rows} x ${a.columns}, got ${b.rows} x ${b.columns}`);
}
