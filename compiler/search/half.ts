/**
 * Segments that compute in float16 where the target can: those that gain by it and are right there, if the budget holds with
 * them. Graphics processors also sum in float16, which no other runtime shows: it is looked at on the adapter itself.
 */
import { segmentInputs } from '../../shared/chain.ts';
import { messageOf } from '../../shared/errors.ts';
import { goldenAnswer, goldenError, goldenInput } from '../../shared/golden.ts';
import type { Runtime } from '../../shared/runtime.ts';
import type { Tensors } from '../../shared/tensor.ts';
import type { SegmentRecipe } from '../compress/segment-recipe.ts';
import { canBeFloat16 } from '../compress/to-float16.ts';
import { writeModel } from '../onnx/write.ts';
import type { HeadLoss } from './held-out.ts';
import { GAIN_MIN, type TrialsRequest, timeOf } from './trials.ts';

interface Found {
  readonly recipes: readonly SegmentRecipe[];
  /** The worst of all k. */
  readonly lost: HeadLoss;
  /** Of the time that they take without float16. */
  readonly timeShare: number;
}

/**
 * @param verified whether the budget holds, on the adapter too
 * @param reverted why segments stay in float32 is added
 */
export async function withHalf(
  request: TrialsRequest,
  { recipes, lost }: Omit<Found, 'timeShare'>,
  verified: (recipes: readonly SegmentRecipe[]) => Promise<{ readonly lost: HeadLoss; readonly holds: boolean }>,
  reverted: string[],
): Promise<Found> {
  const { hasFloat16, models } = request;
  const asBefore = { recipes, lost, timeShare: 1 };
  if (hasFloat16 === undefined) return asBefore;
  if (!hasFloat16) {
    reverted.push('float16: not tried, the graphics adapter does not compute in it (shader-f16)');
    return asBefore;
  }
  const can = models.map(({ graph }) => canBeFloat16(graph));
  const single = await timeOf(request, recipes);
  const halves = recipes.map((recipe, k) => ({ ...recipe, half: can[k] }));
  const half = await timeOf(request, halves).catch((error: unknown) => messageOf(error));
  if (typeof half === 'string') {
    reverted.push(`float16: it does not run on the adapter: ${half}`);
    return asBefore;
  }
  const [before, after] = [sharesOf(single), sharesOf(half)];
  const gains = can.map((may, k) => may && (after[k] as number) * GAIN_MIN <= (before[k] as number));
  for (const [k, gain] of gains.entries()) {
    const error = gain ? await errorInHalf(request, k, recipes[k] as SegmentRecipe) : null;
    if (error === null) continue;
    gains[k] = false;
    reverted.push(`segment ${k + 1} in float16: off by ${error.toPrecision(2)} on the adapter`);
  }
  if (!gains.includes(true)) return asBefore;
  const tried = recipes.map((recipe, k) => (gains[k] ? { ...recipe, half: true } : recipe));
  const { lost: lostInHalf, holds } = await verified(tried);
  if (!holds) {
    const { drop, changed } = lostInHalf;
    reverted.push(
      `float16: with it the metric lost ${drop.toPrecision(2)}, ${(changed * 100).toFixed(1)} % of the answers changed`,
    );
    return asBefore;
  }
  const total = (shares: (k: number) => number) => single.float.reduce((sum, ms, k) => sum + ms * shares(k), 0);
  const timeShare = total((k) => (gains[k] ? after : before)[k] as number) / total((k) => before[k] as number);
  return { recipes: tried, lost: lostInHalf, timeShare };
}

/** Of the time in full precision, which was taken beside it: what else the machine did then does not show. */
function sharesOf({ float, compressed }: Awaited<ReturnType<typeof timeOf>>): number[] {
  return compressed.map((ms, k) => ms / Math.max(float[k] as number, 1e-9));
}

/** How far a segment is off on the adapter, where clients would find it wrong by the plan's known input. */
async function errorInHalf(
  { plan, compressors, runtime, place }: TrialsRequest,
  k: number,
  recipe: SegmentRecipe,
): Promise<number | null> {
  const names = plan.segments[k]?.outputs ?? [];
  const answer = async (by: Runtime, made: SegmentRecipe): Promise<Tensors> => {
    const model = await compressors[k]?.(made);
    if (!model) throw new Error(`there is no segment ${k + 1}`);
    const session = await by.load(writeModel(model));
    try {
      // What has no answer to the known input has none in the plan either.
      return await session.run(segmentInputs(plan, k, goldenInput(plan, k))).catch(() => ({}));
    } finally {
      await session.release();
    }
  };
  const expected = goldenAnswer(await answer(runtime, recipe), names);
  return goldenError(expected, await answer(place, { ...recipe, half: true }), names);
}
