/**
 * What each form of each layer costs in accuracy: one layer at a time is changed, and the chain run on to its end. The loss
 * is the squared error there over the power of what should be there; losses of layers that are changed together add up, as
 * errors do that know nothing of each other.
 */
import { runSegment } from '../../shared/chain.ts';
import type { Plan } from '../../shared/plan.ts';
import type { Runtime, Session } from '../../shared/runtime.ts';
import type { Tensors } from '../../shared/tensor.ts';
import { allBoundaries } from '../cut/boundary-specs.ts';
import type { Model } from '../graph/graph.ts';
import { loadModel } from '../onnx/load.ts';
import { withTaps } from '../prepare.ts';
import { severalAtATime } from '../several-at-a-time.ts';

/** True boundaries 0..K of a few samples, and the values at the end that errors are measured in. */
export interface Reference {
  readonly plan: Plan;
  /** The chain in full precision; the last one gives `ends` besides. */
  readonly sessions: readonly Session[];
  readonly ends: readonly string[];
  readonly samples: readonly (readonly Tensors[])[];
}

/**
 * @param models of the chain in full precision
 * @param ends values of the last segment that tell more than its outputs do: scores where an output is the best class
 * @param inputs boundary 0 of each sample; all are held in memory
 */
export async function referenceOf(
  plan: Plan,
  models: readonly Model[],
  runtime: Runtime,
  ends: readonly string[],
  inputs: readonly Tensors[],
): Promise<Reference> {
  const last = models.at(-1) as Model;
  const made = new Set(last.graph.nodes.flatMap(({ outputs }) => outputs));
  const taps = ends.filter((name) => made.has(name));
  const outputs = last.graph.outputs.map(({ name }) => name);
  const sessions: Session[] = [];
  for (const model of models) sessions.push(await loadModel(runtime, model === last ? withTaps(model, taps) : model));
  const reference = { plan, sessions, ends: taps.length > 0 ? taps : outputs, samples: [] };
  const samples: Tensors[][] = [];
  for (const input of inputs) samples.push(await boundariesOf(reference, input));
  return { ...reference, samples };
}

/** Boundaries 0..K-1, and in place of K the ends. */
async function boundariesOf(reference: Reference, input: Tensors): Promise<Tensors[]> {
  const { plan, sessions } = reference;
  const inner = await allBoundaries(plan, sessions.slice(0, -1), input);
  return [...inner, await endsOf(reference, sessions.length - 1, inner.at(-1) as Tensors)];
}

/** The ends, from boundary k on. */
export async function endsOf({ plan, sessions, ends }: Reference, k: number, boundary: Tensors): Promise<Tensors> {
  let live = boundary;
  for (let at = k; at < sessions.length - 1; at++) live = await runSegment(plan, sessions[at] as Session, at, live);
  const last = sessions.at(-1) as Session;
  const made = await last.run(live);
  return Object.fromEntries(ends.flatMap((name) => (made[name] ? [[name, made[name]]] : [])));
}

/** @param session another form of segment k+1, with the ends as outputs if it is the last */
export async function lossOf(reference: Reference, k: number, session: Session): Promise<number> {
  const { plan, sessions, samples } = reference;
  const made = await severalAtATime(samples, async (boundaries) => {
    const from = boundaries[k] as Tensors;
    return k === sessions.length - 1
      ? session.run(from)
      : endsOf(reference, k + 1, await runSegment(plan, session, k, from));
  });
  let [error, power] = [0, 0];
  for (const [i, boundaries] of samples.entries()) {
    const expected = boundaries.at(-1) as Tensors;
    const actual = made[i] as Tensors;
    for (const [name, { data }] of Object.entries(expected)) {
      const other = actual[name]?.data;
      for (let i = 0; i < data.length; i++) {
        const value = Number(data[i]);
        const difference = Number(other?.[i]) - value;
        error += difference * difference;
        power += value * value;
      }
    }
  }
  return error === 0 ? 0 : error / Math.max(power, Number.MIN_VALUE);
}
