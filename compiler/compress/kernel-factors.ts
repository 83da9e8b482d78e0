/**
 * A convolution's kernel as a chain: its two axes one after the other (spatial, Jaderberg et al. 2014), or a small kernel
 * between two changes of channels (Tucker-2, Kim et al. 2016). Kernels alone are looked at, but for the outputs of Tucker-2,
 * whose basis comes from what the layer gives.
 */

import { type Eigen, symmetricEigen } from '../linalg/eigen.ts';
import type { Layer } from './layers.ts';
import { type Factors, product } from './low-rank.ts';

/** Whether a layer is a convolution over two axes with a kernel that can be parted. */
export function hasKernel({ kind, groups, shape }: Layer): boolean {
  return kind === 'conv' && groups === 1 && shape.length === 4 && (shape[2] ?? 1) * (shape[3] ?? 1) > 1;
}

/** [rank, inputs, height, 1], then [outputs, rank, 1, width]: best of the kernel itself, by its singular values. */
export function spatialFactors({ shape }: Layer, rows: Float32Array, rank: number): Factors {
  const [outputs, inputs, height, width] = shape as [number, number, number, number];
  // M [(input, y), (output, x)] = U Uᵀ M, U the leading eigenvectors of M Mᵀ.
  const [tall, wide] = [inputs * height, outputs * width];
  const at = (i: number, j: number) => {
    const [c, y] = [Math.floor(i / height), i % height];
    const [o, x] = [Math.floor(j / width), j % width];
    return rows[((o * inputs + c) * height + y) * width + x] as number;
  };
  const matrix = Float64Array.from({ length: tall * wide }, (_, k) => at(Math.floor(k / wide), k % wide));
  const { vectors } = symmetricEigen(gramOf(matrix, tall, wide), tall);
  const first = new Float32Array(rank * tall).map((_, i) => vectors[i] as number);
  const second = new Float32Array(outputs * rank * width);
  for (let r = 0; r < rank; r++) {
    for (let j = 0; j < wide; j++) {
      let sum = 0;
      for (let i = 0; i < tall; i++) sum += (first[r * tall + i] as number) * (matrix[i * wide + j] as number);
      second[(Math.floor(j / width) * rank + r) * width + (j % width)] = sum;
    }
  }
  const low = new Float32Array(rows.length);
  for (let i = 0; i < tall; i++) {
    const [c, y] = [Math.floor(i / height), i % height];
    for (let j = 0; j < wide; j++) {
      const [o, x] = [Math.floor(j / width), j % width];
      let sum = 0;
      for (let r = 0; r < rank; r++) {
        sum += (first[r * tall + i] as number) * (second[(o * rank + r) * width + x] as number);
      }
      low[((o * inputs + c) * height + y) * width + x] = sum;
    }
  }
  return {
    rows: low,
    stages: [
      { shape: [rank, inputs, height, 1], data: first, axes: [0] },
      { shape: [outputs, rank, 1, width], data: second, axes: [1] },
    ],
  };
}

/**
 * [inner, inputs, 1, 1], [outer, inner, ...kernel], [outputs, outer, 1, 1].
 * @param eigen of the outputs' covariance
 */
export function tuckerFactors(
  { shape }: Layer,
  rows: Float32Array,
  { vectors }: Eigen,
  [inner, outer]: readonly [number, number],
): Factors {
  const [outputs, inputs, ...kernel] = shape as [number, number, number, number];
  const taps = kernel[0] * kernel[1];
  const byInput = new Float64Array(inputs * outputs * taps);
  for (let i = 0; i < rows.length; i++) {
    const [o, c, t] = [Math.floor(i / (inputs * taps)), Math.floor(i / taps) % inputs, i % taps];
    byInput[(c * outputs + o) * taps + t] = rows[i] as number;
  }
  const basis = symmetricEigen(gramOf(byInput, inputs, outputs * taps), inputs).vectors;
  const down = new Float32Array(inner * inputs).map((_, i) => basis[i] as number);
  const up = new Float32Array(outputs * outer);
  for (let o = 0; o < outputs; o++) {
    for (let r = 0; r < outer; r++) up[o * outer + r] = vectors[r * outputs + o] as number;
  }
  // Both bases are orthonormal: the core is the kernel seen from them.
  const narrow = project(rows, down, { outputs, from: inputs, to: inner, taps });
  const across = new Float32Array(up.length).map(
    (_, i) => up[(i % outputs) * outer + Math.floor(i / outputs)] as number,
  );
  const core = product(across, narrow, outputs);
  // And back: first the inputs, then the outputs.
  const turned = new Float32Array(down.length).map(
    (_, i) => down[(i % inner) * inputs + Math.floor(i / inner)] as number,
  );
  const wide = project(core, turned, { outputs: outer, from: inner, to: inputs, taps });
  const low = product(up, wide, outer);
  return {
    rows: low,
    stages: [
      { shape: [inner, inputs, 1, 1], data: down, axes: [] },
      { shape: [outer, inner, ...kernel], data: core, axes: [0, 1] },
      { shape: [outputs, outer, 1, 1], data: up, axes: [] },
    ],
  };
}

/** The input channels of a kernel seen from a basis [to, from]. */
function project(
  rows: Float32Array,
  basis: Float32Array,
  { outputs, from, to, taps }: { outputs: number; from: number; to: number; taps: number },
): Float32Array {
  const result = new Float32Array(outputs * to * taps);
  for (let o = 0; o < outputs; o++) {
    for (let k = 0; k < to; k++) {
      for (let t = 0; t < taps; t++) {
        let sum = 0;
        for (let c = 0; c < from; c++) {
          sum += (basis[k * from + c] as number) * (rows[(o * from + c) * taps + t] as number);
        }
        result[(o * to + k) * taps + t] = sum;
      }
    }
  }
  return result;
}

/** M Mᵀ of M [n, columns]. */
function gramOf(matrix: Float64Array, n: number, columns: number): Float64Array {
  const gram = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = 0;
      for (let k = 0; k < columns; k++) {
        sum += (matrix[i * columns + k] as number) * (matrix[j * columns + k] as number);
      }
      gram[i * n + j] = sum;
      gram[j * n + i] = sum;
    }
  }
  return gram;
}
