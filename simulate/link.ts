/** One client's link: what it sends leaves in order, after the radio woke up; what comes back does not queue. */

import type { Draws } from './draws.ts';
import { roundTripAt, type Trace, wakeUpMs } from './traces/trace.ts';

type Luck = Pick<Draws, 'up' | 'down' | 'wake'>;

export interface Transmission {
  /** First byte on the air. */
  readonly beginMs: number;
  readonly uploadedMs: number;
  readonly arriveMs: number;
  /** Bytes that were still to leave before it. */
  readonly bytesAhead: number;
}

export class Link {
  readonly trace: Trace;
  /** Where in the trace the client begins. */
  private readonly offsetMs: number;
  private freeAtMs = 0;
  private arrivedAtMs = 0;
  /** When the radio last carried something, which may be known ahead of time. */
  private activeAtMs = 0;

  constructor(trace: Trace, offsetMs: number) {
    this.trace = trace;
    this.offsetMs = offsetMs;
  }

  /** How long it has carried nothing. */
  idleMs(nowMs: number): number {
    return nowMs - Math.max(this.activeAtMs, this.freeAtMs);
  }

  /** What would become of bytes handed over now. Changes nothing. */
  foresee(nowMs: number, bytes: number, luck: Luck): Transmission {
    const { trace, offsetMs } = this;
    const wakeMs = wakeUpMs(trace.wakeUp, this.idleMs(nowMs), luck.wake);
    const beginMs = Math.max(this.freeAtMs, nowMs + wakeMs);
    const uploadedMs = trace.up.finish(beginMs + offsetMs, bytes) - offsetMs;
    const oneWayMs = this.oneWayMs(beginMs) * luck.up;
    // Bytes of one connection arrive in order.
    const arriveMs = Math.max(uploadedMs + oneWayMs, this.arrivedAtMs);
    return { beginMs, uploadedMs, arriveMs, bytesAhead: this.bytesAhead(nowMs) };
  }

  send(nowMs: number, bytes: number, luck: Luck): Transmission {
    const sent = this.foresee(nowMs, bytes, luck);
    this.freeAtMs = sent.uploadedMs;
    this.arrivedAtMs = sent.arriveMs;
    this.noteActive(sent.uploadedMs);
    return sent;
  }

  /** When a reply that leaves the server now is here. */
  receiveMs(leavesMs: number, bytes: number, luck: Luck): number {
    const { trace, offsetMs } = this;
    const hereMs = leavesMs + this.oneWayMs(leavesMs) * luck.down;
    return trace.down.finish(hereMs + offsetMs, bytes) - offsetMs;
  }

  noteActive(atMs: number): void {
    this.activeAtMs = Math.max(this.activeAtMs, atMs);
  }

  /** Bytes handed over and not sent. */
  bytesAhead(nowMs: number): number {
    return this.trace.up.between(nowMs + this.offsetMs, this.freeAtMs + this.offsetMs);
  }

  private oneWayMs(atMs: number): number {
    return roundTripAt(this.trace.roundTrip, atMs + this.offsetMs) / 2;
  }
}
