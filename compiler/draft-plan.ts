/** A plan with everything but shapes, tiers, files and figures: enough to run the chain by. */
import type { Plan, PlanFile, TensorSpec } from '../shared/plan.ts';
import { PLAN_VERSION } from '../shared/plan-schema.ts';
import type { Chain } from './cut/segments.ts';
import type { ModelRecipe } from './recipe.ts';

/**
 * @param model hash and length of the source
 * @param files of the server's segments
 */
export function draftPlan(
  recipe: ModelRecipe,
  chain: Chain,
  model: Pick<Plan['model'], 'sha256' | 'bytes'>,
  files: readonly PlanFile[],
): Plan {
  const tensors = chain.boundaries.map((boundary) =>
    boundary.map((name) => ({ name, dtype: 'float32' as const, shape: [] as number[] })),
  );
  return {
    ...{ version: PLAN_VERSION, id: '', name: recipe.name },
    model: { source: recipe.source, ...model, fixed: { ...recipe.fixed } },
    ...{ size: recipe.size, preprocess: recipe.preprocess, boundaries: withoutTiers(tensors) },
    segments: chain.segments.map(({ inputs, outputs }, i) => ({
      inputs: [...inputs],
      outputs: [...outputs],
      server: files[i] ?? NO_FILE,
      targets: {},
    })),
    ...{ assets: {}, measured: null },
  };
}

/** For a chain that is not kept. */
export const NO_MODEL = { sha256: '0'.repeat(64), bytes: 1 };
const NO_FILE: PlanFile = { file: 'none', sha256: '0'.repeat(64), bytes: 1 };

export function withoutTiers(specs: readonly TensorSpec[][]): Plan['boundaries'] {
  return specs.map((tensors) => ({ tensors, tiers: [] }));
}
