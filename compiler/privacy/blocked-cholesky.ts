/**
 * Cholesky factors and their solutions in blocks, whose products are the runtime's, in float64: several times as fast as row by
 * row where there are as many unknowns and targets as an attack has. What is within a block is done here.
 */
import { backward, cholesky, forward } from '../linalg/cholesky.ts';
import type { Matrices } from './matrices.ts';

const BLOCK = 64;

type Product = Matrices['product64'];

/**
 * The lower triangular L with A = L Lᵀ; what is above the diagonal is 0.
 * @param a [n, n], of which the lower triangle is read; it is replaced
 * @throws BAD_INPUT where A is not positive definite
 */
export async function blockedCholesky(product: Product, a: Float64Array, n: number): Promise<Float64Array> {
  for (let from = 0; from < n; from += BLOCK) {
    const size = Math.min(BLOCK, n - from);
    const to = from + size;
    const diagonal = cholesky(block(a, n, from, to, from, to), size);
    putBlock(a, n, from, from, diagonal, size);
    const rest = n - to;
    if (rest === 0) break;
    const panel = block(a, n, to, n, from, to);
    for (let row = 0; row < rest; row++) forward(diagonal, size, panel, row * size, 1, 1);
    putBlock(a, n, to, from, panel, size);
    const square = await product(
      { rows: rest, columns: size, data: panel },
      { rows: size, columns: rest, data: turned(panel, rest, size) },
    );
    for (let row = 0; row < rest; row++) {
      const [at, other] = [(to + row) * n + to, row * rest];
      for (let column = 0; column <= row; column++) {
        a[at + column] = (a[at + column] as number) - (square[other + column] as number);
      }
    }
  }
  for (let row = 0; row < n; row++) a.fill(0, row * n + row + 1, (row + 1) * n);
  return a;
}

/**
 * X with A X = B, for the leading rows and columns of A.
 * @param l from `blockedCholesky(A)`, [n, n]
 * @param b [size, columns], replaced by X
 */
export async function blockedSolve(
  product: Product,
  l: Float64Array,
  n: number,
  size: number,
  b: Float64Array,
  columns: number,
): Promise<void> {
  const starts = Array.from({ length: Math.ceil(size / BLOCK) }, (_, i) => i * BLOCK);
  for (const from of starts) {
    const to = Math.min(size, from + BLOCK);
    if (from > 0) {
      const left = { rows: to - from, columns: from, data: block(l, n, from, to, 0, from) };
      const above = { rows: from, columns, data: b.slice(0, from * columns) };
      subtract(b, from * columns, await product(left, above));
    }
    forward(block(l, n, from, to, from, to), to - from, b, from * columns, columns, columns);
  }
  for (const from of starts.toReversed()) {
    const to = Math.min(size, from + BLOCK);
    if (to < size) {
      const below = block(l, n, to, size, from, to);
      const left = { rows: to - from, columns: size - to, data: turned(below, size - to, to - from) };
      const known = { rows: size - to, columns, data: b.slice(to * columns, size * columns) };
      subtract(b, from * columns, await product(left, known));
    }
    backward(block(l, n, from, to, from, to), to - from, b, from * columns, columns);
  }
}

function subtract(b: Float64Array, at: number, values: Float64Array): void {
  for (let i = 0; i < values.length; i++) b[at + i] = (b[at + i] as number) - (values[i] as number);
}

function block(a: Float64Array, n: number, top: number, bottom: number, left: number, right: number): Float64Array {
  const width = right - left;
  const result = new Float64Array((bottom - top) * width);
  for (let row = top; row < bottom; row++) {
    result.set(a.subarray(row * n + left, row * n + right), (row - top) * width);
  }
  return result;
}

function putBlock(a: Float64Array, n: number, top: number, left: number, values: Float64Array, width: number): void {
  for (let row = 0; row * width < values.length; row++) {
    a.set(values.subarray(row * width, (row + 1) * width), (top + row) * n + left);
  }
}

function turned(values: Float64Array, rows: number, columns: number): Float64Array {
  const result = new Float64Array(values.length);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      result[column * rows + row] = values[row * columns + column] as number;
    }
  }
  return result;
}
