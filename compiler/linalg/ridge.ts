/**
 * Least squares from moments, held to weights that there are already: (G + l I) W = Xᵀ Z + l W0. With an intercept the
 * moments are taken about the means, so that it is not held to anything.
 */
import { cholesky, choleskySolve } from './cholesky.ts';
import type { Moments } from './moments.ts';

/** Share of the mean diagonal of G that W0 weighs. */
const RIDGE = 1e-3;

export interface Fit {
  /** [targets, columns] */
  readonly rows: Float32Array;
  /** [targets]; undefined without an intercept. */
  readonly intercept: Float32Array | undefined;
}

/** G / count, about the mean if there is an intercept: [columns, columns], both triangles. */
export function secondMoments({ columns, count, sum, gram }: Moments, isCentred: boolean): Float64Array {
  const result = new Float64Array(columns * columns);
  for (let i = 0; i < columns; i++) {
    for (let j = 0; j <= i; j++) {
      const mean = isCentred ? ((sum[i] as number) / count) * ((sum[j] as number) / count) : 0;
      const value = (gram[i * columns + j] as number) / count - mean;
      result[i * columns + j] = value;
      result[j * columns + i] = value;
    }
  }
  return result;
}

/** Adds the ridge to the diagonal in place; gives it. Never 0: a column that is always 0 must not break the factors. */
export function addRidge(matrix: Float64Array, n: number, share = RIDGE): number {
  let trace = 0;
  for (let i = 0; i < n; i++) trace += matrix[i * n + i] as number;
  const ridge = Math.max(1e-12, (share * trace) / n);
  for (let i = 0; i < n; i++) matrix[i * n + i] = (matrix[i * n + i] as number) + ridge;
  return ridge;
}

/**
 * @param moments with targets
 * @param held W0, [targets, columns]
 */
export function fitRidge(moments: Moments, held: Float32Array, hasIntercept: boolean): Fit {
  const { columns, targets, count, sum, targetSum, cross } = moments;
  const gram = secondMoments(moments, hasIntercept);
  const ridge = addRidge(gram, columns);
  const solution = new Float64Array(columns * targets);
  for (let c = 0; c < columns; c++) {
    const mean = hasIntercept ? (sum[c] as number) / count : 0;
    for (let t = 0; t < targets; t++) {
      const about = (cross[c * targets + t] as number) / count - (mean * (targetSum[t] as number)) / count;
      solution[c * targets + t] = about + ridge * (held[t * columns + c] as number);
    }
  }
  choleskySolve(cholesky(gram, columns), columns, solution, targets);
  const rows = new Float32Array(targets * columns);
  const intercept = new Float32Array(targets);
  for (let t = 0; t < targets; t++) {
    let predicted = 0;
    for (let c = 0; c < columns; c++) {
      const value = solution[c * targets + t] as number;
      rows[t * columns + c] = value;
      predicted += (value * (sum[c] as number)) / count;
    }
    intercept[t] = (targetSum[t] as number) / count - predicted;
  }
  return { rows, intercept: hasIntercept ? intercept : undefined };
}
