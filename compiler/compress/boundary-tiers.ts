/** The ways in which each boundary can travel: as a picture, as it is, or quantized with tables from samples. */
import type { TensorSpec, Tier } from '../../shared/plan.ts';
import type { ChainSegment } from '../cut/segments.ts';
import type { ModelRecipe } from '../recipe.ts';
import { type BoundarySamples, calibrateTiers } from './calibrate.ts';
import { channelMetric } from './channel-metric.ts';

/**
 * @param specs of boundaries 0..K
 * @param segments of the chain: what reads a boundary says what errors in it matter
 * @param samplesOf calibration samples of boundary k
 * @returns tiers of boundaries 0..K: none for K
 */
export async function boundaryTiers(
  recipe: ModelRecipe,
  specs: readonly (readonly TensorSpec[])[],
  segments: readonly ChainSegment[],
  samplesOf: (k: number) => BoundarySamples,
): Promise<Tier[][]> {
  const pictures: Tier[] = recipe.pictures.map(({ format, quality }) => ({
    type: 'picture',
    name: `${format}-${quality}`,
    format,
    quality,
  }));
  const raw: Tier[] = recipe.raw ? [{ type: 'raw', name: 'raw' }] : [];
  const tiers: Tier[][] = recipe.preprocess ? [[...pictures, ...raw]] : [];
  for (let k = tiers.length; k < specs.length - 1; k++) {
    const tail = segments.slice(k).map(({ model }) => model.graph);
    const quantized = await calibrateTiers(specs[k] ?? [], recipe, samplesOf(k), (tensor, channels) =>
      channelMetric(tail, tensor, channels),
    );
    tiers.push([...quantized, ...raw]);
  }
  return [...tiers, []];
}
