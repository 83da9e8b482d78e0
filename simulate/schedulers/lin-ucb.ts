/**
 * In the manner of Autodidactic Neurosurgeon (Zhang et al., WWW 2021): the device's times are known, what lies beyond
 * the cut is a linear function of the cut's features, learnt by ridge regression with an upper confidence bound (LinUCB,
 * Li et al., WWW 2010). All on the device teaches it nothing of the link, so every now and then a cut is forced.
 */
import { depthOf, tierKey } from '../../shared/plan.ts';
import type { Choice } from '../choices.ts';
import { PlanCosts, type TailCosts } from '../costs.ts';
import type { Known } from '../known.ts';
import type { ReplySeen, Scheduler, Situation } from './scheduler.ts';

/** Width of the bound, as their code has it. */
const ALPHA = 0.25;
/** Targets are in this many milliseconds, so that both the bound and the ridge are of their size. */
const UNIT_MS = 100;
const FEATURES = 4;
/** The first request that is forced, and the power by which they thin out. */
const FORCED_POWER = 0.25;

interface Taken {
  readonly size: number;
  readonly choice: Choice;
}

export class LinUcb implements Scheduler {
  readonly name = 'bandit';
  private readonly known: Known;
  private readonly costs: PlanCosts;
  private deviceRatio = 1;
  /** Inverse of the ridge's matrix, kept by Sherman and Morrison's formula. */
  private readonly inverse = Array.from({ length: FEATURES }, (_, i) => unit(i));
  private readonly sums = new Array<number>(FEATURES).fill(0);
  /** Requests that are not over. */
  private readonly taken = new Map<number, Taken>();
  private nextForced = 0;

  constructor(known: Known) {
    this.known = known;
    this.costs = new PlanCosts(known.plan, known.target, known.choices, { encodePerDecode: 1 });
  }

  /** An arm is drawn once a request. */
  decide(situation: Situation): Choice {
    const { index } = situation;
    const taken = this.taken.get(index) ?? { size: situation.size, choice: this.draw(situation) };
    this.taken.set(index, taken);
    return taken.choice;
  }

  private draw({ index, size }: Situation): Choice {
    const { choices, plan } = this.known;
    const isForced = index >= this.nextForced;
    if (isForced) this.nextForced = index + Math.ceil((index + 1) ** FORCED_POWER) + 1;
    const weights = this.inverse.map((row) => dot(row, this.sums));
    const costs = this.costs.at(size);
    const local = choices.at(-1) as Choice;
    let best = local;
    let leastMs = isForced ? Number.POSITIVE_INFINITY : this.deviceMs(size, depthOf(plan));
    for (const tail of costs.allowed) {
      const x = featuresOf(tail);
      const bound =
        ALPHA *
        Math.sqrt(
          dot(
            x,
            this.inverse.map((row) => dot(row, x)),
          ),
        );
      const ms = this.deviceMs(size, tail.k) + UNIT_MS * (dot(weights, x) - bound);
      if (ms < leastMs) [best, leastMs] = [{ k: tail.k, tier: tail.tier }, ms];
    }
    return best;
  }

  private deviceMs(size: number, to: number): number {
    return (
      this.costs
        .at(size)
        .deviceMs.slice(0, to)
        .reduce((sum, ms) => sum + ms, 0) * this.deviceRatio
    );
  }

  onDevice(size: number, from: number, to: number, ms: number): void {
    const plannedMs = this.costs
      .at(size)
      .deviceMs.slice(from, to)
      .reduce((sum, part) => sum + part, 0);
    if (plannedMs > 0) this.deviceRatio += 0.3 * (ms / plannedMs - this.deviceRatio);
  }

  onReply({ size, k, tier, elapsedMs }: ReplySeen): void {
    const tail = this.costs.at(size).tails.get(tierKey(k, tier));
    if (tail) this.learn(featuresOf(tail), elapsedMs / UNIT_MS);
  }

  /** It took at least so long. */
  onMissed(index: number, waitedMs: number): void {
    const { choice, size } = this.taken.get(index) as Taken;
    const tail = this.costs.at(size).tails.get(tierKey(choice.k, choice.tier ?? ''));
    if (tail) this.learn(featuresOf(tail), waitedMs / UNIT_MS);
  }

  onOver(index: number): void {
    this.taken.delete(index);
  }

  private learn(x: readonly number[], y: number): void {
    const ax = this.inverse.map((row) => dot(row, x));
    const scale = 1 + dot(x, ax);
    for (const [i, row] of this.inverse.entries()) {
      for (let j = 0; j < FEATURES; j++) row[j] = (row[j] as number) - ((ax[i] as number) * (ax[j] as number)) / scale;
      this.sums[i] = (this.sums[i] as number) + (x[i] as number) * y;
    }
  }
}

/** Of what lies beyond a cut: a constant, the bytes, the time to decode and the time of the tail. */
function featuresOf({ bytesUp, decodeMs, computeMs }: TailCosts): number[] {
  return [1, bytesUp / 10_000, decodeMs / 10, computeMs / 10];
}

function dot(a: readonly number[], b: readonly number[]): number {
  return a.reduce((sum, value, i) => sum + value * (b[i] as number), 0);
}

function unit(at: number): number[] {
  return Array.from({ length: FEATURES }, (_, i) => (i === at ? 1 : 0));
}
