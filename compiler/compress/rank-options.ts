/** What thinner forms of each layer cost in error: predicted from the moments of what comes in, priced by trials. */

import { EIGEN_MAX, type Eigen, symmetricEigen } from '../linalg/eigen.ts';
import type { Moments } from '../linalg/moments.ts';
import { secondMoments } from '../linalg/ridge.ts';
import { inputColumns } from './input-rows.ts';
import { type Form, type FormCost, factorsOf, formCost, formsOf, totalCost } from './layer-forms.ts';
import { layerGrams, rowsToFit } from './layer-grams.ts';
import { type LayerWeights, readWeights, withMeanKept } from './layer-weights.ts';
import { type Layer, layersOf, rowCount } from './layers.ts';
import { outputCovariance, rankErrors } from './low-rank.ts';
import { priced } from './prune-channels.ts';
import { COLUMNS_MAX } from './reconstruct.ts';
import type { SegmentData } from './segment-data.ts';
import type { Trial } from './trial.ts';

/** Places in the list of forms at which the price is tried. */
const TRIED_PLACES = [1 / 8, 1 / 2, 7 / 8];

export interface RankOption {
  readonly form: Form;
  readonly cost: FormCost;
  /** Of the segment's outputs, as the trial has it. */
  readonly error: number;
}

export interface RankCurve {
  /** The layer's name. */
  readonly layer: string;
  /** The costliest first; each costs less and errs more than the one before. */
  readonly options: readonly RankOption[];
}

export async function rankCurves(data: SegmentData, trial: Trial, step: number): Promise<RankCurve[]> {
  const { graph } = data.model;
  const layers = layersOf(graph).filter((layer) => {
    const isNarrow = layer.groups === 1 && rowCount(layer) <= EIGEN_MAX && inputColumns(layer) <= COLUMNS_MAX;
    return isNarrow && readWeights(graph, layer) && formsOf(layer, step).length > 0;
  });
  const moments = await layerGrams(data, layers, rowsToFit);
  const curves: RankCurve[] = [];
  for (const layer of layers) {
    const [inputs] = moments.get(layer.name) ?? [];
    const weights = readWeights(graph, layer);
    if (inputs && weights)
      curves.push({ layer: layer.name, options: await rankOptions(layer, weights, inputs, trial, step) });
  }
  return curves;
}

/** The forms of one layer that no other beats. */
async function rankOptions(
  layer: Layer,
  weights: LayerWeights,
  inputs: Moments,
  trial: Trial,
  step: number,
): Promise<RankOption[]> {
  const moments = secondMoments(inputs, weights.bias !== undefined);
  const eigen = outputEigen(weights.rows, moments, inputs.columns);
  const predicted = formsOf(layer, step).map((form) => ({
    ...{ form, cost: formCost(layer, form) },
    error: predictedError(layer, weights.rows, eigen, moments, form),
  }));
  const best = undominated(predicted);
  const tried: [number, number][] = [];
  for (const at of new Set(TRIED_PLACES.map((share) => Math.floor(share * best.length)))) {
    const option = best[at];
    if (!option) continue;
    const { rows } = factorsOf(layer, weights.rows, eigen, option.form);
    tried.push([at, await trial(new Map([[layer.name, withMeanKept(weights, rows, inputs)]]))]);
  }
  const errors = priced(
    Float64Array.from(best, ({ error }) => error),
    tried,
  );
  return best.map((option, i) => ({ ...option, error: errors[i] as number }));
}

/** Eigenvalues of the covariance of what a layer gives. */
export function outputEigen(rows: Float32Array, moments: Float64Array, columns: number): Eigen {
  return symmetricEigen(outputCovariance(rows, moments, columns), rows.length / columns);
}

/** Error of the layer's outputs over their variance. */
function predictedError(layer: Layer, rows: Float32Array, eigen: Eigen, moments: Float64Array, form: Form): number {
  if (form.type === 'principal') return rankErrors(eigen)[form.rank] as number;
  const low = factorsOf(layer, rows, eigen, form).rows;
  const difference = low.map((value, i) => value - (rows[i] as number));
  const covariance = outputCovariance(difference, moments, inputColumns(layer));
  const outputs = rowCount(layer);
  let error = 0;
  for (let o = 0; o < outputs; o++) error += covariance[o * outputs + o] as number;
  const variance = eigen.values.reduce((sum, value) => sum + Math.max(0, value), 0);
  return error / Math.max(1e-30, variance);
}

function undominated(options: readonly RankOption[]): RankOption[] {
  const sorted = [...options].sort((a, b) => totalCost(a.cost) - totalCost(b.cost) || a.error - b.error);
  const kept: RankOption[] = [];
  // From the cheapest on: what costs more must err less.
  for (const option of sorted) if (option.error < (kept.at(-1)?.error ?? Number.POSITIVE_INFINITY)) kept.push(option);
  return kept.reverse();
}
