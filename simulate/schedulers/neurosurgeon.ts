/**
 * In the manner of Neurosurgeon (Kang et al., ASPLOS 2017): latency from the plan's times, scaled by what was last seen of
 * device and server, and the last measured bandwidth; takes the least, knows no doubt. Pings carry 10 kB, which is how
 * it measures the link where it sends nothing else.
 */
import { depthOf, tierKey } from '../../shared/plan.ts';
import type { Choice } from '../choices.ts';
import { PlanCosts } from '../costs.ts';
import type { Known } from '../known.ts';
import type { Load } from '../server.ts';
import type { ReplySeen, Scheduler, Situation } from './scheduler.ts';

const PROBE_BYTES = 10_000;
/** What holds until something was measured: an uplink of 6 Mbit/s. */
const PRIOR_MS_PER_BYTE = 1 / 750;

export class Neurosurgeon implements Scheduler {
  readonly name = 'neurosurgeon';
  readonly pingBytes = PROBE_BYTES;
  private readonly known: Known;
  private readonly costs: PlanCosts;
  private msPerByte = PRIOR_MS_PER_BYTE;
  private deviceRatio = 1;
  private serverRatio = 1;
  private queueMs = 0;

  constructor(known: Known) {
    this.known = known;
    this.costs = new PlanCosts(known.plan, known.target, known.choices, { encodePerDecode: 1 });
  }

  decide({ size, at, bytesAhead }: Situation): Choice {
    const { plan, choices } = this.known;
    const costs = this.costs.at(size);
    let best = choices.at(-1) as Choice;
    let bestMs = this.deviceMs(size, at, depthOf(plan));
    for (const choice of choices) {
      const tail = choice.tier === null ? undefined : costs.tails.get(tierKey(choice.k, choice.tier));
      if (!tail || choice.k < at) continue;
      const ms =
        this.deviceMs(size, at, choice.k) +
        tail.encodeMs * this.deviceRatio +
        (tail.bytesUp + bytesAhead) * this.msPerByte +
        this.queueMs +
        (tail.decodeMs + tail.computeMs) * this.serverRatio;
      if (ms < bestMs) [best, bestMs] = [choice, ms];
    }
    return best;
  }

  private deviceMs(size: number, from: number, to: number): number {
    const { deviceMs } = this.costs.at(size);
    return deviceMs.slice(from, to).reduce((sum, ms) => sum + ms, 0) * this.deviceRatio;
  }

  onDevice(size: number, from: number, to: number, ms: number): void {
    const { deviceMs } = this.costs.at(size);
    const plannedMs = deviceMs.slice(from, to).reduce((sum, part) => sum + part, 0);
    if (plannedMs > 0) this.deviceRatio = ms / plannedMs;
  }

  onReply({ size, k, tier, bytesUp, bytesAhead, elapsedMs, serviceMs, totalMs }: ReplySeen): void {
    const tail = this.costs.at(size).tails.get(tierKey(k, tier));
    if (tail && tail.decodeMs + tail.computeMs > 0) this.serverRatio = serviceMs / (tail.decodeMs + tail.computeMs);
    this.measure(bytesUp + bytesAhead, elapsedMs - totalMs);
  }

  onPing(bytes: number, ms: number): void {
    this.measure(bytes, ms);
  }

  onLoad({ queueMs }: Load): void {
    this.queueMs = queueMs;
  }

  /** Bandwidth is all that it knows of a link: its delay is in it. */
  private measure(bytes: number, ms: number): void {
    this.msPerByte = Math.max(0, ms) / bytes;
  }
}
