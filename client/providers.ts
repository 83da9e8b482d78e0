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

export class Providers {
  /** Why providers are not used, a sentence each, by their names. */
  private readonly remarks = new Map<string, string>();
  /** Those that failed or were wrong, and those that were only slower: they are there for what no other takes. */
  private readonly wrong = new Set<string>();
  private readonly slow = new Set<string>();
  private readonly plan: Plan;
  private readonly target: string;
  private readonly timed: TimedRun;
  private readonly all: readonly Provider[];

  /** @param all the one that is trusted first; of equals the earlier is taken */
  constructor(plan: Plan, target: string, timed: TimedRun, all: readonly Provider[]) {
    this.plan = plan;
    this.target = target;
    this.timed = timed;
    this.all = all;
  }

  /** Rejects with DEVICE_FAILED where none runs segment k+1 rightly. */
  async choose(k: number, model: Uint8Array): Promise<Chosen> {
    let best: Chosen | undefined;
    let failure: unknown;
    for (const provider of this.fitFor(k)) {
      try {
        const tried = await this.tried(k, model, provider);
        const isFaster: boolean = !best || tried.ms * NOISE < best.ms;
        const loser: Chosen | undefined = isFaster ? best : tried;
        if (isFaster) best = tried;
        if (!loser) continue;
        this.slow.add(loser.provider);
        this.remark(loser.provider, k, `${loser.ms.toFixed(1)} ms, slower than ${best?.provider}`);
        // What is lost may not even be let go.
        await loser.session.release().catch(() => {});
      } catch (error) {
        failure ??= error;
        this.failed(provider.name, k, error);
      }
    }
    if (best) return best;
    // Those that were only slower were left out: of the others none is left.
    if (failure && this.fitFor(k).length > 0) return this.choose(k, model);
    // There may have been no memory for what is trusted: the next attempt tries it again.
    this.wrong.delete(this.all[0]?.name ?? '');
    throw failure ?? new TandemError('DEVICE_FAILED', `no provider is left for segment ${k + 1}`);
  }

  /** It is not chosen any more, for no segment; those that were slower have their turn again. */
  failed(provider: string, k: number, error: unknown): void {
    if (this.wrong.has(provider)) return;
    this.wrong.add(provider);
    for (const name of this.slow) this.remarks.delete(name);
    this.slow.clear();
    if (this.all.length > 1) this.remark(provider, k, messageOf(error));
  }

  get demoted(): readonly string[] {
    return [...this.remarks.values()];
  }

  private fitFor(k: number): Provider[] {
    const recipe = this.plan.segments[k]?.targets[this.target]?.recipe ?? '';
    const isFloat = !/\bint8\b/.test(recipe);
    const fit = this.all.filter(({ name, takesIntegers }) => (isFloat || takesIntegers) && !this.wrong.has(name));
    const fast = fit.filter(({ name }) => !this.slow.has(name));
    return fast.length > 0 ? fast : fit;
  }

  private async tried(k: number, model: Uint8Array, { name, runtime }: Provider): Promise<Chosen> {
    const { plan } = this;
    const session = await runtime.load(model);
    try {
      checkSession(plan, session, k);
      const golden = plan.segments[k]?.targets[this.target]?.golden;
      const input = segmentInputs(plan, k, goldenInput(plan, k));
      const times: number[] = [];
      for (let run = 0; run < RUNS; run++) {
        const { value, ms } = await this.timed(() => session.run(input));
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
  }

  private remark(name: string, k: number, reason: string): void {
    this.remarks.set(name, `${name}, from segment ${k + 1} on: ${reason}`);
  }
}
