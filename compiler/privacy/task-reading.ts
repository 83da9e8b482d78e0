/** What the model itself still reads of a reconstruction: a picture may look poor and say everything, or the other way round. */
import { runSegments } from '../../shared/chain.ts';
import { depthOf, type Plan } from '../../shared/plan.ts';
import type { Session } from '../../shared/runtime.ts';
import type { Tensors } from '../../shared/tensor.ts';
import { meanOf, round } from '../measure/fit.ts';
import type { Progress } from '../progress.ts';
import type { Grade, ModelRecipe } from '../recipe.ts';
import { severalAtATime } from '../several-at-a-time.ts';
import type { Guess } from './guess.ts';
import type { InputView, Plane } from './plane.ts';

export interface ReadSample {
  readonly input: { readonly tensors: Tensors };
  readonly view: Plane;
  readonly truth: string;
}

export interface TaskReading {
  /** Of the planes that were to be reconstructed, and of the blind guess. */
  readonly original: Record<string, number>;
  readonly guess: Record<string, number>;
  readonly tasks: readonly Record<string, number>[];
}

/** @param reconstructed planes of all samples, for every defence */
export async function readTask(
  { plan, recipe, tails, progress }: { plan: Plan; recipe: ModelRecipe; tails: readonly Session[]; progress: Progress },
  view: InputView,
  samples: readonly ReadSample[],
  guess: Guess,
  reconstructed: readonly { readonly planes: readonly Plane[] }[],
): Promise<TaskReading> {
  const run = (tensors: Tensors) => runSegments(plan, tails, { from: 0, to: depthOf(plan), tensors });
  const expected = await severalAtATime(samples, ({ input }) => run(input.tensors));
  const read = async (planes: readonly Plane[]) => {
    const grades = await severalAtATime([...planes.keys()], async (i): Promise<Grade> => {
      const { input, truth } = samples[i] as ReadSample;
      const outputs = await run(view.unsee(planes[i] as Plane, input.tensors));
      return recipe.judge(outputs, truth, expected[i] as Tensors);
    });
    const compared = planes.map((plane, i) => view.compare?.((samples[i] as ReadSample).view, plane) ?? {});
    const scores = Object.entries({ ...recipe.score(grades), ...meansOf(compared) });
    return Object.fromEntries(scores.map(([name, value]) => [name, round(value)]));
  };
  const tasks: Record<string, number>[] = [];
  for (const { planes } of reconstructed) {
    progress({ stage: 'reading reconstructions with the model', done: tasks.length, total: reconstructed.length });
    tasks.push(planes.length === samples.length ? await read(planes) : {});
  }
  return {
    original: await read(samples.map((sample) => sample.view)),
    guess: await read(samples.map((sample) => guess(sample.view))),
    tasks,
  };
}

function meansOf(figures: readonly Readonly<Record<string, number>>[]): Record<string, number> {
  const names = Object.keys(figures[0] ?? {});
  return Object.fromEntries(names.map((name) => [name, meanOf(figures.map((one) => one[name] ?? 0))]));
}
