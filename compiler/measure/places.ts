/** Where segments are timed: the server's runtime, each device target's, and whatever else is there to compare them with. */
import { asTandemError, TandemError } from '../../shared/errors.ts';
import { depthOf, type Plan } from '../../shared/plan.ts';
import type { Runtime, Session } from '../../shared/runtime.ts';
import type { Tensors } from '../../shared/tensor.ts';
import { allBoundaries } from '../cut/boundary-specs.ts';
import { relativeError, worstError } from './error.ts';

export interface TimingPlace {
  readonly runtime: Runtime;
  /** The device target whose files it runs. */
  readonly target: string;
  /** Whether it computes in float16: by WebGPU's feature `shader-f16`. */
  readonly hasFloat16?: boolean | undefined;
}

export interface TimingPlaces {
  /** By the plan's name for the place. A device target's own place has its name, and comes before others of its files. */
  readonly places: ReadonlyMap<string, TimingPlace>;
  /** One line about this machine and what runs on it, for the plan. */
  readonly machine: string;
}

/** What one run of the chain may take at another place: what is slower cannot be timed, a renderer in software mostly. */
const RUN_MS_MAX = 15_000;
/** How far another place's boundaries may be from those of the target's own: beyond this it computes something else. */
const ERROR_MAX = 1e-2;

export interface LoadedPlaces {
  readonly chains: ReadonlyMap<string, readonly Session[]>;
  /** Why places that are no target's own are left out. */
  readonly remarks: readonly string[];
}

/**
 * Loads each place's chain and runs it once: engines differ in what they can load, what they can run, and whether they
 * are right (WebGPU has been silently wrong). What a target's own place throws is thrown.
 * @param models a target's segment files
 * @param input boundary 0
 */
export async function loadPlaces(
  plan: Plan,
  places: TimingPlaces['places'],
  models: (target: string) => readonly Uint8Array[],
  input: Tensors,
): Promise<LoadedPlaces> {
  const chains = new Map<string, readonly Session[]>();
  const remarks: string[] = [];
  const expected = new Map<string, readonly Tensors[]>();
  for (const [name, { runtime, target }] of places) {
    try {
      const chain: Session[] = [];
      for (const model of models(target)) chain.push(await runtime.load(model));
      const boundaries = await runOnce(plan, chain, input, name === target ? Number.POSITIVE_INFINITY : RUN_MS_MAX);
      const own = expected.get(target) ?? boundaries;
      expected.set(target, own);
      const error = boundaryError(plan, boundaries, own);
      if (error <= ERROR_MAX) chains.set(name, chain);
      else remarks.push(`${name} is left out: its boundaries are off by ${error.toPrecision(2)}`);
    } catch (error) {
      if (name === target) throw error;
      remarks.push(`${name} is left out: ${asTandemError(error, 'UNSUPPORTED', 'it does not run').message}`);
    }
  }
  return { chains, remarks };
}

/** Throws UNSUPPORTED where the segments take longer than `msMax` together, after the one that does. */
async function runOnce(plan: Plan, chain: readonly Session[], input: Tensors, msMax: number): Promise<Tensors[]> {
  let spentMs = 0;
  const timed = chain.map((session): Session => {
    const { runTimed } = session;
    if (!runTimed) return session;
    const run = async (feeds: Tensors) => {
      const { outputs, ms } = await runTimed(feeds);
      spentMs += ms;
      if (spentMs > msMax) throw new TandemError('UNSUPPORTED', `its first run takes more than ${msMax / 1000} s`);
      return outputs;
    };
    return { ...session, run };
  });
  return allBoundaries(plan, timed, input);
}

/** Of inner boundaries, which are numbers: outputs may be classes. */
function boundaryError(plan: Plan, actual: readonly Tensors[], expected: readonly Tensors[]): number {
  const last = depthOf(plan);
  const errors = plan.boundaries.map(({ tensors }, k) => {
    const names = k < last || last === 1 ? tensors.map(({ name }) => name) : [];
    return worstError(names, actual[k] ?? {}, expected[k] ?? {}, relativeError);
  });
  return Math.max(...errors);
}
