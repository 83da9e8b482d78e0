/** One client: its requests, one after the other or as they arrive, and its pings. */
import { sleepShare } from '../shared/schedule/link.ts';
import { EnergyMeter } from './energy.ts';
import type { Link } from './link.ts';
import { Request, type RequestRecord } from './request.ts';
import type { Player } from './scenario.ts';
import type { Scheduler } from './schedulers/scheduler.ts';
import type { World } from './world.ts';

const PING_BYTES = 60;
const PING_INTERVAL_MS = 15_000;
/** Of pings, which nothing is drawn for. */
const NO_LUCK = { up: 1, down: 1, wake: 0.5 };
/** Everyone connects at 0, and asks when the first round trip may be over. */
const CONNECT_MS = 1000;

export interface ClientParts {
  readonly player: Player;
  readonly link: Link;
  readonly scheduler: Scheduler;
  /** How many it makes; a client that is only there to keep the server busy makes them without end. */
  readonly requests: number;
  onArrival?(): void;
  /** So many of its requests are over. */
  onSettled?(count: number): void;
}

export class Client {
  readonly records: RequestRecord[] = [];
  readonly energy: EnergyMeter;
  readonly parts: ClientParts;
  deviceFreeAtMs = 0;
  /** Until when the gateway wants no request of it. */
  pausedUntilMs = 0;
  private readonly world: World;
  private readonly queue: { readonly index: number; readonly arrivedMs: number }[] = [];
  /** Requests that have begun and are not over. */
  private underWay = 0;
  private isPingDue = false;

  constructor(world: World, parts: ClientParts) {
    this.world = world;
    this.parts = parts;
    this.energy = new EnergyMeter(world.device.energy);
  }

  start(): void {
    this.tryOut();
    this.ping();
    this.plan(0);
  }

  /** Each segment is timed once on the smallest input, when it is loaded. */
  private tryOut(): void {
    const { costs, device, events } = this.world;
    const { size } = costs.plan;
    for (const [k, plannedMs] of costs.at(size.min).deviceMs.entries()) {
      const ms = device.speed.finish(events.nowMs, plannedMs) - events.nowMs;
      this.parts.scheduler.onDevice?.(size.min, k, k + 1, ms, events.nowMs);
    }
  }

  private plan(index: number): void {
    if (index >= this.parts.requests) return;
    const { events } = this.world;
    const arrivesMs = this.parts.player.drawsOf(index).arrivesMs;
    events.at(arrivesMs === null ? events.nowMs + this.parts.player.thinkMs : arrivesMs + CONNECT_MS, () => {
      this.queue.push({ index, arrivedMs: events.nowMs });
      this.parts.onArrival?.();
      if (arrivesMs !== null) this.plan(index + 1);
      this.next();
    });
  }

  private next(): void {
    if (this.isBusy) return;
    if (this.isPingDue) this.ping();
    const first = this.queue.shift();
    if (!first) return;
    this.underWay++;
    new Request(this.world, this, first.index, first.arrivedMs).begin();
  }

  /** The request that was under way is over: of those that wait none has an earlier deadline. */
  finish(record: RequestRecord): void {
    this.records.push(record);
    this.underWay--;
    this.parts.onSettled?.(this.records.length);
    if (this.parts.player.drawsOf(record.index).arrivesMs === null) this.plan(record.index + 1);
    this.next();
  }

  private get isBusy(): boolean {
    return this.underWay > 0 && !this.world.overlaps;
  }

  private pingSoon(): void {
    // Waits for the end of a request that is alone under way, so that what that request could have done stays certain.
    if (this.isBusy) this.isPingDue = true;
    else this.ping();
  }

  private ping(): void {
    this.isPingDue = false;
    const { events, server } = this.world;
    const { link, scheduler } = this.parts;
    const bytes = scheduler.pingBytes ?? PING_BYTES;
    const sentAtMs = events.nowMs;
    const hasIdled = sleepShare(link.idleMs(sentAtMs)) > 0;
    const { beginMs, uploadedMs, arriveMs } = link.send(sentAtMs, bytes, NO_LUCK);
    const backMs = link.receiveMs(arriveMs, PING_BYTES, NO_LUCK);
    link.noteActive(backMs);
    this.energy.radio(beginMs, uploadedMs, bytes, 0);
    this.energy.radio(arriveMs, backMs, 0, PING_BYTES);
    events.at(arriveMs, () => {
      const { load } = server;
      events.at(backMs, () => {
        scheduler.onPing?.(bytes, backMs - sentAtMs, backMs);
        scheduler.onLoad?.(load, backMs);
        // One that may have woken the radio up says little of a link that is awake: the next, sent at once, does.
        if (hasIdled) this.pingSoon();
        else events.at(backMs + PING_INTERVAL_MS, () => this.pingSoon());
      });
    });
  }
}
