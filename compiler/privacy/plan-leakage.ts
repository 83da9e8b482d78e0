/** The plan's leakage: measured where that is asked for, else as an earlier run of the same plan found it. */
import { boundaryCodec } from '../../shared/codec/boundary.ts';
import type { Plan, PlanLeakage } from '../../shared/plan.ts';
import type { Session } from '../../shared/runtime.ts';
import type { CompileRequest } from '../compile-request.ts';
import type { Chain } from '../cut/segments.ts';
import type { MeasuredRecord } from '../measure/record.ts';
import { loadAll, releaseAll } from '../measure/sessions.ts';
import type { ModelRecipe } from '../recipe.ts';
import { NOISES } from './defences.ts';
import { type LeakageBudget, measureLeakage } from './measure-leakage.ts';
import { type KeptPicture, keptPictures } from './reconstructions.ts';

export interface KnownLeakage {
  /** undefined where it was never measured. */
  readonly leakage: PlanLeakage | undefined;
  readonly pictures: readonly KeptPicture[];
}

const BUDGET: LeakageBudget = {
  ...{ trainingSamples: 96, samples: 20, accuracySamples: 120, seeds: 2 },
  ...{ places: 16_000, hidden: 192, steps: 500, noises: NOISES },
};
/** Where all inputs are of one size, and a sample may be no more than one equation. */
const TRAINING_SAMPLES_FIXED = 160;
/** Pictures of many pixels have many places each, and take as much longer. */
const LARGE = { pixelsMin: 100_000, budget: { trainingSamples: 48, samples: 12, steps: 1500 } } as const;

export function leakageBudget({ size, preprocess }: ModelRecipe, given: Partial<LeakageBudget> = {}): LeakageBudget {
  const trainingSamples = size.min === size.max ? TRAINING_SAMPLES_FIXED : BUDGET.trainingSamples;
  const isLarge = preprocess !== null && preprocess.height * size.typical >= LARGE.pixelsMin;
  return { ...BUDGET, trainingSamples, ...(isLarge && LARGE.budget), ...given };
}

export async function planLeakage(
  request: CompileRequest,
  plan: Plan,
  chain: Chain,
  server: readonly Session[],
  record: MeasuredRecord | undefined,
): Promise<KnownLeakage> {
  const { recipe, seed, progress } = request;
  if (!request.leakage) {
    const fits = record?.planId === plan.id;
    return { leakage: fits ? record.measured.leakage : undefined, pictures: (fits && record.leakagePictures) || [] };
  }
  const tails = await loadAll(
    request.many,
    chain.segments.map(({ float }) => float),
  );
  const { leakage, pictures } = await measureLeakage({
    ...{ plan, recipe, server, tails, runtime: request.many, seed, progress },
    ...{ codec: boundaryCodec(plan, request.pictures), budget: request.leakage },
  });
  await releaseAll([tails]);
  return { leakage, pictures: await keptPictures(pictures, request.pictures) };
}
