/**
 * Symmetric positive definite systems, in float64 on row-major square matrices: what least squares and GPTQ stand on. Typed
 * arrays throughout: they are as wide as a convolution's input, a few thousand.
 */
import { TandemError } from '../../shared/errors.ts';

/** Rows that are made in one go over those above them, which are more than a cache holds. */
const ROWS_AT_ONCE = 4;

/**
 * The lower triangular L with A = L Lᵀ; what is above the diagonal is 0.
 * @param a [n, n], of which the lower triangle is read
 * @throws BAD_INPUT where A is not positive definite
 */
export function cholesky(a: Float64Array, n: number): Float64Array {
  const l = new Float64Array(n * n);
  const sums = new Float64Array(ROWS_AT_ONCE);
  for (let first = 0; first < n; first += ROWS_AT_ONCE) {
    const end = Math.min(n, first + ROWS_AT_ONCE);
    for (let j = 0; j < first; j++) {
      fourDots(sums, l, j * n, first * n, n, j);
      const pivot = l[j * n + j] as number;
      for (let i = first; i < end; i++) l[i * n + j] = ((a[i * n + j] as number) - (sums[i - first] as number)) / pivot;
    }
    for (let i = first; i < end; i++) finishRow(l, a, n, i, first);
  }
  return l;
}

/** The columns of a row from `first` to its diagonal. */
function finishRow(l: Float64Array, a: Float64Array, n: number, i: number, first: number): void {
  for (let j = first; j <= i; j++) {
    const rest = (a[i * n + j] as number) - dot(l, i * n, l, j * n, j);
    if (i !== j) {
      l[i * n + j] = rest / (l[j * n + j] as number);
    } else if (rest > 0) {
      l[i * n + i] = Math.sqrt(rest);
    } else {
      throw new TandemError('BAD_INPUT', `expected a positive definite matrix, got pivot ${rest} in row ${i} of ${n}`);
    }
  }
}

/**
 * X with A X = B.
 * @param l from `cholesky(A)`
 * @param b [n, columns], replaced by X
 */
export function choleskySolve(l: Float64Array, n: number, b: Float64Array, columns: number): void {
  forward(l, n, b, 0, columns, columns);
  backward(l, n, b, 0, columns);
}

/** L x = b in place, from a place in b: values of an unknown lie together, those of the next a step on. */
export function forward(l: Float64Array, n: number, b: Float64Array, at: number, step: number, columns: number): void {
  for (let i = 0; i < n; i++) {
    for (let k = 0; k < i; k++) subtractRow(b, at + i * step, l[i * n + k] as number, at + k * step, columns);
    divideRow(b, at + i * step, l[i * n + i] as number, columns);
  }
}

/** Lᵀ x = b in place, from a place in b. */
export function backward(l: Float64Array, n: number, b: Float64Array, at: number, columns: number): void {
  for (let i = n - 1; i >= 0; i--) {
    for (let k = i + 1; k < n; k++) subtractRow(b, at + i * columns, l[k * n + i] as number, at + k * columns, columns);
    divideRow(b, at + i * columns, l[i * n + i] as number, columns);
  }
}

/** The inverse of A, symmetric. `l` from `cholesky(A)`. */
export function choleskyInverse(l: Float64Array, n: number): Float64Array {
  const inverse = new Float64Array(n * n);
  for (let i = 0; i < n; i++) inverse[i * n + i] = 1;
  choleskySolve(l, n, inverse, n);
  return inverse;
}

function dot(a: Float64Array, fromA: number, b: Float64Array, fromB: number, count: number): number {
  // Four sums: one alone would wait for itself at every step.
  let [s0, s1, s2, s3] = [0, 0, 0, 0];
  let k = 0;
  for (; k + 3 < count; k += 4) {
    s0 += (a[fromA + k] as number) * (b[fromB + k] as number);
    s1 += (a[fromA + k + 1] as number) * (b[fromB + k + 1] as number);
    s2 += (a[fromA + k + 2] as number) * (b[fromB + k + 2] as number);
    s3 += (a[fromA + k + 3] as number) * (b[fromB + k + 3] as number);
  }
  for (; k < count; k++) s0 += (a[fromA + k] as number) * (b[fromB + k] as number);
  return s0 + s1 + (s2 + s3);
}

/** Of the row at `other` with four rows in a row; what lies behind the matrix counts as nothing. */
function fourDots(sums: Float64Array, l: Float64Array, other: number, from: number, n: number, count: number): void {
  const [b, c, d] = [from + n, from + 2 * n, from + 3 * n];
  let [s0, s1, s2, s3] = [0, 0, 0, 0];
  for (let k = 0; k < count; k++) {
    const value = l[other + k] as number;
    s0 += value * (l[from + k] as number);
    s1 += value * (l[b + k] as number);
    s2 += value * (l[c + k] as number);
    s3 += value * (l[d + k] as number);
  }
  sums[0] = s0;
  sums[1] = s1;
  sums[2] = s2;
  sums[3] = s3;
}

function subtractRow(b: Float64Array, to: number, factor: number, from: number, columns: number): void {
  if (factor === 0) return;
  for (let c = 0; c < columns; c++) b[to + c] = (b[to + c] as number) - factor * (b[from + c] as number);
}

function divideRow(b: Float64Array, at: number, divisor: number, columns: number): void {
  for (let c = at; c < at + columns; c++) b[c] = (b[c] as number) / divisor;
}
