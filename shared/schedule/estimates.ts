/** What is learnt of a device, its link and the server, in one place: the moving parts of every snapshot, as plain data. */
import { depthOf, type Plan, tierKey } from '../plan.ts';
import type { Choice } from './cost.ts';
import { type Decision, explorationAfter } from './decide.ts';
import type { KeptState } from './kept.ts';
import { type LinkEstimate, type LinkPrior, newLink, observeTransfer, type Transfer } from './link.ts';
import { doubtLogSum } from './log-sum.ts';
import { plannedMs, serverPlannedMs } from './planned.ts';
import { newQueue, observeOverdue, observeQueue, type QueueEstimate } from './queue.ts';
import { SHARE_ALL, shareAfterAnswer, shareAfterShedding, shareAfterTime } from './share.ts';
import { ENCODE_PRIOR_MS, type Snapshot } from './snapshot.ts';
import { newSpeed, observeSpeed, type SpeedEstimate, speedRatio } from './speed.ts';

export interface EstimatesState {
  readonly device: SpeedEstimate;
  readonly server: SpeedEstimate;
  readonly link: LinkEstimate;
  readonly queue: QueueEstimate;
  readonly encodeMs: Readonly<Record<string, number>>;
  /** Share of its requests that this client takes to the gateway where that is faster, and when it was that. */
  readonly share: number;
  readonly shareAtMs: number;
  /** Milliseconds saved up for finding out. */
  readonly explorationMs: number;
  readonly previous: Choice | null;
  /** When anything was sent or received last. */
  readonly transferAtMs: number;
}

/** Weight of the newest observation in the running mean of encoding times. */
const ENCODE_WEIGHT = 0.3;
/** What takes longer than this many times as long as before (a page that stood still, a codec that was cold) is taken as this. */
const ENCODE_HICCUP = 10;

/** What the snapshot of a request takes from the estimates. */
export type EstimatedParts = Pick<Snapshot, 'nowMs' | 'device' | 'server' | 'link' | 'queue' | 'idleMs' | 'encodeMs'>;

export class Estimates {
  private state: EstimatesState;
  private readonly initial: EstimatesState;

  constructor(prior?: LinkPrior, nowMs = 0) {
    this.state = {
      ...{ device: newSpeed(1, 1, nowMs), server: newSpeed(1, 1, nowMs), link: newLink(prior, nowMs) },
      ...{ queue: newQueue(nowMs), encodeMs: {}, share: SHARE_ALL, shareAtMs: nowMs, explorationMs: 0, previous: null },
      transferAtMs: nowMs,
    };
    this.initial = this.state;
  }

  get current(): EstimatesState {
    return this.state;
  }

  /**
   * Goes on from what an earlier visit kept, as old as it is by now. Of what this visit has learnt something of already, its
   * own word holds.
   */
  restore(kept: KeptState, ageMs: number, nowMs: number): void {
    const { initial, state } = this;
    const keptAtMs = nowMs - ageMs;
    const moved = <T extends { readonly state: { readonly atMs: number } }>(estimate: T): T => ({
      ...estimate,
      state: { ...estimate.state, atMs: keptAtMs + estimate.state.atMs },
    });
    const restored: EstimatesState = {
      ...state,
      ...{ device: moved(kept.device), server: moved(kept.server), link: moved(kept.link), transferAtMs: keptAtMs },
      ...{ encodeMs: kept.encodeMs, explorationMs: kept.explorationMs },
      ...{ share: kept.share, shareAtMs: keptAtMs },
    };
    const learnt = Object.entries(state).filter(([key, value]) => value !== initial[key as keyof EstimatesState]);
    this.state = { ...restored, ...Object.fromEntries(learnt) };
  }

  /** What a snapshot for a plan takes from here. */
  partsFor(plan: Plan, nowMs: number): EstimatedParts {
    const { server, link, queue, encodeMs, transferAtMs } = this.state;
    const device = this.deviceFor(plan, nowMs);
    return { nowMs, device, server, link, queue, encodeMs, idleMs: Math.max(0, nowMs - transferAtMs) };
  }

  observeTransfer(transfer: Omit<Transfer, 'idleMs'>, ms: number, sentAtMs: number, nowMs: number): void {
    const idleMs = Math.max(0, sentAtMs - this.state.transferAtMs);
    this.set({
      link: observeTransfer(this.state.link, { ...transfer, idleMs }, Math.max(0.1, ms), nowMs),
      transferAtMs: nowMs,
    });
  }

  /** Segments from+1..to ran on the device at this size. */
  observeDevice(plan: Plan, target: string, size: number, from: number, to: number, ms: number, nowMs: number): void {
    const planned = plannedMs(plan, target, size, from, to);
    this.set({ device: observeSpeed(this.deviceFor(plan, nowMs), planned, ms, nowMs) });
  }

  /** The server decoded boundary k at this size and ran segments k+1..K. */
  observeServer(plan: Plan, size: number, k: number, tier: string, ms: number, nowMs: number): void {
    this.set({ server: observeSpeed(this.state.server, [serverPlannedMs(plan, size, k, tier)], ms, nowMs) });
  }

  /** The gateway's word on how long a request waits. */
  observeQueue(ms: number, nowMs: number): void {
    this.set({ queue: observeQueue(this.state.queue, ms, nowMs) });
  }

  /** A reply has not come, this long after it was expected of a request that need not wait. */
  observeOverdue(ms: number, nowMs: number): void {
    this.set({ queue: observeOverdue(this.state.queue, ms, nowMs) });
  }

  /** Share of its requests that this client takes to the gateway now. */
  shareAt(nowMs: number): number {
    return shareAfterTime(this.state.share, nowMs - this.state.shareAtMs);
  }

  /** The gateway answered. */
  answered(nowMs: number): void {
    this.set({ share: shareAfterAnswer(this.shareAt(nowMs)), shareAtMs: nowMs });
  }

  /**
   * The gateway would not take a request for its load.
   * @param share what it was when that was sent: of several that were under way together all that is learnt is one thing
   */
  shed(nowMs: number, share = this.shareAt(nowMs)): void {
    this.set({ share: Math.min(this.shareAt(nowMs), shareAfterShedding(share)), shareAtMs: nowMs });
  }

  observeEncode(k: number, tier: string, ms: number): void {
    const key = tierKey(k, tier);
    const known = this.state.encodeMs[key];
    const seen = Math.min(ms, ENCODE_HICCUP * ((known ?? 0) + ENCODE_PRIOR_MS));
    const next = known === undefined ? seen : known + ENCODE_WEIGHT * (seen - known);
    this.set({ encodeMs: { ...this.state.encodeMs, [key]: next } });
  }

  /** A decision was made for a request that begins. */
  decided(decision: Decision, exploration: number): void {
    const { chosen, by } = decision;
    const explorationMs = explorationAfter(this.state.explorationMs, decision, exploration);
    // What was tried to find out is nothing to keep to.
    const previous = chosen && by !== 'explored' ? { k: chosen.k, tier: chosen.tier } : this.state.previous;
    this.set({ explorationMs, previous });
  }

  /** Another network: what was known of the old one may not hold. */
  networkChanged(): void {
    this.set({ link: doubted(this.state.link) });
  }

  /** The page was in the background, or the device slept. */
  resumed(): void {
    this.set({ device: doubted(this.state.device), link: doubted(this.state.link) });
  }

  /** Segments are counted by the plan: of those of another depth, one ratio for all is what is left. */
  private deviceFor(plan: Plan, nowMs: number): SpeedEstimate {
    const { device } = this.state;
    const depth = depthOf(plan);
    return device.model.prior.length === depth ? device : newSpeed(depth, speedRatio(device), nowMs);
  }

  private set(changes: Partial<EstimatesState>): void {
    this.state = { ...this.state, ...changes };
  }
}

/** Of another network, or a device that slept: what was known may not hold. */
function doubted<T extends SpeedEstimate | LinkEstimate>(estimate: T): T {
  return { ...estimate, state: doubtLogSum(estimate.model, estimate.state) };
}
