/** Eigenvectors of symmetric matrices, by ml-matrix: what low ranks and principal components stand on. */
import { EigenvalueDecomposition, Matrix } from 'ml-matrix';

export interface Eigen {
  /** Largest first. */
  readonly values: Float64Array;
  /** [n, n], a row an eigenvector of unit length; its largest entry is positive, so that another run gives the same. */
  readonly vectors: Float64Array;
}

/** Wider matrices take seconds: callers leave them alone. */
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
    const row = vectors.subarray(to * n, (to + 1) * n);
    for (let i = 0; i < n; i++) row[i] = eigenvectorMatrix.get(i, from);
    const largest = row.reduce((best, value) => (Math.abs(value) > Math.abs(best) ? value : best), 0);
    if (largest < 0) for (let i = 0; i < n; i++) row[i] = -(row[i] as number);
  }
  return { values, vectors };
}
