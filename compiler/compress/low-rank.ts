/**
 * A layer as a chain of thinner ones. Of one matrix the best split under the data is a principal component analysis of the
 * outputs: W ~ U (Uᵀ W), U the leading eigenvectors of cov(W x). Kernels can also be parted by their axes (Jaderberg et
 * al. 2014), or by both channel modes (Tucker-2, Kim et al. 2016).
 */
import type { Eigen } from '../linalg/eigen.ts';

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

/** One of the thinner layers that stand for one. */
export interface Stage {
  /** As a convolution's weight has it, [outputs, inputs, ...kernel]. */
  readonly shape: readonly number[];
  readonly data: Float32Array;
  /** Axes of space on which it moves as the whole layer does; on others its kernel is 1. */
  readonly axes: readonly number[];
}

export interface Factors {
  /** The weight that they are together. */
  readonly rows: Float32Array;
  /** The first reads the input. */
  readonly stages: readonly Stage[];
}

/**
 * W ~ U (Uᵀ W): the kernel first.
 * @param rows the weight, [outputs, columns]
 * @param eigen of the outputs' covariance
 * @param kernel [inputs, ...kernel], whose product is the columns
 */
export function principalFactors(
  rows: Float32Array,
  { vectors }: Eigen,
  rank: number,
  kernel: readonly number[],
): Factors {
  const outputs = Math.sqrt(vectors.length);
  const basis = new Float32Array(rank * outputs).map((_, i) => vectors[i] as number);
  const up = new Float32Array(outputs * rank).map(
    (_, i) => basis[(i % rank) * outputs + Math.floor(i / rank)] as number,
  );
  const down = product(basis, rows, outputs);
  const space = kernel.slice(1);
  return {
    rows: product(up, down, rank),
    stages: [
      { shape: [rank, ...kernel], data: down, axes: space.map((_, axis) => axis) },
      { shape: [outputs, rank, ...space.map(() => 1)], data: up, axes: [] },
    ],
  };
}

/** a [rows, inner] times b [inner, columns]. */
export function product(a: Float32Array, b: Float32Array, inner: number): Float32Array {
  const [count, columns] = [a.length / inner, b.length / inner];
  const result = new Float32Array(count * columns);
  for (let i = 0; i < count; i++) {
    const to = i * columns;
    for (let k = 0; k < inner; k++) {
      const factor = a[i * inner + k] as number;
      for (let c = 0; c < columns; c++) {
        result[to + c] = (result[to + c] as number) + factor * (b[k * columns + c] as number);
      }
    }
  }
  return result;
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
