/**
 * What every choice would have taken from one moment on, against the true trace, server and luck: exact for a client
 * that is alone on its server, and without those that may still come where it is not.
 */
import type { Capacity } from './capacity.ts';
import type { SizeCosts } from './costs.ts';
import type { Draws } from './draws.ts';
import type { Link } from './link.ts';
import type { Outlook } from './outlook.ts';
import type { Foreseen } from './schedulers/scheduler.ts';

export interface Moment {
  readonly nowMs: number;
  readonly at: number;
  /** Work of the device before `at` is reached. */
  readonly overheadMs: number;
  readonly draws: Draws;
  readonly costs: SizeCosts;
  readonly link: Link;
  /** null where nothing can be sent now. */
  readonly server: Outlook | null;
  readonly deviceSpeed: Capacity;
  readonly deviceFreeAtMs: number;
  /** The request ends then, with an answer or without. */
  readonly expiresMs: number;
}

export function foreseeBest(moment: Moment): Foreseen {
  const { nowMs, at, overheadMs, draws, costs, server, deviceSpeed, deviceFreeAtMs, expiresMs } = moment;
  const depth = costs.deviceMs.length;
  // When the device has reached each boundary.
  const reachedMs: number[] = [];
  let reached = overheadMs > 0 ? deviceSpeed.finish(Math.max(nowMs, deviceFreeAtMs), overheadMs) : nowMs;
  for (let k = at; k <= depth; k++) {
    reachedMs[k] = reached;
    if (k === depth) break;
    const workMs = (costs.deviceMs[k] as number) * (draws.device[k] as number);
    reached = deviceSpeed.finish(Math.max(reached, deviceFreeAtMs), workMs);
  }
  let best: Foreseen = { choice: { k: depth, tier: null }, ms: Math.min(reached, expiresMs) - nowMs };
  if (!server) return best;
  for (const tail of costs.allowed) {
    if (tail.k < at) continue;
    const ms = tailEndMs(moment, server, tail, reachedMs[tail.k] as number) - nowMs;
    if (ms < best.ms) best = { choice: { k: tail.k, tier: tail.tier }, ms };
  }
  return best;
}

function tailEndMs(moment: Moment, server: Outlook, tail: SizeCosts['allowed'][number], reachedMs: number): number {
  const { draws, link, deviceSpeed, deviceFreeAtMs, expiresMs } = moment;
  const sentMs = deviceSpeed.finish(Math.max(reachedMs, deviceFreeAtMs), tail.encodeMs * draws.encode);
  if (sentMs >= expiresMs) return Number.POSITIVE_INFINITY;
  const { arriveMs } = link.foresee(sentMs, tail.bytesUp * draws.bytes, draws);
  const doneMs = server.finish(
    arriveMs,
    (tail.decodeMs + tail.computeMs) * draws.server,
    arriveMs + expiresMs - sentMs,
  );
  return doneMs === Number.POSITIVE_INFINITY ? doneMs : link.receiveMs(doneMs, tail.bytesDown, draws);
}
