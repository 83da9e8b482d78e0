/**
 * All at once: from the whole boundary to the whole input, by kernel ridge regression, where all samples are of one size. It
 * finds what has no place: a boundary that was flattened, or that overlaps itself in windows.
 */
import type { Tensors } from '../../shared/tensor.ts';
import { cholesky, choleskySolve } from '../linalg/cholesky.ts';
import { addRidge } from '../linalg/ridge.ts';
import { type Attack, type AttackSamples, best, flattened } from './attack.ts';
import type { Matrices, Matrix } from './matrices.ts';
import type { Plane } from './plane.ts';
import { sharpenedScore } from './sharpened.ts';

/** Gaussian kernels whose width is this many mean distances, and the linear one. */
const WIDTHS = [0.5, 1] as const;

type Kernel = (inner: number, normA: number, normB: number) => number;

/** @param ridges shares of the kernel's mean diagonal. Gives undefined where samples are of several sizes. */
export async function wholeAttack(
  matrices: Matrices,
  { training, heldOut }: AttackSamples,
  ridges: readonly number[],
): Promise<Attack | undefined> {
  const [first] = training;
  if (!first || heldOut.length === 0) return undefined;
  const size = flattened(first.boundary).length;
  const isSame = ({ boundary, view }: (typeof training)[number]) =>
    flattened(boundary).length === size && view.rows === first.view.rows && view.columns === first.view.columns;
  if (size === 0 || ![...training, ...heldOut].every(isSame)) return undefined;
  const score = sharpenedScore(heldOut.map(({ view }) => view));
  const n = training.length;
  const known = standardised(training.map(({ boundary }) => flattened(boundary)));
  const views = meanOf(training.map(({ view }) => view));
  const targets: Matrix = { rows: n, columns: views.data.length, data: new Float32Array(n * views.data.length) };
  for (const [i, { view }] of training.entries()) {
    for (const [j, value] of view.data.entries())
      targets.data[i * targets.columns + j] = value - (views.data[j] as number);
  }
  const rowsOf = (boundaries: readonly Tensors[]) => known.rowsOf(boundaries.map(flattened));
  const own = (await matrices.inner(known.matrix, known.matrix)).data;
  const norms = Float64Array.from({ length: n }, (_, i) => own[i * n + i] as number);
  const told = async (boundaries: readonly Tensors[], kernel: Kernel, factor: Float64Array): Promise<Plane[]> => {
    const rows = rowsOf(boundaries);
    const products = await matrices.inner(rows, known.matrix);
    const weights = new Float64Array(n * rows.rows);
    for (let j = 0; j < rows.rows; j++) {
      let norm = 0;
      for (let c = 0; c < rows.columns; c++) norm += (rows.data[j * rows.columns + c] as number) ** 2;
      for (let i = 0; i < n; i++) {
        weights[i * rows.rows + j] = kernel(products.data[j * n + i] as number, norm, norms[i] as number);
      }
    }
    choleskySolve(factor, n, weights, rows.rows);
    const turned = new Float32Array(weights.length);
    for (let i = 0; i < n; i++)
      for (let j = 0; j < rows.rows; j++) turned[j * n + i] = weights[i * rows.rows + j] as number;
    const planes = await matrices.multiply({ rows: rows.rows, columns: n, data: turned }, targets);
    return boundaries.map((_, j) => {
      const data = planes.data.slice(j * planes.columns, (j + 1) * planes.columns);
      return { ...views, data: data.map((value, i) => value + (views.data[i] as number)) };
    });
  };
  const attacks: Attack[] = [];
  for (const kernel of kernels(own, norms)) {
    const gram = Float64Array.from({ length: n * n }, (_, at) =>
      kernel(own[at] as number, norms[Math.floor(at / n)] as number, norms[at % n] as number),
    );
    for (const ridge of ridges) {
      const ridged = Float64Array.from(gram);
      addRidge(ridged, n, ridge);
      const factor = cholesky(ridged, n);
      const guesses = await told(
        heldOut.map(({ boundary }) => boundary),
        kernel,
        factor,
      );
      const reconstruct = async (boundary: Tensors) => (await told([boundary], kernel, factor))[0] as Plane;
      attacks.push({ name: 'kernel ridge on the whole', heldOut: guesses, ridge, reconstruct });
    }
  }
  return best(attacks, (attack) => score(attack.heldOut));
}

function kernels(inner: Float32Array, norms: Float64Array): Kernel[] {
  const n = norms.length;
  let total = 0;
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < i; j++)
      total += Math.max(0, (norms[i] as number) + (norms[j] as number) - 2 * (inner[i * n + j] as number));
  }
  const meanSquare = Math.max(1e-12, total / Math.max(1, (n * (n - 1)) / 2));
  const gaussians = WIDTHS.map((width): Kernel => {
    const scale = 1 / (2 * width * width * meanSquare);
    return (product, a, b) => Math.exp(-scale * Math.max(0, a + b - 2 * product));
  });
  return [(product) => product, ...gaussians];
}

/** About the mean of all rows, and as long as 1 on average. */
function standardised(rows: readonly Float32Array[]): {
  matrix: Matrix;
  rowsOf(rows: readonly Float32Array[]): Matrix;
} {
  const columns = rows[0]?.length ?? 0;
  const mean = new Float32Array(columns);
  for (const row of rows)
    for (let c = 0; c < columns; c++) mean[c] = (mean[c] as number) + (row[c] as number) / rows.length;
  let total = 0;
  for (const row of rows) for (let c = 0; c < columns; c++) total += ((row[c] as number) - (mean[c] as number)) ** 2;
  const scale = 1 / Math.sqrt(Math.max(1e-20, total / rows.length));
  const rowsOf = (given: readonly Float32Array[]): Matrix => {
    const data = new Float32Array(given.length * columns);
    for (const [i, row] of given.entries()) {
      for (let c = 0; c < columns; c++) data[i * columns + c] = ((row[c] as number) - (mean[c] as number)) * scale;
    }
    return { rows: given.length, columns, data };
  };
  return { matrix: rowsOf(rows), rowsOf };
}

function meanOf(planes: readonly Plane[]): Plane {
  const [first] = planes as [Plane, ...Plane[]];
  const data = new Float32Array(first.data.length);
  for (const plane of planes) {
    for (let i = 0; i < data.length; i++) data[i] = (data[i] as number) + (plane.data[i] as number) / planes.length;
  }
  return { ...first, data };
}
