/** Device segments that an earlier compile left in the folder that is compiled to: what has not changed is not made again. */

import { type BundleSource, readPlan, readPlanFile } from '../shared/bundle.ts';
import { unpackModel } from '../shared/codec/weights.ts';
import type { Plan } from '../shared/plan.ts';
import { recipeDigest, type SegmentRecipe } from './compress/segment-recipe.ts';

/**
 * @param plan as far as it is known: its id says which boundaries and tiers
 * @param recipes of its segments
 * @returns the ONNX bytes of every segment, or undefined where one is of another recipe, missing or broken
 */
export async function keptSegments(
  bundle: BundleSource,
  plan: Plan,
  target: string,
  recipes: readonly SegmentRecipe[] | undefined,
): Promise<Uint8Array[] | undefined> {
  try {
    const old = await readPlan(bundle);
    if (old.id !== plan.id) return undefined;
    const models: Uint8Array[] = [];
    for (const [i, { targets }] of old.segments.entries()) {
      const file = targets[target];
      const recipe = recipes?.[i];
      if (!file || !recipe || file.recipeSha256 !== recipeDigest(recipe)) return undefined;
      models.push(unpackModel(await readPlanFile(bundle, file)));
    }
    return models;
  } catch {
    // No bundle, or a broken one: it is replaced.
    return undefined;
  }
}
