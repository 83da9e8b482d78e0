/**
 * The real scheduler: shared/schedule's `decide` over its estimators, kept as client/estimates.ts and client/request.ts
 * keep them. All that the simulator knows of them is here.
 */
import { depthOf, tierKey } from '../../shared/plan.ts';
import { deviceTimeMs, predict, segmentTimeMs, serverTimeMs } from '../../shared/schedule/cost.ts';
import { decide } from '../../shared/schedule/decide.ts';
import { newLink, observeTransfer } from '../../shared/schedule/link.ts';
import type { Snapshot } from '../../shared/schedule/snapshot.ts';
import { newSpeed, observeSpeed } from '../../shared/schedule/speed.ts';
import type { Choice } from '../choices.ts';
import type { Known } from '../known.ts';
import type { Load } from '../server.ts';
import type { ReplySeen, Scheduler, Situation } from './scheduler.ts';

/** As in client/estimates.ts. */
const ENCODE_WEIGHT = 0.3;
const OVERDUE_HALF_LIFE_MS = 30_000;
/** As in client/request.ts. */
const LATE_FACTOR = 2;
const LATE_MARGIN_MS = 250;
const FINISH_MARGIN = 1.3;

export class Tandem implements Scheduler {
  readonly name = 'tandem';
  private readonly known: Known;
  private device = newSpeed();
  private server = newSpeed();
  private link = newLink();
  private queueMs = 0;
  private readonly encodeMs: Record<string, number> = {};
  private overdue = { ms: 0, sinceMs: 0 };
  /** What was predicted of the boundary that was sent last, beyond the device. */
  private predictedMs = 0;

  constructor(known: Known) {
    this.known = known;
  }

  decide(situation: Situation): Choice {
    const { floor, accuracyDropMax, plan } = this.known;
    const { chosen } = decide(this.snapshot(situation), {
      ...{ floor: { k: floor, reason: 'the floor of this run' }, accuracyDropMax, force: null },
    });
    return chosen ?? { k: depthOf(plan), tier: null };
  }

  lateAfterMs(situation: Situation, choice: Choice): number {
    const snapshot = this.snapshot(situation);
    const { uplinkMs, roundTripMs, queueMs, serverMs } = predict(snapshot, choice);
    this.predictedMs = uplinkMs + roundTripMs + queueMs + serverMs;
    const late = LATE_FACTOR * this.predictedMs + LATE_MARGIN_MS;
    const finishMs = deviceTimeMs(snapshot, choice.k, depthOf(this.known.plan)) * FINISH_MARGIN;
    return Math.max(0, Math.min(late, situation.deadlineAtMs - situation.nowMs - finishMs));
  }

  private snapshot({ nowMs, size, at, isReachable, bytesAhead }: Situation): Snapshot {
    const { plan, target } = this.known;
    const { device, server, link, encodeMs } = this;
    return {
      ...{ plan, target, size, at, loaded: depthOf(plan), isConnected: isReachable, device, server, link },
      ...{ queueMs: this.queueMs + this.overdueMs(nowMs), aheadBytes: bytesAhead, encodeMs, blocked: {} },
    };
  }

  private overdueMs(nowMs: number): number {
    return this.overdue.ms * 2 ** (-(nowMs - this.overdue.sinceMs) / OVERDUE_HALF_LIFE_MS);
  }

  onDevice(size: number, from: number, to: number, ms: number): void {
    const { plan, target } = this.known;
    this.device = observeSpeed(this.device, ms, segmentTimeMs({ plan, size }, target, from, to));
  }

  onEncode(k: number, tier: string, ms: number): void {
    const key = tierKey(k, tier);
    const last = this.encodeMs[key];
    this.encodeMs[key] = last === undefined ? ms : last + ENCODE_WEIGHT * (ms - last);
  }

  onReply({ size, k, tier, bytesUp, bytesAhead, elapsedMs, serviceMs, totalMs }: ReplySeen): void {
    const { plan } = this.known;
    this.link = observeTransfer(this.link, bytesUp + bytesAhead, Math.max(0, elapsedMs - totalMs));
    this.server = observeSpeed(this.server, serviceMs, serverTimeMs({ plan, size }, k, tier));
    this.overdue = { ms: 0, sinceMs: 0 };
  }

  onLoad({ queueMs }: Load): void {
    this.queueMs = queueMs;
  }

  onLate(waitedMs: number, nowMs: number): void {
    const ms = Math.max(waitedMs - this.predictedMs, this.overdueMs(nowMs));
    this.overdue = { ms, sinceMs: nowMs };
  }

  onPing(bytes: number, ms: number): void {
    this.link = observeTransfer(this.link, bytes, Math.max(0, ms));
  }
}
