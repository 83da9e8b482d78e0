/**
 * One request from its turn to its answer: decides at every boundary, runs or sends accordingly, and finishes on the device
 * what was shed or is late, as client/request.ts does. It ends at its deadline, with or without an answer, as there.
 */
import { tierKey } from '../shared/plan.ts';
import type { Choice } from './choices.ts';
import type { Client } from './client.ts';
import type { SizeCosts, TailCosts } from './costs.ts';
import { foreseeBest } from './counterfactual.ts';
import type { Draws } from './draws.ts';
import type { Foreseen, Interval, Situation } from './schedulers/scheduler.ts';
import type { Job, JobResult } from './server.ts';
import type { World } from './world.ts';

/** Just before something ended, when it was still going on. */
const END_MS = 1e-6;
const CANCEL_BYTES = 40;
const ERROR_BYTES = 150;
/** Pause before a request that was shed may be sent again, as in client/remote.ts; doubles each time. The gateway's own is all the client's. */
const RETRY_MS = 200;
const RETRY_MS_MAX = 10_000;

export interface RequestRecord {
  readonly client: number;
  readonly index: number;
  readonly size: number;
  readonly arrivedMs: number;
  /** When its turn came: a client does one at a time. */
  readonly startMs: number;
  readonly endMs: number;
  /** What gave the answer: all on the device, or the boundary that was sent; null where there was none by the deadline. */
  readonly answered: Choice | null;
  readonly bytesUp: number;
  readonly bytesDown: number;
  readonly sent: number;
  readonly isShed: boolean;
  readonly isLate: boolean;
  /** What the oracle would have done from the same state, where it was asked. */
  readonly best: Foreseen | null;
  /** What it was expected to take, where its scheduler says. */
  readonly expected: Interval | null;
}

export class Request {
  private readonly startMs: number;
  private readonly draws: Draws;
  private readonly costs: SizeCosts;
  private readonly depth: number;
  private best: Foreseen | null = null;
  private expected: Interval | null = null;
  private bytesUp = 0;
  private bytesDown = 0;
  private sent = 0;
  private isShed = false;
  private isLate = false;
  private isOver = false;
  private pending: Exchange | null = null;
  private failures = 0;
  private retryAtMs = 0;
  private readonly world: World;
  private readonly client: Client;
  private readonly index: number;
  private readonly arrivedMs: number;

  constructor(world: World, client: Client, index: number, arrivedMs: number) {
    this.world = world;
    this.client = client;
    this.index = index;
    this.arrivedMs = arrivedMs;
    this.startMs = world.events.nowMs;
    this.draws = client.parts.player.drawsOf(index);
    this.costs = world.costs.at(this.draws.size);
    this.depth = this.costs.deviceMs.length;
  }

  begin(): void {
    const { device, asksOracle, events } = this.world;
    events.at(this.expiresMs, () => this.expire());
    // The one before took all of its time.
    if (this.nowMs >= this.expiresMs) return;
    if (asksOracle) this.best = this.foresee(0, device.overheadMs);
    if (device.overheadMs === 0) this.step(0);
    else this.onDevice(device.overheadMs, () => this.step(0));
  }

  private get nowMs(): number {
    return this.world.events.nowMs;
  }

  /** @param overheadMs of work on the device that is still to come before boundary `at` is reached */
  private foresee(at: number, overheadMs = 0): Foreseen {
    const { world, client, draws, costs, nowMs } = this;
    return foreseeBest({
      nowMs,
      at,
      overheadMs,
      draws,
      costs,
      link: client.parts.link,
      deviceSpeed: world.device.speed,
      deviceFreeAtMs: client.deviceFreeAtMs,
      expiresMs: this.expiresMs,
      server: this.isReachable ? world.server.outlook() : null,
    });
  }

  /** The deadline counts from the arrival, with the wait for earlier requests. */
  private get expiresMs(): number {
    return this.arrivedMs + this.world.deadlineMs;
  }

  private get isReachable(): boolean {
    return this.nowMs >= Math.max(this.retryAtMs, this.client.pausedUntilMs);
  }

  private situation(at: number): Situation {
    return {
      nowMs: this.nowMs,
      index: this.index,
      size: this.draws.size,
      at,
      isReachable: this.isReachable,
      deadlineAtMs: this.expiresMs,
      bytesAhead: this.client.parts.link.bytesAhead(this.nowMs),
      foresee: () => (at === 0 && this.best && this.isReachable ? this.best : this.foresee(at)),
    };
  }

  private step(at: number): void {
    if (this.isOver) return;
    if (at === this.depth) {
      this.finish({ k: at, tier: null });
      return;
    }
    const situation = this.situation(at);
    const { scheduler } = this.client.parts;
    const choice = scheduler.decide(situation);
    if (at === 0 && this.sent === 0) this.expected = scheduler.interval?.() ?? null;
    // A fixed cut may lie behind a request that was shed there.
    if (choice.tier !== null && choice.k === at && situation.isReachable) this.encode(at, choice.tier, situation);
    else this.advance(at, () => this.step(at + 1));
  }

  /** Runs segment at+1 on the device. */
  private advance(at: number, then: () => void): void {
    const workMs = (this.costs.deviceMs[at] as number) * (this.draws.device[at] as number);
    this.onDevice(workMs, (ms) => {
      this.client.parts.scheduler.onDevice?.(this.draws.size, at, at + 1, ms, this.nowMs);
      then();
    });
  }

  private onDevice(workMs: number, then: (ms: number) => void): void {
    const { client, nowMs, world } = this;
    const { speed } = world.device;
    const beginMs = Math.max(nowMs, client.deviceFreeAtMs);
    const endMs = speed.finish(beginMs, workMs);
    client.deviceFreeAtMs = endMs;
    client.energy.device(workMs / speed.rateAt(endMs - END_MS));
    // The device times what it runs; beside other requests, waiting for it is no part of that.
    const ms = endMs - (world.overlaps ? beginMs : nowMs);
    world.events.at(endMs, () => then(ms));
  }

  private encode(k: number, tier: string, situation: Situation): void {
    const tail = this.costs.tails.get(tierKey(k, tier)) as TailCosts;
    this.onDevice(tail.encodeMs * this.draws.encode, (ms) => {
      this.client.parts.scheduler.onEncode?.(k, tier, ms);
      this.send(tail, situation);
    });
  }

  private send(tail: TailCosts, decidedAt: Situation): void {
    if (this.isOver) return;
    const { client, draws, world, nowMs } = this;
    const { link, scheduler } = client.parts;
    const { k, tier } = tail;
    const bytesUp = tail.bytesUp * draws.bytes;
    const { beginMs, uploadedMs, arriveMs, bytesAhead } = link.send(nowMs, bytesUp, draws);
    this.bytesUp += bytesUp;
    this.sent++;
    client.energy.radio(beginMs, uploadedMs, bytesUp, 0);
    const job: Job = {
      arriveMs,
      workMs: (tail.decodeMs + tail.computeMs) * draws.server,
      // The server is told how much time is left, and counts from the arrival.
      expiresMs: arriveMs + this.expiresMs - nowMs,
      cancelMs: Number.POSITIVE_INFINITY,
      onDone: (result) => this.replied(exchange, result),
      onFailed: (_code, retryAfterMs) => this.failed(exchange, retryAfterMs),
    };
    const exchange: Exchange = { k, tier, bytesUp, bytesAhead, sentAtMs: nowMs, tail, job, isFinishing: false };
    this.pending = exchange;
    world.server.expect(job);
    const lateMs = scheduler.lateAfterMs?.({ ...decidedAt, nowMs }, { k, tier });
    if (lateMs === undefined || nowMs + lateMs >= this.expiresMs) return;
    world.events.at(nowMs + lateMs, () => {
      if (this.pending !== exchange || this.isOver) return;
      exchange.isFinishing = true;
      scheduler.onGoOn?.({ ...decidedAt, nowMs: this.nowMs });
      this.goOn(exchange, k);
    });
  }

  private goOn(exchange: Exchange, at: number): void {
    if (this.isOver) return;
    if (at < this.depth) {
      this.advance(at, () => this.goOn(exchange, at + 1));
      return;
    }
    this.isLate = true;
    this.cancel(exchange);
    this.client.parts.scheduler.onLate?.(this.index, this.nowMs - exchange.sentAtMs, this.nowMs);
    this.finish({ k: this.depth, tier: null });
  }

  /** The deadline: whoever asked has waited long enough. */
  private expire(): void {
    if (this.isOver) return;
    const { pending, nowMs } = this;
    if (pending) {
      this.cancel(pending);
      this.client.parts.scheduler.onMissed?.(this.index, nowMs - pending.sentAtMs, nowMs);
    }
    this.finish(null);
  }

  private cancel({ job }: Exchange): void {
    const { arriveMs } = this.client.parts.link.send(this.nowMs, CANCEL_BYTES, this.draws);
    this.world.server.cancelAt(job, arriveMs);
  }

  /** At the moment that the server is done with it. */
  private replied(exchange: Exchange, { queueMs, serviceMs, load }: JobResult): void {
    if (this.isOver) return;
    const { link, scheduler } = this.client.parts;
    const { nowMs: leftMs, draws } = this;
    const { k, tier, bytesUp, bytesAhead, tail } = exchange;
    const hereMs = link.receiveMs(leftMs, tail.bytesDown, draws);
    this.world.events.at(hereMs, () => {
      if (this.isOver) return;
      this.pending = null;
      this.bytesDown += tail.bytesDown;
      link.noteActive(hereMs);
      this.client.energy.radio(leftMs, hereMs, 0, tail.bytesDown);
      scheduler.onLoad?.(load, hereMs);
      scheduler.onReply?.({
        nowMs: hereMs,
        size: draws.size,
        k,
        tier,
        bytesUp,
        bytesAhead,
        bytesDown: tail.bytesDown,
        elapsedMs: hereMs - exchange.sentAtMs,
        serviceMs,
        totalMs: queueMs + serviceMs,
      });
      this.finish({ k, tier });
    });
  }

  private failed(exchange: Exchange, retryAfterMs: number): void {
    if (this.isOver) return;
    const { link, scheduler } = this.client.parts;
    const hereMs = link.receiveMs(this.nowMs, ERROR_BYTES, this.draws);
    this.world.events.at(hereMs, () => {
      if (this.isOver) return;
      this.client.pausedUntilMs = hereMs + retryAfterMs;
      scheduler.onShed?.(this.index, retryAfterMs, hereMs);
      if (exchange.isFinishing) return;
      this.pending = null;
      link.noteActive(hereMs);
      this.isShed = true;
      const pauseMs = Math.min(RETRY_MS_MAX, Math.max(RETRY_MS * 2 ** this.failures++, retryAfterMs));
      this.retryAtMs = hereMs + pauseMs;
      this.step(exchange.k);
    });
  }

  private finish(answered: Choice | null): void {
    const { nowMs: endMs, index, arrivedMs, startMs, bytesUp, bytesDown, sent, isShed, isLate, best } = this;
    this.isOver = true;
    this.client.parts.scheduler.onOver?.(index);
    this.client.finish({
      client: this.client.parts.player.id,
      index,
      size: this.draws.size,
      arrivedMs,
      startMs,
      endMs,
      answered,
      bytesUp,
      bytesDown,
      sent,
      isShed,
      isLate,
      best,
      expected: this.expected,
    });
  }
}

interface Exchange {
  readonly k: number;
  readonly tier: string;
  readonly bytesUp: number;
  readonly bytesAhead: number;
  readonly sentAtMs: number;
  readonly tail: TailCosts;
  readonly job: Job;
  /** The device goes on by itself; whoever is first gives the answer. */
  isFinishing: boolean;
}
