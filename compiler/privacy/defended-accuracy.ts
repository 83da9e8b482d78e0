/** What each defence costs: the model's own metrics with the tail on what arrives, and bytes, all on the same samples. */
import { runSegments } from '../../shared/chain.ts';
import type { Crossing } from '../../shared/codec/boundary.ts';
import { depthOf, type Plan } from '../../shared/plan.ts';
import { seededRandom } from '../../shared/random.ts';
import type { Session } from '../../shared/runtime.ts';
import type { Tensors } from '../../shared/tensor.ts';
import { allBoundaries } from '../cut/boundary-specs.ts';
import { outputsIn } from '../measure/accuracy.ts';
import { meanOf, round } from '../measure/fit.ts';
import type { Progress } from '../progress.ts';
import type { Grade, ModelRecipe } from '../recipe.ts';
import { inputCrossing, wholeOf } from '../samples/crossing.ts';
import { severalAtATime } from '../several-at-a-time.ts';
import type { Defence, Sender } from './sender.ts';

export interface Defended {
  /** Of the whole model, where nothing is sent. */
  readonly whole: Record<string, number>;
  /** In the order of the defences. */
  readonly rows: readonly { readonly accuracy: Record<string, number>; readonly bytesMean: number }[];
}

interface DefendedRequest {
  readonly plan: Plan;
  readonly recipe: ModelRecipe;
  readonly server: readonly Session[];
  readonly tails: readonly Session[];
  readonly budget: { readonly samples: number; readonly accuracySamples: number };
  readonly seed: number;
  readonly progress: Progress;
}

export async function measureDefended(
  { plan, recipe, server, tails, budget, seed, progress }: DefendedRequest,
  sender: Sender,
  defences: readonly Defence[],
): Promise<Defended> {
  const whole: Grade[] = [];
  const seen = defences.map((): { grades: Grade[]; bytes: number[] } => ({ grades: [], bytes: [] }));
  const random = seededRandom(seed * 7919);
  const [depth, total] = [depthOf(plan), budget.accuracySamples];
  for await (const { input, truth } of recipe.samples('test', total, seed, wholeOf(plan, server))) {
    progress({ stage: 'accuracy and bytes of each defence', done: whole.length, total });
    const crossing = inputCrossing(plan, input);
    const boundaries = await allBoundaries(plan, server, crossing.tensors);
    const expected = boundaries[depth] as Tensors;
    // Coding takes most of the time: bytes are of as many samples as attacks are tried on.
    const isCoded = whole.length < budget.samples;
    whole.push(recipe.judge(expected, truth, expected));
    const arrived: { at: number; tensors: Tensors }[] = [];
    for (const [at, defence] of defences.entries()) {
      const sent = await sender.send(crossingAt(crossing, boundaries, defence.k), defence, random, isCoded);
      if (!sent) continue;
      if (sent.bytes !== undefined) seen[at]?.bytes.push(sent.bytes);
      arrived.push({ at, tensors: sent.tensors });
    }
    const ends = await severalAtATime(arrived, ({ at, tensors }) => {
      return runSegments(plan, tails, { from: defences[at]?.k ?? 0, to: depth, tensors });
    });
    // Outputs that the device has made by then are its own.
    for (const [i, { at }] of arrived.entries()) {
      const own = outputsIn(plan, boundaries[defences[at]?.k ?? 0] as Tensors);
      seen[at]?.grades.push(recipe.judge({ ...own, ...ends[i] }, truth, expected));
    }
  }
  return {
    whole: scored(recipe, whole),
    rows: seen.map(({ grades, bytes }) => ({ accuracy: scored(recipe, grades), bytesMean: round(meanOf(bytes)) })),
  };
}

function crossingAt(input: Crossing, boundaries: readonly Tensors[], k: number): Crossing {
  return { ...input, k, tensors: boundaries[k] as Tensors, picture: k === 0 ? input.picture : null };
}

function scored(recipe: ModelRecipe, grades: readonly Grade[]): Record<string, number> {
  return Object.fromEntries(Object.entries(recipe.score(grades)).map(([name, value]) => [name, round(value)]));
}
