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

/** V8 compiles hot WebAssembly anew: the first runs are 2 to 3 times slower (measured) and are not counted. */
const WARM_UP_ROUNDS = 8;
const ROUNDS = 15;

export interface TimeRequest {
  readonly plan: Plan;
  /** Loaded chains to compare, by the name that the plan gives the place. */
  readonly places: ReadonlyMap<string, readonly Session[]>;
  readonly sizes: readonly number[];
  readonly input: (size: number) => Tensors;
  readonly now: () => number;
  readonly progress: Progress;
}

/** Milliseconds of each segment, by place. */
export async function measureTime(request: TimeRequest): Promise<Record<string, Linear[]>> {
  const { plan, places, sizes, progress } = request;
  /** [place][segment][size] -> observed milliseconds, one a round. */
  const observed = new Map(
    [...places.keys()].map((place) => [
      place,
      Array.from({ length: depthOf(plan) }, () => sizes.map(() => newTimes())),
    ]),
  );
  const order = [...places];
  const total = WARM_UP_ROUNDS + ROUNDS;
  for (let round = 0; round < total; round++) {
    progress({ stage: 'time per segment', done: round, total });
    // The order turns round each time: whoever comes second finds warmer or colder caches.
    order.reverse();
    for (const [s, size] of sizes.entries()) {
      for (const [place, sessions] of order) {
        const times = await timeChain(request, sessions, size);
        if (round < WARM_UP_ROUNDS) continue;
        for (const [k, ms] of times.entries()) observed.get(place)?.[k]?.[s]?.push(ms);
      }
    }
  }
  progress({ stage: 'time per segment', done: total, total });
  return Object.fromEntries(
    [...observed].map(([place, segments]) => [
      place,
      segments.map((bySize) =>
        fitLinear(bySize.map((times, s) => ({ size: sizes[s] as number, value: median(times) }))),
      ),
    ]),
  );
}

function newTimes(): number[] {
  return [];
}

/** Milliseconds of every segment in one run of the chain. */
async function timeChain({ plan, input, now }: TimeRequest, sessions: readonly Session[], size: number) {
  const times: number[] = [];
  let live = input(size);
  for (const [k, session] of sessions.entries()) {
    const start = now();
    live = await runSegment(plan, session, k, live);
    times.push(now() - start);
  }
  return times;
}
