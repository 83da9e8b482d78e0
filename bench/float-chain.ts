/** The demo's chain in full precision with tiers calibrated anew: what benches of the boundary need, without a compile. */

import { boundaryTiers } from '../compiler/compress/boundary-tiers.ts';
import { allBoundaries, boundarySpecs, twoSizes } from '../compiler/cut/boundary-specs.ts';
import { buildProvenChain } from '../compiler/cut/proven-chain.ts';
import { draftPlan, NO_MODEL, withoutTiers } from '../compiler/draft-plan.ts';
import { readSourceBytes } from '../compiler/index.ts';
import { loadAll } from '../compiler/measure/sessions.ts';
import { prepareModel } from '../compiler/prepare.ts';
import type { ModelRecipe } from '../compiler/recipe.ts';
import { inputCrossing } from '../compiler/samples/crossing.ts';
import { boundaryTensors } from '../shared/chain.ts';
import type { Plan } from '../shared/plan.ts';
import type { Runtime, Session } from '../shared/runtime.ts';
import type { Tensors } from '../shared/tensor.ts';
import { notNeeded } from './bundle.ts';

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
  const draft = draftPlan(recipe, chain, NO_MODEL, []);
  const specs = await boundarySpecs(draft, sessions, recipe.noise);
  const known: Plan = { ...draft, boundaries: withoutTiers(specs) };
  const samples: Tensors[][] = [];
  for await (const { input } of recipe.samples('calibration', calibrationSamples, 1, notNeeded)) {
    samples.push(await allBoundaries(known, sessions, inputCrossing(known, input).tensors));
  }
  const tiers = await boundaryTiers(
    recipe,
    specs,
    (k) =>
      async function* () {
        for (const all of samples) yield boundaryTensors(known, k, all[k] as Tensors);
      },
  );
  return { plan: { ...known, boundaries: specs.map((tensors, k) => ({ tensors, tiers: tiers[k] ?? [] })) }, sessions };
}
