/** A chain in full precision with tiers calibrated anew: enough of a plan to see what sending costs, without a bundle. */
import { boundaryTensors } from '../shared/chain.ts';
import type { Plan, TensorSpec } from '../shared/plan.ts';
import type { Session } from '../shared/runtime.ts';
import { shapeAt } from '../shared/size.ts';
import type { Tensors } from '../shared/tensor.ts';
import { boundaryTiers } from './compress/boundary-tiers.ts';
import { allBoundaries, boundarySpecs } from './cut/boundary-specs.ts';
import type { Chain } from './cut/segments.ts';
import { draftPlan, NO_MODEL, withoutTiers } from './draft-plan.ts';
import type { Progress } from './progress.ts';
import type { ModelRecipe } from './recipe.ts';
import { inputCrossing, wholeOf } from './samples/crossing.ts';

/**
 * Boundaries whose shapes depend on values have no tiers: they cannot be sent.
 * @param sessions of the chain
 * @param count of samples, all of whose boundaries are held in memory
 */
export async function calibratedPlan(
  recipe: ModelRecipe,
  chain: Chain,
  sessions: readonly Session[],
  count: number,
  progress: Progress,
): Promise<Plan> {
  const draft = draftPlan(recipe, chain, NO_MODEL, []);
  const specs = await boundarySpecs(draft, sessions, recipe.noise);
  const known: Plan = { ...draft, boundaries: withoutTiers(specs) };
  const samples: Tensors[][] = [];
  const isSteady = specs.map(() => true);
  for await (const { input } of recipe.samples('calibration', count, 1, wholeOf(known, sessions))) {
    progress({ stage: 'calibrating each boundary', done: samples.length, total: count });
    const { tensors, size } = inputCrossing(known, input);
    const all = await allBoundaries(known, sessions, tensors);
    for (const [k, boundary] of specs.entries()) isSteady[k] &&= hasShapes(all[k] as Tensors, boundary, size);
    samples.push(all);
  }
  const tiers = await boundaryTiers(
    recipe,
    specs,
    chain.segments,
    (k) =>
      async function* () {
        for (const all of samples) yield boundaryTensors(known, k, all[k] as Tensors);
      },
  );
  return { ...known, boundaries: specs.map((tensors, k) => ({ tensors, tiers: isSteady[k] ? (tiers[k] ?? []) : [] })) };
}

function hasShapes(tensors: Tensors, specs: readonly TensorSpec[], size: number): boolean {
  return specs.every((spec) => tensors[spec.name]?.shape.join() === shapeAt(spec, size).join());
}
