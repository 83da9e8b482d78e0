/**
 * GPTQ (Frantar, Ashkboos, Hoefler, Alistarh: "GPTQ: Accurate Post-Training Quantization", 2022): codes for a weight that lose
 * little in the layer's output. Column after column is rounded, and the columns to come make up for its error as far as
 * they can. Written as the nearest-plane rule that it equals (Chen et al.: "The Geometry of LLM Quantization", 2025): with
 * H = MᵀM, M lower triangular, the error of a row's errors e is |M e|^2, and its i-th term is made least by rounding
 * w_i + (sum over k < i of M_ik e_k) / M_ii. So one Cholesky factor is all that is needed, no inverse.
 */
import { cholesky } from '../linalg/cholesky.ts';
import { nearestCode, type RowGrid, scaleAt } from './quantize-rows.ts';

/** Added to the diagonal, times its mean: directions that the samples hardly show are not trusted. */
const DAMPING = 0.01;

/** Rows that are rounded in one go over the factor, which is larger than a cache. */
const ROWS_AT_ONCE = 4;

/**
 * @param rows [rows, columns]
 * @param gram [columns, columns], both triangles: sums of x xᵀ. Not to be changed between calls
 * @param gone [rows, columns], where a weight becomes 0: the columns to come make up for that too (SparseGPT: Frantar & Alistarh, 2023)
 * @returns codes, [rows, columns]
 */
export function gptq(rows: Float32Array, gram: Float64Array, grid: RowGrid, gone?: Uint8Array): Int8Array {
  const { columns: n } = grid;
  const codes = new Int8Array(rows.length);
  const sequence = columnSequence(gram, n);
  const { feedback } = keptFactor(gram, n, sequence);
  const rowCount = rows.length / n;
  const errors: FourRows = [new Float64Array(n), new Float64Array(n), new Float64Array(n), new Float64Array(n)];
  const sums = new Float64Array(ROWS_AT_ONCE);
  for (let first = 0; first < rowCount; first += ROWS_AT_ONCE) {
    const count = Math.min(ROWS_AT_ONCE, rowCount - first);
    for (let i = 0; i < n; i++) {
      dots(sums, feedback, i * n, errors, i);
      for (let r = 0; r < count; r++) {
        const at = (first + r) * n + (sequence[i] as number);
        const scale = scaleAt(grid, at);
        const target = (rows[at] as number) + (sums[r] as number);
        const code = gone?.[at] ? 0 : nearestCode(target, scale, grid.levels);
        codes[at] = code;
        (errors[r] as Float64Array)[i] = (rows[at] as number) - code * scale;
      }
    }
  }
  return codes;
}

/** What an error in each column costs in the end, squared, once the columns behind it in the order have made up for it. */
export function errorCosts(gram: Float64Array, columns: number): Float64Array {
  const sequence = columnSequence(gram, columns);
  const { pivots } = keptFactor(gram, columns, sequence);
  const costs = new Float64Array(columns);
  for (const [i, column] of sequence.entries()) costs[column] = (pivots[i] as number) ** 2;
  return costs;
}

interface Factor {
  readonly feedback: Float64Array;
  /** M_ii, in sequence. */
  readonly pivots: Float64Array;
}

/** Forms of one layer are made one after the other, on the same samples. */
let latest: ({ readonly gram: Float64Array } & Factor) | undefined;

function keptFactor(gram: Float64Array, n: number, sequence: Int32Array): Factor {
  if (latest?.gram !== gram) latest = { gram, ...factorOf(gram, n, sequence) };
  return latest;
}

type FourRows = readonly [Float64Array, Float64Array, Float64Array, Float64Array];

/** Columns that matter most first, so that many are left to make up for them. */
function columnSequence(gram: Float64Array, n: number): Int32Array {
  const diagonal = (i: number) => gram[i * n + i] as number;
  return Int32Array.from({ length: n }, (_, i) => i).sort((a, b) => diagonal(b) - diagonal(a) || a - b);
}

/** Row i: by how much the error of each column before the i-th in sequence moves its target. */
function factorOf(gram: Float64Array, n: number, sequence: Int32Array): Factor {
  let trace = 0;
  for (let i = 0; i < n; i++) trace += gram[i * n + i] as number;
  // A layer that no sample reached: any diagonal does, and rounding is what comes out. The same holds of a column that is
  // always 0, which by its damping is bound to no other.
  const damping = trace > 0 ? (DAMPING * trace) / n : 1;
  // Cholesky's factor from the last column to the first, in place of the first to the last.
  const reversed = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    const from = (sequence[n - 1 - i] as number) * n;
    for (let j = 0; j <= i; j++) reversed[i * n + j] = gram[from + (sequence[n - 1 - j] as number)] as number;
    reversed[i * n + i] = (reversed[i * n + i] as number) + damping;
  }
  const l = cholesky(reversed, n);
  // M_ik = L_(n-1-k)(n-1-i), into the array that is free now.
  const pivots = new Float64Array(n);
  for (let i = 0; i < n; i++) {
    const pivot = l[(n - 1 - i) * n + (n - 1 - i)] as number;
    pivots[i] = pivot;
    for (let k = 0; k < i; k++) reversed[i * n + k] = (l[(n - 1 - k) * n + (n - 1 - i)] as number) / pivot;
  }
  return { feedback: reversed, pivots };
}

/** Each row's dot product with the factor's row, over the first `count` columns. */
function dots(sums: Float64Array, factor: Float64Array, from: number, [a, b, c, d]: FourRows, count: number): void {
  let [sumA, sumB, sumC, sumD] = [0, 0, 0, 0];
  for (let k = 0; k < count; k++) {
    const f = factor[from + k] as number;
    sumA += f * (a[k] as number);
    sumB += f * (b[k] as number);
    sumC += f * (c[k] as number);
    sumD += f * (d[k] as number);
  }
  sums[0] = sumA;
  sums[1] = sumB;
  sums[2] = sumC;
  sums[3] = sumD;
}
