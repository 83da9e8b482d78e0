/** What a client has learnt of its device, its link and the server: the moving parts of every snapshot. */
import { type Plan, tierKey } from '../shared/plan.ts';
import { segmentTimeMs, serverTimeMs } from '../shared/schedule/cost.ts';
import { type LinkEstimate, type LinkPrior, newLink, observeTransfer } from '../shared/schedule/link.ts';

import { newSpeed, observeSpeed, type SpeedEstimate } from '../shared/schedule/speed.ts';

/** Weight of the newest observation in the running mean of encoding times. */
const ENCODE_WEIGHT = 0.3;

const OVERDUE_HALF_LIFE_MS = 30_000;

export class Estimates {
  device: SpeedEstimate = newSpeed();
  server: SpeedEstimate = newSpeed();
  link: LinkEstimate;
  queueMs = 0;
  readonly encodeMs: Record<string, number> = {};
  private overdue = { ms: 0, sinceMs: 0 };

  constructor(prior?: LinkPrior) {
    this.link = newLink(prior);
  }

  observeTransfer(bytes: number, ms: number): void {
    this.link = observeTransfer(this.link, bytes, Math.max(0, ms));
  }

  /** Segments from+1..to ran on the device at this size. */
  observeDevice(plan: Plan, target: string, size: number, from: number, to: number, ms: number): void {
    this.device = observeSpeed(this.device, ms, segmentTimeMs({ plan, size }, target, from, to));
  }

  /** The server decoded boundary k at this size and ran segments k+1..K. */
  observeServer(plan: Plan, size: number, k: number, tier: string, ms: number): void {
    this.server = observeSpeed(this.server, ms, serverTimeMs({ plan, size }, k, tier));
  }

  /** A reply has not come, this long after it was expected: all that is known of it. */
  observeOverdue(ms: number, nowMs: number): void {
    this.overdue = { ms: Math.max(ms, this.overdueMs(nowMs)), sinceMs: nowMs };
  }

  /** A reply came: the gateway answers. */
  forgetOverdue(): void {
    this.overdue = { ms: 0, sinceMs: 0 };
  }

  /** What a request may have to wait beyond the gateway's own word. Believed less as time passes, so that it is tried again. */
  overdueMs(nowMs: number): number {
    return this.overdue.ms * 2 ** (-(nowMs - this.overdue.sinceMs) / OVERDUE_HALF_LIFE_MS);
  }

  observeEncode(k: number, tier: string, ms: number): void {
    const key = tierKey(k, tier);
    const known = this.encodeMs[key];
    this.encodeMs[key] = known === undefined ? ms : known + ENCODE_WEIGHT * (ms - known);
  }
}
