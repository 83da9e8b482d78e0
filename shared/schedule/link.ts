/**
 * What the link does to a message and its answer: ms = round trip + bytes up and down, each with a time of its own, and
 * what the radio needs to wake up after it has idled. Learnt at once from every ping and every request; transfers of
 * different sizes are what tells latency from goodput.
 */
import { type LogSumModel, type LogSumState, newLogSum, observeLogSum } from './log-sum.ts';

export interface LinkEstimate {
  readonly model: LogSumModel;
  readonly state: LogSumState;
}

/** What holds where nothing was seen. */
export interface LinkPrior {
  readonly roundTripMs: number;
  readonly uplinkBytesPerS: number;
  /** Default: four times the uplink. */
  readonly downlinkBytesPerS?: number;
  /** What waking up adds for a radio that dozes, and what more for one that sleeps. */
  readonly dozeMs?: number;
  readonly sleepMs?: number;
}

export interface Transfer {
  /** What has to leave: the frame, and what still waits before it. */
  readonly bytesUp: number;
  readonly bytesDown: number;
  /** How long nothing was sent or received before. */
  readonly idleMs: number;
}

/** A middling LTE uplink. */
export const LINK_PRIOR: LinkPrior = { roundTripMs: 60, uplinkBytesPerS: 750_000 };
const DOZE_PRIOR_MS = 10;
const SLEEP_PRIOR_MS = 40;
const DOWN_OVER_UP = 4;
const STAYS_MS = 1e9;

/** A radio begins to doze (discontinuous reception) after so long, and lets its channel go after that long: from, to. */
const DOZE_MS = [100, 400] as const;
const SLEEP_MS = [3_000, 10_000] as const;

export function newLink(prior: LinkPrior = LINK_PRIOR, nowMs = 0): LinkEstimate {
  const { roundTripMs, uplinkBytesPerS, downlinkBytesPerS, dozeMs, sleepMs } = prior;
  const model: LogSumModel = {
    prior: [
      roundTripMs,
      1000 / uplinkBytesPerS,
      1000 / (downlinkBytesPerS ?? uplinkBytesPerS * DOWN_OVER_UP),
      dozeMs ?? DOZE_PRIOR_MS,
      sleepMs ?? SLEEP_PRIOR_MS,
    ],
    spread: [0.9, 1.2, 0.9, 1.5, 1.5],
    drift: [0.05, 0.06, 0.1, 0.02, 0.02],
    noise: 0.25,
    returnMs: [60_000, 60_000, 60_000, STAYS_MS, STAYS_MS],
  };
  return { model, state: newLogSum(model, nowMs) };
}

/** @param ms from handing the frame over to having the reply, without the time that the server says it took */
export function observeTransfer(link: LinkEstimate, transfer: Transfer, ms: number, nowMs: number): LinkEstimate {
  return { ...link, state: observeLogSum(link.model, link.state, amounts(transfer), ms, nowMs) };
}

/** For people: the round trip in milliseconds, and bytes a second. */
export function linkFigures({ state }: LinkEstimate) {
  const [roundTrip = 0, up = 0, down = 0, doze = 0, sleep = 0] = state.mean;
  return {
    roundTripMs: Math.exp(roundTrip),
    uplinkBytesPerS: 1000 * Math.exp(-up),
    downlinkBytesPerS: 1000 * Math.exp(-down),
    dozeMs: Math.exp(doze),
    sleepMs: Math.exp(sleep),
  };
}

function amounts({ bytesUp, bytesDown, idleMs }: Transfer): number[] {
  return [1, bytesUp, bytesDown, dozeShare(idleMs), sleepShare(idleMs)];
}

/** How much of a radio's waking from a doze, and from sleep, lies before it after so long. */
export function dozeShare(idleMs: number): number {
  return ramp(idleMs, DOZE_MS);
}

export function sleepShare(idleMs: number): number {
  return ramp(idleMs, SLEEP_MS);
}

function ramp(ms: number, [from, to]: readonly [number, number]): number {
  return Math.min(1, Math.max(0, (ms - from) / (to - from)));
}
