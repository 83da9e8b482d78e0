/**
 * The real scheduler: shared/schedule's estimates and `decide`, asked as client/request.ts asks them. All that the simulator
 * knows of them is here.
 */
import { depthOf } from '../../shared/plan.ts';
import { type Permission, permissionFrom } from '../../shared/policy/permission.ts';
import type { Random } from '../../shared/random.ts';
import { type Asker, askerOf } from '../../shared/schedule/asker.ts';
import { finishMs, type Prediction, predict } from '../../shared/schedule/cost.ts';
import { DeviceWork } from '../../shared/schedule/device-work.ts';
import { Estimates } from '../../shared/schedule/estimates.ts';
import { lateAfterMs, remoteMs } from '../../shared/schedule/late.ts';
import { FASTEST, type Objective } from '../../shared/schedule/objective.ts';
import type { Snapshot } from '../../shared/schedule/snapshot.ts';
import type { Choice } from '../choices.ts';
import type { Known } from '../known.ts';
import type { Load } from '../server.ts';
import type { Interval, ReplySeen, Scheduler, Situation } from './scheduler.ts';

export interface TandemOptions {
  readonly objective?: Objective;
  /** Only this k, as a client's request can ask for. */
  readonly force?: { readonly k: number } | null;
}

/** What is remembered of a request. */
interface Asking {
  readonly asker: Asker;
  /** What was predicted of the boundary that was sent last, beyond the device, but for waiting at the server. */
  predictedMs: number;
  /** Of its requests that the client took to the server then. */
  share: number;
}

export class Tandem implements Scheduler {
  readonly name = 'tandem';
  private readonly known: Known;
  private readonly objective: Objective;
  private readonly force: { readonly k: number } | null;
  private readonly random: Random;
  private readonly estimates = new Estimates();
  private readonly permission: Permission;
  /** Requests that are not over, by their numbers. */
  private readonly asking = new Map<number, Asking>();
  private readonly deviceWork = new DeviceWork();
  private expected: Prediction | null = null;

  constructor(known: Known, random: Random, { objective = FASTEST, force = null }: TandemOptions = {}) {
    this.known = known;
    this.random = random;
    this.objective = objective;
    this.force = force;
    this.permission = permissionFrom(known.plan, known.floor, 'the floor of this run');
  }

  decide(situation: Situation): Choice {
    const { accuracyDropMax, plan } = this.known;
    const isNew = !this.asking.has(situation.index);
    const asking = this.askingOf(situation);
    const question = {
      ...{ permission: this.permission, accuracyDropMax, force: this.force },
      ...{ objective: this.objective, deadlineMs: situation.deadlineAtMs - situation.nowMs },
    };
    const decision = asking.asker.ask(this.snapshot(situation), question);
    const { chosen, by } = decision;
    if (isNew) this.expected = by === 'explored' ? null : (chosen?.predicted ?? null);
    if (!chosen) return { k: depthOf(plan), tier: null };
    asking.asker.take(decision, question);
    this.deviceWork.plan(asking, chosen.predicted.deviceMs);
    return chosen;
  }

  private askingOf({ index }: Pick<Situation, 'index'>): Asking {
    const asking = this.asking.get(index) ?? {
      asker: askerOf(this.estimates, this.random()),
      predictedMs: 0,
      share: 1,
    };
    this.asking.set(index, asking);
    return asking;
  }

  interval(): Interval | null {
    return this.expected;
  }

  lateAfterMs(situation: Situation, choice: Choice): number {
    const snapshot = this.snapshot(situation);
    const predicted = predict(snapshot, choice);
    const asking = this.askingOf(situation);
    asking.predictedMs = remoteMs(predicted) - predicted.queueMs;
    asking.share = this.estimates.shareAt(situation.nowMs);
    return lateAfterMs(snapshot, predicted, situation.deadlineAtMs - situation.nowMs, this.force !== null);
  }

  private snapshot(situation: Situation): Snapshot {
    const { nowMs, size, at, isReachable, bytesAhead } = situation;
    const { plan, target } = this.known;
    const asking = this.askingOf(situation);
    return {
      ...{ plan, target, size, at, loaded: depthOf(plan), isConnected: isReachable, aheadBytes: bytesAhead },
      ...{ ...this.estimates.partsFor(plan, nowMs), blocked: {} },
      deviceAheadMs: this.deviceWork.aheadOf(asking),
      isHeldBack: asking.asker.isHeldBack(nowMs),
    };
  }

  onDevice(size: number, from: number, to: number, ms: number, nowMs: number): void {
    const { plan, target } = this.known;
    this.estimates.observeDevice(plan, target, size, from, to, ms, nowMs);
  }

  onEncode(k: number, tier: string, ms: number): void {
    this.estimates.observeEncode(k, tier, ms);
  }

  onReply({ size, k, tier, bytesUp, bytesDown, bytesAhead, elapsedMs, serviceMs, totalMs, nowMs }: ReplySeen): void {
    const transfer = { bytesUp: bytesUp + bytesAhead, bytesDown };
    this.estimates.observeTransfer(transfer, elapsedMs - totalMs, nowMs - elapsedMs, nowMs);
    this.estimates.observeServer(this.known.plan, size, k, tier, serviceMs, nowMs);
    this.estimates.answered(nowMs);
  }

  onLoad({ queueMs }: Load, nowMs: number): void {
    this.estimates.observeQueue(queueMs, nowMs);
  }

  onGoOn(situation: Situation): void {
    this.deviceWork.plan(this.askingOf(situation), finishMs({ ...this.snapshot(situation), deviceAheadMs: 0 }));
  }

  onLate(index: number, waitedMs: number, nowMs: number): void {
    this.estimates.observeOverdue(Math.max(0, waitedMs - this.askingOf({ index }).predictedMs), nowMs);
  }

  onMissed(index: number, waitedMs: number, nowMs: number): void {
    this.onLate(index, waitedMs, nowMs);
  }

  onOver(index: number): void {
    const asking = this.asking.get(index);
    this.asking.delete(index);
    if (asking) this.deviceWork.done(asking);
  }

  onShed(index: number, _retryAfterMs: number, nowMs: number): void {
    this.estimates.shed(nowMs, this.askingOf({ index }).share);
  }

  onPing(bytes: number, ms: number, nowMs: number): void {
    this.estimates.observeTransfer({ bytesUp: bytes, bytesDown: bytes }, ms, nowMs - ms, nowMs);
  }
}
