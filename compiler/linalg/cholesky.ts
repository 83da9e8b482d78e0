/**
 * Symmetric positive definite systems, in float64 on row-major square matrices: what least squares and GPTQ stand on. Typed
 * arrays throughout: they are as wide as a convolution's input, a few thousand.
 */
import { TandemError } from '../../shared/errors.ts';

/**
 * The lower triangular L with A = L Lᵀ; what is above the diagonal is 0.
 * @param a [n, n], of which the lower triangle is read
 * @throws BAD_INPUT where A is not positive definite
 */
export function cholesky(a: Float64Array, n: number): Float64Array {
  const l = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) {
      const rest = (a[i * n + j] as number) - dot(l, i * n, l, j * n, j);
      if (i !== j) {
        l[i * n + j] = rest / (l[j * n + j] as number);
      } else if (rest > 0) {
        l[i * n + i] = Math.sqrt(rest);
      } else {
        throw new TandemError(
          'BAD_INPUT',
          `expected a positive definite matrix, got pivot ${rest} in row ${i} of ${n}`,
        );
      }
    }
  }
  return l;
}

/**
 * X with A X = B.
 * @param l from `cholesky(A)`
 * @param b [n, columns], replaced by X
 */
export function choleskySolve(l: Float64Array, n: number, b: Float64Array, columns: number): void {
  for (let i = 0; i < n; i++) {
    for (let k = 0; k < i; k++) subtractRow(b, i, l[i * n + k] as number, k, columns);
    divideRow(b, i, l[i * n + i] as number, columns);
  }
  for (let i = n - 1; i >= 0; i--) {
    for (let k = i + 1; k < n; k++) subtractRow(b, i, l[k * n + i] as number, k, columns);
    divideRow(b, i, l[i * n + i] as number, columns);
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
  let sum = 0;
  for (let k = 0; k < count; k++) sum += (a[fromA + k] as number) * (b[fromB + k] as number);
  return sum;
}

function subtractRow(b: Float64Array, row: number, factor: number, other: number, columns: number): void {
  if (factor === 0) return;
  const [to, from] = [row * columns, other * columns];
  for (let c = 0; c < columns; c++) b[to + c] = (b[to + c] as number) - factor * (b[from + c] as number);
}

function divideRow(b: Float64Array, row: number, divisor: number, columns: number): void {
  for (let c = row * columns; c < (row + 1) * columns; c++) b[c] = (b[c] as number) / divisor;
}
