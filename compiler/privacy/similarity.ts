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
  const smooth = (of: (i: number) => number) =>
    blurred(
      Float64Array.from(a.data, (_, i) => of(i)),
      rows,
      columns,
    );
  const [x, y] = [(i: number) => a.data[i] as number, (i: number) => b.data[i] as number];
  const [meanX, meanY] = [smooth(x), smooth(y)];
  const [xx, yy, xy] = [smooth((i) => x(i) ** 2), smooth((i) => y(i) ** 2), smooth((i) => x(i) * y(i))];
  let sum = 0;
  for (let i = 0; i < rows * columns; i++) {
    const [mx, my] = [meanX[i] as number, meanY[i] as number];
    const [varianceX, varianceY] = [(xx[i] as number) - mx * mx, (yy[i] as number) - my * my];
    const covariance = (xy[i] as number) - mx * my;
    sum += ((2 * mx * my + C1) * (2 * covariance + C2)) / ((mx * mx + my * my + C1) * (varianceX + varianceY + C2));
  }
  return sum / Math.max(1, rows * columns);
}

function blurred(values: Float64Array, rows: number, columns: number): Float64Array {
  return along(along(values, rows, columns, columns, 1), columns, rows, 1, columns);
}

/** Weighted means along lines of `length` values that lie `step` apart; lines begin `lineStep` apart. */
function along(values: Float64Array, lines: number, length: number, lineStep: number, step: number): Float64Array {
  const result = new Float64Array(values.length);
  for (let line = 0; line < lines; line++) {
    for (let i = 0; i < length; i++) {
      let [sum, total] = [0, 0];
      for (let j = Math.max(0, i - RADIUS); j <= Math.min(length - 1, i + RADIUS); j++) {
        const weight = WEIGHTS[j - i + RADIUS] as number;
        sum += weight * (values[line * lineStep + j * step] as number);
        total += weight;
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
