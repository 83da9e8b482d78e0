/**
 * Single weights set to 0, for storage: packed or entropy-coded files get smaller by them, inference does not get faster.
 * With second moments of what comes in, the weights that stay make up for those that go, column by column (SparseGPT,
 * Frantar & Alistarh 2023, which is optimal brain surgeon with one order for all rows).
 */

import { cloneGraph, type Model } from '../graph/graph.ts';
import { cholesky, choleskyInverse } from '../linalg/cholesky.ts';
import { addRidge, secondMoments } from '../linalg/ridge.ts';
import { removeDeadCode } from '../passes/dead-code.ts';
import { inputColumns } from './input-rows.ts';
import { layerGrams, rowsToFit } from './layer-grams.ts';
import { readWeights, withMeanKept, writeWeights } from './layer-weights.ts';
import { layersOf } from './layers.ts';
import { COLUMNS_MAX } from './reconstruct.ts';
import type { SegmentData } from './segment-data.ts';

/** Columns whose weights compete with each other for staying. */
const BLOCK = 64;

/** The model with a share of the weights of each layer set to 0. Depthwise and very wide layers stay as they are. */
export async function pruneWeights(data: SegmentData, share: number): Promise<Model> {
  const graph = cloneGraph(data.model.graph);
  const layers = layersOf(graph).filter((layer) => layer.groups === 1 && inputColumns(layer) <= COLUMNS_MAX);
  const moments = await layerGrams(data, layers, rowsToFit);
  for (const layer of layers) {
    const weights = readWeights(graph, layer);
    const [inputs] = moments.get(layer.name) ?? [];
    if (!weights || !inputs) continue;
    const second = secondMoments(inputs, weights.bias !== undefined);
    const rows = pruneCompensated(weights.rows, second, inputs.columns, share);
    writeWeights(graph, layer, withMeanKept(weights, rows, inputs));
  }
  removeDeadCode(graph);
  return { ...data.model, graph };
}

/** The smallest weights set to 0, `share` of all, rounded down. */
export function pruneSmallest(rows: Float32Array, share: number): Float32Array {
  const order = [...rows.keys()].sort((a, b) => Math.abs(rows[a] as number) - Math.abs(rows[b] as number) || a - b);
  const pruned = rows.slice();
  for (const i of order.slice(0, Math.floor(share * rows.length))) pruned[i] = 0;
  return pruned;
}

/**
 * Of each row the share of weights that matter least: by their square times what an error in their column costs.
 * @param costs of each column
 * @returns [outputs, columns], 1 where a weight is one of them
 */
export function leastImportant(
  rows: Float32Array,
  columns: number,
  costs: ArrayLike<number>,
  share: number,
): Uint8Array {
  const gone = new Uint8Array(rows.length);
  const worth = rows.map((value, i) => value * value * (costs[i % columns] as number));
  for (let from = 0; from < rows.length; from += columns) {
    const order = Array.from({ length: columns }, (_, c) => from + c);
    order.sort((a, b) => (worth[a] as number) - (worth[b] as number) || a - b);
    for (const i of order.slice(0, Math.floor(share * columns))) gone[i] = 1;
  }
  return gone;
}

/**
 * @param rows [outputs, columns]
 * @param moments of what comes in, [columns, columns]; about the mean where the bias takes over means
 */
export function pruneCompensated(
  rows: Float32Array,
  moments: Float64Array,
  columns: number,
  share: number,
): Float32Array {
  const outputs = rows.length / columns;
  const hessian = moments.slice();
  addRidge(hessian, columns);
  const upper = transposed(cholesky(choleskyInverse(cholesky(hessian, columns), columns), columns), columns);
  const w = Float64Array.from(rows);
  for (let from = 0; from < columns; from += BLOCK) {
    const to = Math.min(columns, from + BLOCK);
    const gone = cheapest(w, upper, columns, outputs, from, to, share);
    for (let c = from; c < to; c++) {
      const pivot = upper[c * columns + c] as number;
      for (let o = 0; o < outputs; o++) {
        if (!gone.has(o * columns + c)) continue;
        const error = (w[o * columns + c] as number) / pivot;
        for (let k = c; k < columns; k++) {
          w[o * columns + k] = (w[o * columns + k] as number) - error * (upper[c * columns + k] as number);
        }
        w[o * columns + c] = 0;
      }
    }
  }
  return Float32Array.from(w);
}

/** Of a block of columns the share with the least error each. */
function cheapest(
  w: Float64Array,
  upper: Float64Array,
  columns: number,
  outputs: number,
  from: number,
  to: number,
  share: number,
): ReadonlySet<number> {
  const scored: { at: number; error: number }[] = [];
  for (let o = 0; o < outputs; o++) {
    for (let c = from; c < to; c++) {
      const at = o * columns + c;
      scored.push({ at, error: ((w[at] as number) / (upper[c * columns + c] as number)) ** 2 });
    }
  }
  scored.sort((a, b) => a.error - b.error || a.at - b.at);
  return new Set(scored.slice(0, Math.floor(share * scored.length)).map(({ at }) => at));
}

function transposed(matrix: Float64Array, n: number): Float64Array {
  return matrix.map((_, i) => matrix[(i % n) * n + Math.floor(i / n)] as number);
}
