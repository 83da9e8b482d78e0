/**
 * A layer as a chain of thinner ones. Of one matrix the best split under the data is a principal component analysis of the
 * outputs: W ~ U (Uᵀ W), U the leading eigenvectors of cov(W x). Kernels can also be parted by their axes (Jaderberg et
 * al. 2014), or by both channel modes (Tucker-2, Kim et al. 2016).
 */
import { EigenvalueDecomposition, Matrix } from 'ml-matrix';

export interface Eigen {
  /** Largest first. */
  readonly values: Float64Array;
  /** [n, n], a row an eigenvector. */
  readonly vectors: Float64Array;
}

/** Wider matrices take seconds: they are left alone. */
export const EIGEN_MAX = 512;

/** Of a symmetric matrix [n, n]. */
export function symmetricEigen(matrix: Float64Array, n: number): Eigen {
  const rows = Array.from({ length: n }, (_, i) => matrix.subarray(i * n, (i + 1) * n));
  const { realEigenvalues, eigenvectorMatrix } = new EigenvalueDecomposition(new Matrix(rows), {
    assumeSymmetric: true,
  });
  const order = [...realEigenvalues.keys()].sort((a, b) => (realEigenvalues[b] ?? 0) - (realEigenvalues[a] ?? 0));
  const values = Float64Array.from(order, (i) => realEigenvalues[i] ?? 0);
  const vectors = new Float64Array(n * n);
  for (const [to, from] of order.entries()) {
    for (let i = 0; i < n; i++) vectors[to * n + i] = eigenvectorMatrix.get(i, from);
  }
  return { values, vectors };
}

/**
 * Covariance of what a layer gives: [outputs, outputs].
 * @param rows [outputs, columns]
 * @param inputs second moments of what comes in, [columns, columns]
 */
export function outputCovariance(rows: Float32Array, inputs: Float64Array, columns: number): Float64Array {
  const outputs = rows.length / columns;
  const product = new Float64Array(outputs * columns);
  for (let o = 0; o < outputs; o++) {
    for (let c = 0; c < columns; c++) {
      const weight = rows[o * columns + c] as number;
      if (weight === 0) continue;
      const [to, from] = [o * columns, c * columns];
      for (let k = 0; k < columns; k++) {
        product[to + k] = (product[to + k] as number) + weight * (inputs[from + k] as number);
      }
    }
  }
  const result = new Float64Array(outputs * outputs);
  for (let a = 0; a < outputs; a++) {
    for (let b = 0; b <= a; b++) {
      let sum = 0;
      for (let k = 0; k < columns; k++) {
        sum += (product[a * columns + k] as number) * (rows[b * columns + k] as number);
      }
      result[a * outputs + b] = sum;
      result[b * outputs + a] = sum;
    }
  }
  return result;
}

/** Two matrices whose product stands for a weight: [rank, columns] first, then [outputs, rank]. */
export interface Factors {
  readonly rank: number;
  readonly down: Float32Array;
  readonly up: Float32Array;
}

/**
 * @param rows the weight, [outputs, columns]
 * @param eigen of the outputs' covariance
 */
export function principalFactors(rows: Float32Array, { vectors }: Eigen, rank: number): Factors {
  const outputs = Math.sqrt(vectors.length);
  const columns = rows.length / outputs;
  const down = new Float32Array(rank * columns);
  const up = new Float32Array(outputs * rank);
  const sum = new Float64Array(columns);
  for (let r = 0; r < rank; r++) {
    sum.fill(0);
    for (let o = 0; o < outputs; o++) {
      const weight = vectors[r * outputs + o] as number;
      up[o * rank + r] = weight;
      for (let c = 0; c < columns; c++) sum[c] = (sum[c] as number) + weight * (rows[o * columns + c] as number);
    }
    down.set(sum, r * columns);
  }
  return { rank, down, up };
}

/** up · down: [outputs, columns] */
export function composed({ rank, down, up }: Factors): Float32Array {
  const [columns, outputs] = [down.length / rank, up.length / rank];
  const rows = new Float32Array(outputs * columns);
  for (let o = 0; o < outputs; o++) {
    for (let r = 0; r < rank; r++) {
      const weight = up[o * rank + r] as number;
      for (let c = 0; c < columns; c++) {
        rows[o * columns + c] = (rows[o * columns + c] as number) + weight * (down[r * columns + c] as number);
      }
    }
  }
  return rows;
}

/** Error of the outputs at every rank from 0 to all, over their variance: the eigenvalues that are dropped. */
export function rankErrors({ values }: Eigen): Float64Array {
  const total = Math.max(
    1e-30,
    values.reduce((sum, value) => sum + Math.max(0, value), 0),
  );
  const errors = new Float64Array(values.length + 1);
  for (let r = values.length - 1; r >= 0; r--) {
    errors[r] = (errors[r + 1] as number) + Math.max(0, values[r] as number) / total;
  }
  return errors;
}
