/** The demo's chain in full precision with tiers calibrated anew: what benches of the boundary need, without a compile. */

import { calibratedPlan } from '../compiler/calibrated-plan.ts';
import { twoSizes } from '../compiler/cut/boundary-specs.ts';
import { buildProvenChain } from '../compiler/cut/proven-chain.ts';
import { readSourceBytes } from '../compiler/index.ts';
import { loadAll } from '../compiler/measure/sessions.ts';
import { prepareModel } from '../compiler/prepare.ts';
import type { ModelRecipe } from '../compiler/recipe.ts';
import type { Plan } from '../shared/plan.ts';
import type { Runtime, Session } from '../shared/runtime.ts';

export interface FloatChain {
  readonly plan: Plan;
  readonly sessions: readonly Session[];
}

/** @param calibrationSamples all of whose boundaries are held in memory */
export async function floatChain(
  recipe: ModelRecipe,
  runtime: Runtime,
  calibrationSamples: number,
): Promise<FloatChain> {
  const model = await prepareModel(await readSourceBytes(recipe), recipe, runtime);
  const chain = await buildProvenChain(model, recipe.cuts, runtime, twoSizes(recipe.size).map(recipe.noise));
  const sessions = await loadAll(
    runtime,
    chain.segments.map(({ float }) => float),
  );
  return { plan: await calibratedPlan(recipe, chain, sessions, calibrationSamples, () => {}), sessions };
}
