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
  const blurred = newBlur(rows, columns);
  const [meanX, squareX] = [blurred(x), blurred(x, x)];
  return (b) => {
    assertSameSize(a, b);
    const y = b.data;
    const [meanY, squareY, both] = [blurred(y), blurred(y, y), blurred(x, y)];
    let sum = 0;
    for (let i = 0; i < x.length; i++) {
      const mx = meanX[i] as number;
      const my = meanY[i] as number;
      const variances = (squareX[i] as number) - mx * mx + (squareY[i] as number) - my * my;
      const covariance = (both[i] as number) - mx * my;
      sum += ((2 * mx * my + C1) * (2 * covariance + C2)) / ((mx * mx + my * my + C1) * (variances + C2));
    }
    return sum / Math.max(1, x.length);
  };
}

/** Of a plane that is held against one. */
export interface Likeness {
  readonly ssim: number;
  /** By how much `ssim` grows with every value. */
  readonly gradient: Float32Array;
}

/** `ssimTo`, and where it would grow: what a decoder that is trained for likeness goes by. */
export function likenessTo(a: Plane): (b: Plane) => Likeness {
  const { rows, columns, data: x } = a;
  const blurred = newBlur(rows, columns);
  const [meanX, squareX] = [blurred(x), blurred(x, x)];
  const [down, side] = [insideOf(rows), insideOf(columns)];
  const total = Float64Array.from(
    x,
    (_, i) => (down[Math.floor(i / columns)] as number) * (side[i % columns] as number),
  );
  return (b) => {
    assertSameSize(a, b);
    const y = b.data;
    const [meanY, squareY, both] = [blurred(y), blurred(y, y), blurred(x, y)];
    // What each local value changes, over the weights around it: a mean of those is the other way through a weighted mean.
    const [byMean, bySquare, byBoth] = [0, 1, 2].map(() => new Float32Array(x.length)) as [
      Float32Array,
      Float32Array,
      Float32Array,
    ];
    let sum = 0;
    for (let i = 0; i < x.length; i++) {
      const [mx, my] = [meanX[i] as number, meanY[i] as number];
      const [levels, spreads] = [2 * mx * my + C1, 2 * ((both[i] as number) - mx * my) + C2];
      const squares = mx * mx + my * my + C1;
      const variances = (squareX[i] as number) - mx * mx + (squareY[i] as number) - my * my + C2;
      const [scale, value] = [1 / (squares * variances), (levels * spreads) / (squares * variances)];
      const weight = 1 / (total[i] as number);
      sum += value;
      byMean[i] = weight * (2 * mx * (spreads - levels) * scale + 2 * my * value * (1 / variances - 1 / squares));
      bySquare[i] = (-weight * value) / variances;
      byBoth[i] = weight * 2 * levels * scale;
    }
    const [means, ownSquares, products] = [blurred(byMean), blurred(bySquare), blurred(byBoth)];
    const gradient = Float32Array.from(x, (value, i) => {
      const change =
        (means[i] as number) + 2 * (y[i] as number) * (ownSquares[i] as number) + value * (products[i] as number);
      return (change * (total[i] as number)) / x.length;
    });
    return { ssim: sum / Math.max(1, x.length), gradient };
  };
}

/** Weighted means around every place of planes of one size, or of the products of two. */
function newBlur(rows: number, columns: number): (x: Float32Array, y?: Float32Array) => Float64Array {
  // With nothing around it: what lies outside weighs nothing, and what is inside the more.
  const width = columns + 2 * RADIUS;
  const size = (rows + 2 * RADIUS) * width;
  const first = RADIUS * width + RADIUS;
  const [padded, across, both] = [new Float64Array(size), new Float64Array(size), new Float64Array(size)];
  const [down, side] = [insideOf(rows), insideOf(columns)];
  return (x, y) => {
    for (let row = 0; row < rows; row++) {
      const [from, to] = [row * columns, first + row * width];
      for (let i = 0; i < columns; i++) {
        padded[to + i] = y ? (x[from + i] as number) * (y[from + i] as number) : (x[from + i] as number);
      }
    }
    along(padded, across, 1, first, size - first);
    along(across, both, width, first, size - first);
    const result = new Float64Array(rows * columns);
    for (let row = 0; row < rows; row++) {
      const from = first + row * width;
      const total = down[row] as number;
      for (let column = 0; column < columns; column++) {
        result[row * columns + column] = (both[from + column] as number) / (total * (side[column] as number));
      }
    }
    return result;
  };
}

/** Weighted sums of values that lie `step` apart, from one place to another. */
function along(values: Float64Array, result: Float64Array, step: number, from: number, to: number): void {
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
