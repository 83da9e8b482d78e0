/**
 * Time of each segment as a function of the size. Every round runs every place at every size once, so that a burst of
 * noise on a shared machine falls on all alike and on few rounds; medians are taken.
 */
import { runSegment } from '../../shared/chain.ts';
import { depthOf, type Linear, type Plan } from '../../shared/plan.ts';
import type { Session } from '../../shared/runtime.ts';
import type { Tensors } from '../../shared/tensor.ts';
import type { Progress } from '../progress.ts';
import { fitLinear, median } from './fit.ts';

/**
 * V8 compiles hot WebAssembly anew: the first runs are 2 to 3 times slower (measured) and are not counted. A place is warm
 * when the fastest of its last rounds took about as long as the fastest of those before; a noisy machine never gets there, so there is an end to it.
 */
const WARM_UP = { roundsMin: 8, roundsMax: 40, window: 4, changeMax: 0.1 } as const;
const ROUNDS = 15;
/** Of one place. A software renderer behind WebGPU takes seconds a run: it gets fewer rounds, which may be that of warming up alone. */
const BUDGET_MS = 15_000;

/** A chain and where it is loaded. */
export interface TimedChain {
  readonly plan: Plan;
  readonly sessions: readonly Session[];
}

export interface TimeRequest {
  /** By the name that the result has them under. */
  readonly places: ReadonlyMap<string, TimedChain>;
  readonly sizes: readonly number[];
  readonly input: (size: number) => Tensors;
  readonly now: () => number;
  readonly progress: Progress;
}

/** One place while it is timed. */
interface Stopwatch {
  readonly place: string;
  readonly chain: TimedChain;
  /** [segment][size] -> observed milliseconds, one a round. */
  readonly observed: number[][][];
  /** Milliseconds of whole rounds, warm-up included. */
  readonly rounds: number[];
}

/** Milliseconds of each segment, by place. */
export async function measureTime(request: TimeRequest): Promise<Record<string, Linear[]>> {
  const { places, sizes, progress } = request;
  const watches = [...places].map(([place, chain]): Stopwatch => {
    const observed = Array.from({ length: depthOf(chain.plan) }, () => sizes.map(() => newTimes()));
    return { place, chain, observed, rounds: [] };
  });
  const round = async (running: readonly Stopwatch[]) => {
    for (const watch of running) watch.rounds.push(0);
    for (const [s, size] of sizes.entries()) {
      for (const { chain, observed, rounds } of running) {
        const times = await timeChain(request, chain, size);
        rounds[rounds.length - 1] = (rounds.at(-1) ?? 0) + times.reduce((sum, ms) => sum + ms, 0);
        for (const [k, ms] of times.entries()) observed[k]?.[s]?.push(ms);
      }
    }
  };
  // The order turns round each time: whoever comes second finds warmer or colder caches.
  const order = [...watches];
  for (let done = 0; done < WARM_UP.roundsMax && !watches.every(isWarm); done++) {
    progress({ stage: 'warming up', done, total: WARM_UP.roundsMax });
    await round(order.reverse().filter((watch) => !isSlow(watch)));
  }
  for (const watch of watches) if (!isSpent(watch)) for (const times of watch.observed.flat()) times.length = 0;
  for (let done = 0; done < ROUNDS; done++) {
    progress({ stage: 'time per segment', done, total: ROUNDS });
    await round(order.reverse().filter((watch) => !isSpent(watch)));
  }
  progress({ stage: 'time per segment', done: ROUNDS, total: ROUNDS });
  const bySize = (times: readonly number[], s: number) => ({ size: sizes[s] as number, value: median(times) });
  return Object.fromEntries(
    watches.map(({ place, observed }) => [place, observed.map((segment) => fitLinear(segment.map(bySize)))]),
  );
}

function newTimes(): number[] {
  return [];
}

/** What cannot be run often enough to see counts as warm when half of its time is gone. */
function isWarm(watch: Stopwatch): boolean {
  return isSlow(watch) || isSteady(watch.rounds);
}

function isSteady(rounds: readonly number[]): boolean {
  const { roundsMin, window, changeMax } = WARM_UP;
  if (rounds.length < roundsMin) return false;
  const [before, last] = [Math.min(...rounds.slice(-2 * window, -window)), Math.min(...rounds.slice(-window))];
  return Math.abs(last - before) <= changeMax * before;
}

function isSlow(watch: Stopwatch): boolean {
  return spentMs(watch) > BUDGET_MS / 2;
}

function isSpent(watch: Stopwatch): boolean {
  return spentMs(watch) > BUDGET_MS;
}

function spentMs({ rounds }: Stopwatch): number {
  return rounds.reduce((sum, ms) => sum + ms, 0);
}

/** Milliseconds of every segment in one run of the chain. */
async function timeChain({ input, now }: TimeRequest, { plan, sessions }: TimedChain, size: number) {
  const times: number[] = [];
  let live = input(size);
  for (const [k, session] of sessions.entries()) {
    const run = async (feeds: Tensors) => {
      const start = now();
      const { outputs, ms } = session.runTimed
        ? await session.runTimed(feeds)
        : { outputs: await session.run(feeds), ms: undefined };
      times.push(ms ?? now() - start);
      return outputs;
    };
    live = await runSegment(plan, { ...session, run }, k, live);
  }
  return times;
}
