/**
 * What the link does to a message and its answer: ms = round trip + bytes up and down, each with a time of its own, and
 * what the radio needs to wake up after it has idled. Learnt at once from every ping and every request; transfers of
 * different sizes are what tells latency from goodput.
 */
import {
  doubtLogSum,
  type LogSumModel,
  type LogSumPrediction,
  type LogSumState,
  newLogSum,
  observeLogSum,
  predictLogSum,
} from './log-sum.ts';

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
  /** Added after the radio has idled for long. */
  readonly wakeMs?: number;
}

export interface Transfer {
  /** What has to leave: the frame, and what still waits before it. */
  readonly bytesUp: number;
  readonly bytesDown: number;
  /** How long nothing was sent or received before. */
  readonly idleMs: number;
}

/** Its parts in milliseconds: medians, which add up to `ms`. */
export interface TransferPrediction extends LogSumPrediction {
  readonly roundTripMs: number;
  readonly uplinkMs: number;
  readonly downlinkMs: number;
  readonly wakeMs: number;
}

/** A middling LTE uplink. */
export const LINK_PRIOR: LinkPrior = { roundTripMs: 60, uplinkBytesPerS: 750_000 };
const WAKE_PRIOR_MS = 40;
const DOWN_OVER_UP = 4;

/** A radio keeps its channel this long after the last packet, and has let all of it go after that long. */
const IDLE_FROM_MS = 1_000;
const IDLE_FULL_MS = 10_000;

export function newLink(prior: LinkPrior = LINK_PRIOR, nowMs = 0): LinkEstimate {
  const { roundTripMs, uplinkBytesPerS, downlinkBytesPerS, wakeMs } = prior;
  const model: LogSumModel = {
    prior: [
      roundTripMs,
      1000 / uplinkBytesPerS,
      1000 / (downlinkBytesPerS ?? uplinkBytesPerS * DOWN_OVER_UP),
      wakeMs ?? WAKE_PRIOR_MS,
    ],
    spread: [0.9, 1.2, 0.9, 1.5],
    drift: [0.05, 0.15, 0.05, 0.01],
    noise: 0.25,
  };
  return { model, state: newLogSum(model, nowMs) };
}

/** @param ms from handing the frame over to having the reply, without the time that the server says it took */
export function observeTransfer(link: LinkEstimate, transfer: Transfer, ms: number, nowMs: number): LinkEstimate {
  return { ...link, state: observeLogSum(link.model, link.state, amounts(transfer), ms, nowMs) };
}

export function predictTransfer(link: LinkEstimate, transfer: Transfer, nowMs: number): TransferPrediction {
  const parts = new Float64Array(4);
  const whole = predictLogSum(link.model, link.state, amounts(transfer), nowMs, parts);
  const [roundTripMs = 0, uplinkMs = 0, downlinkMs = 0, wakeMs = 0] = parts;
  return { ...whole, roundTripMs, uplinkMs, downlinkMs, wakeMs };
}

/** Another network, or a device that slept: what was known may not hold. */
export function doubtLink(link: LinkEstimate): LinkEstimate {
  return { ...link, state: doubtLogSum(link.model, link.state) };
}

/** For people: the round trip in milliseconds, and bytes a second. */
export function linkFigures({ state }: LinkEstimate) {
  const [roundTrip = 0, up = 0, down = 0, wake = 0] = state.mean;
  return {
    roundTripMs: Math.exp(roundTrip),
    uplinkBytesPerS: 1000 * Math.exp(-up),
    downlinkBytesPerS: 1000 * Math.exp(-down),
    wakeMs: Math.exp(wake),
  };
}

function amounts({ bytesUp, bytesDown, idleMs }: Transfer): number[] {
  const idle = (idleMs - IDLE_FROM_MS) / (IDLE_FULL_MS - IDLE_FROM_MS);
  return [1, bytesUp, bytesDown, Math.min(1, Math.max(0, idle))];
}
