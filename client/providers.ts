/**
 * What runs a segment is chosen on the device, by running it: a provider has to load the segment, answer the known input
 * rightly each time, and be the fastest of those that do. One that is not is put back, and it is said why.
 */
import { checkSession, segmentInputs } from '../shared/chain.ts';
import { messageOf, TandemError } from '../shared/errors.ts';
import { goldenError, goldenInput } from '../shared/golden.ts';
import type { Plan } from '../shared/plan.ts';
import type { Runtime, Session } from '../shared/runtime.ts';
import type { Tensors } from '../shared/tensor.ts';
import type { Timed } from './device.ts';

export interface Provider {
  /** For routes: `wasm`, `webgpu`. */
  readonly name: string;
  readonly runtime: Runtime;
  /** Whether it is fit for 8-bit integer computing; those that are not turn codes back and forth, or are wrong. */
  readonly takesIntegers: boolean;
}

/** Runs when the device's turn comes, and gives the run's own time. */
type TimedRun = (work: () => Promise<Tensors>) => Promise<Timed<Tensors>>;

export interface Chosen {
  readonly provider: string;
  readonly session: Session;
  /** Of one warm run at the smallest size. */
  readonly ms: number;
}

/** Runs of a fresh segment; the first says nothing of its time, all that follow are compared with the golden answer. */
const RUNS = 4;
/** How much slower than the fastest a provider may be that is put first: below this it is noise. */
const NOISE = 1.05;

export interface Providers {
  /** Rejects with DEVICE_FAILED where none runs segment k+1 rightly. */
  choose(k: number, model: Uint8Array): Promise<Chosen>;
  /** It is not chosen any more, for no segment; those that were slower have their turn again. */
  failed(provider: string, k: number, error: unknown): void;
  /** Why providers are not used, a sentence each. */
  readonly demoted: readonly string[];
}

/** @param all the one that is trusted first; of equals the earlier is taken */
export function providersFor(plan: Plan, target: string, timed: TimedRun, all: readonly Provider[]): Providers {
  /** Why they are not used, by their names. */
  const remarks = new Map<string, string>();
  /** Those that failed or were wrong, and those that were only slower: they are there for what no other takes. */
  const wrong = new Set<string>();
  const slow = new Set<string>();

  const fileOf = (k: number) => plan.segments[k]?.targets[target];

  const choose = async (k: number, model: Uint8Array): Promise<Chosen> => {
    let best: Chosen | undefined;
    let failure: unknown;
    for (const provider of fitFor(k)) {
      try {
        const run = await tried(k, model, provider);
        const isFaster: boolean = !best || run.ms * NOISE < best.ms;
        const loser: Chosen | undefined = isFaster ? best : run;
        if (isFaster) best = run;
        if (!loser) continue;
        slow.add(loser.provider);
        remark(loser.provider, k, `${loser.ms.toFixed(1)} ms, slower than ${best?.provider}`);
        // What is lost may not even be let go.
        await loser.session.release().catch(() => {});
      } catch (error) {
        failure ??= error;
        failed(provider.name, k, error);
      }
    }
    if (best) return best;
    // Those that were only slower were left out: of the others none is left.
    if (failure && fitFor(k).length > 0) return choose(k, model);
    // There may have been no memory for what is trusted: the next attempt tries it again.
    wrong.delete(all[0]?.name ?? '');
    throw failure ?? new TandemError('DEVICE_FAILED', `no provider is left for segment ${k + 1}`);
  };

  const failed = (provider: string, k: number, error: unknown) => {
    if (wrong.has(provider)) return;
    wrong.add(provider);
    for (const name of slow) remarks.delete(name);
    slow.clear();
    if (all.length > 1) remark(provider, k, messageOf(error));
  };

  const fitFor = (k: number): readonly Provider[] => {
    const isFloat = !/\bint8\b/.test(fileOf(k)?.recipe ?? '');
    // Where no right answer is known, what is trusted alone.
    const known = fileOf(k)?.golden ? all : all.slice(0, 1);
    const fit = known.filter(({ name, takesIntegers }) => (isFloat || takesIntegers) && !wrong.has(name));
    const fast = fit.filter(({ name }) => !slow.has(name));
    return fast.length > 0 ? fast : fit;
  };

  const tried = async (k: number, model: Uint8Array, { name, runtime }: Provider): Promise<Chosen> => {
    const session = await runtime.load(model);
    try {
      checkSession(plan, session, k);
      const golden = fileOf(k)?.golden;
      const input = segmentInputs(plan, k, goldenInput(plan, k));
      const times: number[] = [];
      for (let run = 0; run < RUNS; run++) {
        const { value, ms } = await timed(() => session.run(input));
        times.push(ms);
        const error = golden && goldenError(golden, value, plan.segments[k]?.outputs ?? []);
        if (typeof error === 'number') {
          throw new TandemError('DEVICE_FAILED', `${name} is wrong by ${error.toPrecision(2)} in segment ${k + 1}`);
        }
      }
      return { provider: name, session, ms: Math.min(...times.slice(1)) };
    } catch (error) {
      await session.release();
      throw error;
    }
  };

  const remark = (name: string, k: number, reason: string) => {
    remarks.set(name, `${name}, from segment ${k + 1} on: ${reason}`);
  };

  return {
    choose,
    failed,
    get demoted() {
      return [...remarks.values()];
    },
  };
}
