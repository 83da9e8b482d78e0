/**
 * In which order the channels of a group are best removed, and at what price: optimal brain surgeon on the layers that read
 * them (Hassibi & Stork 1993; structured as in Kwon et al. 2022). Each removal lets the columns that stay take over what
 * they can, so that the error is the one that is left after least squares, and channels that say the same are not all kept.
 */
import { cholesky, choleskyInverse, choleskySolve } from '../linalg/cholesky.ts';
import type { Moments } from '../linalg/moments.ts';
import { addRidge, secondMoments } from '../linalg/ridge.ts';
import type { Units } from './channel-groups.ts';
import { inputColumns } from './input-rows.ts';
import { groupRows, type LayerWeights } from './layer-weights.ts';
import { type Layer, rowCount } from './layers.ts';

/** A layer that multiplies channels away, in full precision. */
export interface Reader {
  readonly layer: Layer;
  readonly weights: LayerWeights;
  /** Of what comes in, one for each group of a convolution. */
  readonly moments: readonly Moments[];
  /** The unit at each input channel (of a group). */
  readonly units: Units;
}

export interface RemovalOrder {
  readonly order: readonly number[];
  /** By the number of units removed, from 0: squared error of what the readers give, each over its variance, summed. */
  readonly errors: Float64Array;
  /** By the number of units removed, where asked for: weights of the readers by layer name, with zeros for those. */
  readonly weights: ReadonlyMap<number, ReadonlyMap<string, LayerWeights>>;
}

/**
 * @param readers all that read the units
 * @param step units are chosen so many at a time
 * @param counts numbers of removed units at which weights are wanted
 */
export function removalOrder(
  units: readonly number[],
  readers: readonly Reader[],
  step: number,
  counts: readonly number[],
): RemovalOrder {
  const parts = readers.flatMap(partsOf);
  const left = new Set(units);
  const order: number[] = [];
  const errors = new Float64Array(units.length + 1);
  const weights = new Map<number, Map<string, LayerWeights>>();
  // The last ones have nothing that could take over.
  while (left.size > 1) {
    const scored = [...left].map((unit) => ({ unit, score: scoreOf(parts, unit) }));
    scored.sort((a, b) => a.score - b.score || a.unit - b.unit);
    for (const { unit } of scored.slice(0, Math.min(step, left.size - 1))) {
      const error = (errors[order.length] as number) + scoreOf(parts, unit);
      for (const part of parts) eliminate(part, unit);
      left.delete(unit);
      order.push(unit);
      errors[order.length] = error;
      if (counts.includes(order.length)) weights.set(order.length, weightsNow(readers, parts));
    }
  }
  errors[units.length] = Number.POSITIVE_INFINITY;
  return { order: [...order, ...left], errors, weights };
}

/** One group of a reader's convolution: W is [columns, outputs], its Hessian's inverse is kept with what was eliminated. */
interface Part {
  readonly layer: string;
  readonly columns: number;
  readonly outputs: number;
  readonly inverse: Float64Array;
  readonly w: Float64Array;
  readonly variance: number;
  readonly columnsOf: ReadonlyMap<number, readonly number[]>;
}

function partsOf({ layer, weights, moments, units }: Reader): Part[] {
  const columns = inputColumns(layer);
  const outputs = rowCount(layer) / layer.groups;
  const taps = columns / units.length;
  const columnsOf = new Map<number, number[]>();
  for (const [position, unit] of units.entries()) {
    if (unit < 0) continue;
    const own = columnsOf.get(unit) ?? [];
    for (let t = 0; t < taps; t++) own.push(position * taps + t);
    columnsOf.set(unit, own);
  }
  const parts = moments.map((group, g) => {
    const rows = groupRows(layer, weights.rows, g);
    const w = new Float64Array(columns * outputs);
    for (let o = 0; o < outputs; o++) {
      for (let c = 0; c < columns; c++) w[c * outputs + o] = rows[o * columns + c] as number;
    }
    const hessian = secondMoments(group, weights.bias !== undefined);
    const variance = quadratic(hessian, w, columns, outputs);
    addRidge(hessian, columns);
    const inverse = choleskyInverse(cholesky(hessian, columns), columns);
    return { layer: layer.name, columns, outputs, inverse, w, variance, columnsOf };
  });
  // Groups of one layer are one output.
  const whole = Math.max(
    1e-30,
    parts.reduce((sum, { variance }) => sum + variance, 0),
  );
  return parts.map((part) => ({ ...part, variance: whole }));
}

/** tr(Wᵀ H W) */
function quadratic(h: Float64Array, w: Float64Array, columns: number, outputs: number): number {
  let sum = 0;
  const row = new Float64Array(outputs);
  for (let i = 0; i < columns; i++) {
    row.fill(0);
    for (let j = 0; j < columns; j++) {
      const factor = h[i * columns + j] as number;
      for (let o = 0; o < outputs; o++) row[o] = (row[o] as number) + factor * (w[j * outputs + o] as number);
    }
    for (let o = 0; o < outputs; o++) sum += (row[o] as number) * (w[i * outputs + o] as number);
  }
  return sum;
}

function scoreOf(parts: readonly Part[], unit: number): number {
  let score = 0;
  for (const part of parts) {
    const own = part.columnsOf.get(unit);
    if (!own) continue;
    const solved = solvedRows(part, own);
    let error = 0;
    for (const [s, column] of own.entries()) {
      for (let o = 0; o < part.outputs; o++) {
        error += (part.w[column * part.outputs + o] as number) * (solved[s * part.outputs + o] as number);
      }
    }
    score += error / part.variance;
  }
  return score;
}

/** ([H⁻¹]_SS)⁻¹ W_S: [columns of the unit, outputs] */
function solvedRows({ inverse, w, columns, outputs }: Part, own: readonly number[]): Float64Array {
  const n = own.length;
  const block = new Float64Array(n * n);
  const rows = new Float64Array(n * outputs);
  for (const [i, column] of own.entries()) {
    for (const [j, other] of own.entries()) block[i * n + j] = inverse[column * columns + other] as number;
    rows.set(w.subarray(column * outputs, (column + 1) * outputs), i * outputs);
  }
  choleskySolve(cholesky(block, n), n, rows, outputs);
  return rows;
}

/** W -= [H⁻¹]_:S ([H⁻¹]_SS)⁻¹ W_S, and the same of the inverse. What is eliminated is 0 in both from then on. */
function eliminate(part: Part, unit: number): void {
  const { columns, outputs, inverse, w } = part;
  const own = part.columnsOf.get(unit);
  if (!own) return;
  const solved = solvedRows(part, own);
  const n = own.length;
  const across = new Float64Array(n * columns);
  const block = new Float64Array(n * n);
  for (const [i, column] of own.entries()) {
    across.set(inverse.subarray(column * columns, (column + 1) * columns), i * columns);
    for (const [j, other] of own.entries()) block[i * n + j] = inverse[column * columns + other] as number;
  }
  const solvedAcross = across.slice();
  choleskySolve(cholesky(block, n), n, solvedAcross, columns);
  for (let c = 0; c < columns; c++) {
    for (let s = 0; s < n; s++) {
      const factor = across[s * columns + c] as number;
      if (factor === 0) continue;
      subtract(w, c * outputs, factor, solved, s * outputs, outputs);
      subtract(inverse, c * columns, factor, solvedAcross, s * columns, columns);
    }
  }
  for (const column of own) {
    w.fill(0, column * outputs, (column + 1) * outputs);
    inverse.fill(0, column * columns, (column + 1) * columns);
    for (let c = 0; c < columns; c++) inverse[c * columns + column] = 0;
    inverse[column * columns + column] = 1;
  }
}

function subtract(to: Float64Array, at: number, factor: number, from: Float64Array, start: number, n: number): void {
  for (let k = 0; k < n; k++) to[at + k] = (to[at + k] as number) - factor * (from[start + k] as number);
}

/** Biases take over the mean of what is gone. */
function weightsNow(readers: readonly Reader[], parts: readonly Part[]): Map<string, LayerWeights> {
  const found = new Map<string, LayerWeights>();
  for (const { layer, weights, moments } of readers) {
    const rows = new Float64Array(weights.rows.length);
    const bias = weights.bias?.slice();
    const own = parts.filter((part) => part.layer === layer.name);
    for (const [g, { w, columns, outputs }] of own.entries()) {
      const { sum, count } = moments[g] as Moments;
      for (let o = 0; o < outputs; o++) {
        const row = (g * outputs + o) * columns;
        let shift = 0;
        for (let c = 0; c < columns; c++) {
          const value = w[c * outputs + o] as number;
          rows[row + c] = value;
          shift += (((weights.rows[row + c] as number) - value) * (sum[c] as number)) / count;
        }
        if (bias) bias[g * outputs + o] = (bias[g * outputs + o] as number) + shift;
      }
    }
    found.set(layer.name, { rows: Float32Array.from(rows), bias });
  }
  return found;
}
