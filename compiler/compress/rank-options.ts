/** What lower ranks of each layer cost in error: predicted from the outputs' covariance, priced by trials. */

import type { Moments } from '../linalg/moments.ts';
import { secondMoments } from '../linalg/ridge.ts';
import { inputMoments } from './input-moments.ts';
import { inputColumns } from './input-rows.ts';
import { type LayerWeights, readWeights } from './layer-weights.ts';
import { type Layer, layersOf, rowCount } from './layers.ts';
import { composed, EIGEN_MAX, outputCovariance, principalFactors, rankErrors, symmetricEigen } from './low-rank.ts';
import { priced } from './prune-channels.ts';
import { COLUMNS_MAX } from './reconstruct.ts';
import type { SegmentData } from './segment-data.ts';
import type { Trial } from './trial.ts';

/** Shares of the largest rank that saves anything, at which the price is tried. */
const TRIED_SHARES = [7 / 8, 1 / 2, 1 / 4];

export interface RankCurve {
  readonly layer: string;
  /** Ranks that save multiply-accumulates and are multiples of the step, the largest first. */
  readonly ranks: readonly number[];
  /** Error of the segment's outputs at each, as the trial has it. */
  readonly errors: readonly number[];
}

/** Whether a layer can be written as a product. */
export function isFactorable(layer: Layer): boolean {
  return layer.groups === 1 && rowCount(layer) <= EIGEN_MAX && inputColumns(layer) <= COLUMNS_MAX;
}

export async function rankCurves(data: SegmentData, trial: Trial, step: number): Promise<RankCurve[]> {
  const { graph } = data.model;
  const layers = layersOf(graph).filter((layer) => isFactorable(layer) && readWeights(graph, layer));
  const wide = layers.filter((layer) => ranksOf(layer, step).length > 0);
  const moments = await inputMoments(data, wide);
  const curves: RankCurve[] = [];
  for (const layer of wide) {
    const [inputs] = moments.get(layer.name) ?? [];
    if (inputs) curves.push(await rankCurve(layer, readWeights(graph, layer) as LayerWeights, inputs, trial, step));
  }
  return curves;
}

async function rankCurve(
  layer: Layer,
  weights: LayerWeights,
  inputs: Moments,
  trial: Trial,
  step: number,
): Promise<RankCurve> {
  const { columns } = inputs;
  const ranks = ranksOf(layer, step);
  const covariance = outputCovariance(weights.rows, secondMoments(inputs, weights.bias !== undefined), columns);
  const eigen = symmetricEigen(covariance, rowCount(layer));
  const byRank = rankErrors(eigen);
  // By place in the list, as removals are by their number: 0 stands for the whole layer.
  const predicted = Float64Array.from([0, ...ranks.map((rank) => byRank[rank] as number)]);
  const tried: [number, number][] = [];
  for (const at of new Set(TRIED_SHARES.map((share) => 1 + Math.floor((1 - share) * (ranks.length - 1))))) {
    const rows = composed(principalFactors(weights.rows, eigen, ranks[at - 1] as number));
    tried.push([at, await trial(new Map([[layer.name, withMeanKept(weights, rows, inputs)]]))]);
  }
  return { layer: layer.name, ranks, errors: [...priced(predicted, tried)].slice(1) };
}

/** Other rows, and the bias with which the mean of what the layer gives stays. */
export function withMeanKept(
  { rows, bias }: LayerWeights,
  other: Float32Array,
  { columns, sum, count }: Moments,
): LayerWeights {
  const shifted = bias?.map((value, o) => {
    let shift = 0;
    for (let c = 0; c < columns; c++) {
      const at = o * columns + c;
      shift += (((rows[at] as number) - (other[at] as number)) * (sum[c] as number)) / count;
    }
    return value + shift;
  });
  return { rows: other, bias: shifted };
}

function ranksOf(layer: Layer, step: number): number[] {
  const [columns, outputs] = [inputColumns(layer), rowCount(layer)];
  const most = Math.ceil((columns * outputs) / (columns + outputs)) - 1;
  const count = Math.floor(most / step);
  return Array.from({ length: count }, (_, i) => (count - i) * step);
}
