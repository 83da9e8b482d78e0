/** Moments of what flows into layers, over samples: what importance, low ranks and compensation are computed from. */

import type { Tensor } from '../../shared/tensor.ts';
import { finishMoments, type Moments, newMoments } from '../linalg/moments.ts';
import { newProducts } from '../linalg/products.ts';
import { inputColumns, inputRows } from './input-rows.ts';
import type { Layer } from './layers.ts';
import { type SegmentData, valuesOf } from './segment-data.ts';

/** Output positions of a sample that are looked at, at least: as many as the layer has columns, if there are. */
const ROWS_PER_SAMPLE_MIN = 128;

/** By the layer's name, one for each group. */
export async function inputMoments(
  data: SegmentData,
  layers: readonly Layer[],
): Promise<ReadonlyMap<string, readonly Moments[]>> {
  const found = new Map<string, Moments[]>();
  for (const layer of layers) {
    found.set(
      layer.name,
      Array.from({ length: layer.groups }, () => newMoments(inputColumns(layer))),
    );
  }
  if (layers.length === 0) return found;
  const names = [...new Set(layers.map(({ node }) => node.inputs[0] ?? ''))];
  const products = await newProducts(data.runtime);
  for await (const values of valuesOf(data, names)) {
    for (const layer of layers) {
      const x = values[layer.node.inputs[0] ?? ''] as Tensor;
      for (const [group, moments] of (found.get(layer.name) ?? []).entries()) {
        await products.add(moments, inputRows(layer, x, group, rowsPerSample(layer)).rows);
      }
    }
  }
  await products.release();
  for (const groups of found.values()) for (const moments of groups) finishMoments(moments);
  return found;
}

/** So that a few samples say more than there are weights to fit. */
export function rowsPerSample(layer: Layer): number {
  return Math.max(ROWS_PER_SAMPLE_MIN, inputColumns(layer));
}
