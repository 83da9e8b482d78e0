/** How much worse the model's first metric becomes with a compressed head, on samples that nothing was fitted to. */
import { runSegment, runSegments } from '../../shared/chain.ts';
import { depthOf, type Plan } from '../../shared/plan.ts';
import type { Session } from '../../shared/runtime.ts';
import type { Tensors } from '../../shared/tensor.ts';
import type { Grade, ModelRecipe } from '../recipe.ts';
import { inputCrossing, wholeOf } from '../samples/crossing.ts';
import { severalAtATime } from '../several-at-a-time.ts';

export interface HeldOut {
  readonly plan: Plan;
  readonly recipe: ModelRecipe;
  readonly server: readonly Session[];
  readonly samples: readonly { readonly input: Tensors; readonly truth: string; readonly expected: Tensors }[];
  /** The first metric in full precision. */
  readonly baseline: number;
}

/** Inputs are held in memory, to be run again for every recipe that is tried. */
const BYTES_MAX = 256 * 2 ** 20;

/** @param count samples at most; `seed` is to be another one than calibration's */
export async function holdOut(
  { plan, recipe, server }: Pick<HeldOut, 'plan' | 'recipe' | 'server'>,
  count: number,
  seed: number,
): Promise<HeldOut> {
  const run = wholeOf(plan, server);
  async function* inputs(): AsyncIterable<{ input: Tensors; truth: string }> {
    let bytes = 0;
    for await (const { input, truth } of recipe.samples('calibration', count, seed, run)) {
      const { tensors } = inputCrossing(plan, input);
      yield { input: tensors, truth };
      for (const { data } of Object.values(tensors)) bytes += data.byteLength;
      if (bytes > BYTES_MAX) break;
    }
  }
  const samples = await severalAtATime(inputs(), async (sample) => ({ ...sample, expected: await run(sample.input) }));
  const baseline = scoreOf(
    recipe,
    samples.map(({ expected, truth }) => recipe.judge(expected, truth, expected)),
  );
  return { plan, recipe, server, samples, baseline };
}

/** Of its samples so many. */
export function firstOf({ samples, ...heldOut }: HeldOut, count: number): HeldOut {
  const some = samples.slice(0, count);
  const grades = some.map(({ expected, truth }) => heldOut.recipe.judge(expected, truth, expected));
  return { ...heldOut, samples: some, baseline: scoreOf(heldOut.recipe, grades) };
}

/** What a compressed head costs, at the worst of the depths that were asked for. */
export interface HeadLoss {
  /** Of the metric; below 0 where it became better everywhere. */
  readonly drop: number;
  /**
   * Share of answers that are others than in full precision. It tells small losses from chance long before the metric does,
   * for what changes in either direction counts.
   */
  readonly changed: number;
}

/**
 * @param device the compressed chain
 * @param depths at which the tail is to take over; K for a chain that runs on the device as a whole
 */
export async function headLoss(
  heldOut: HeldOut,
  device: readonly Session[],
  depths: readonly number[],
): Promise<HeadLoss> {
  const { plan, recipe, server, samples, baseline } = heldOut;
  /** By sample, and then by depth. */
  const judged = await severalAtATime(samples, async ({ input, truth, expected }) => {
    const found: { grade: Grade; isChanged: boolean }[] = [];
    let live = input;
    for (let k = 1; k <= Math.max(...depths); k++) {
      live = await runSegment(plan, device[k - 1] as Session, k - 1, live);
      if (!depths.includes(k)) continue;
      const outputs = await runSegments(plan, server, { from: k, to: depthOf(plan), tensors: live });
      const isChanged = recipe.answer(outputs) !== recipe.answer(expected);
      found.push({ grade: recipe.judge(outputs, truth, expected), isChanged });
    }
    return found;
  });
  const isHigherBetter = recipe.metrics[0]?.isHigherBetter ?? true;
  const losses = depths.map((_, i): HeadLoss => {
    const column = judged.flatMap((found) => found[i] ?? []);
    const change =
      baseline -
      scoreOf(
        recipe,
        column.map(({ grade }) => grade),
      );
    const changed = column.filter(({ isChanged }) => isChanged).length / Math.max(1, samples.length);
    return { drop: isHigherBetter ? change : -change, changed };
  });
  return {
    drop: Math.max(...losses.map(({ drop }) => drop)),
    changed: Math.max(...losses.map(({ changed }) => changed)),
  };
}

function scoreOf(recipe: ModelRecipe, grades: readonly Grade[]): number {
  return recipe.score(grades)[recipe.metrics[0]?.name ?? ''] ?? Number.NaN;
}
