/**
 * How fast a place is, as ratios of observed to planned time: what carries a plan measured on one machine over to another.
 * One ratio a segment, most of it common to all, so that the first segment that runs tells of those that have not.
 */
import { type LogSumModel, type LogSumState, newLogSum, observeLogSum } from './log-sum.ts';

export interface SpeedEstimate {
  readonly model: LogSumModel;
  readonly state: LogSumState;
}

/** Observations this far out are a hiccup (a page reload, a debugger) and are taken as this. */
const RATIO_MAX = 100;

/** @param segments how many planned times there are: K for a device, 1 for a server, whose tail runs in one go */
export function newSpeed(segments = 1, ratio = 1, nowMs = 0): SpeedEstimate {
  const all = (value: number) => new Array<number>(segments).fill(value);
  // A phone may be four times slower than what the plan was measured on; it drifts with its heat, and with what else runs.
  const model: LogSumModel = { prior: all(ratio), spread: all(0.9), drift: all(0.04), noise: 0.15, common: 0.9 };
  return { model, state: newLogSum(model, nowMs) };
}

/**
 * @param plannedMs of each segment that ran, 0 for the others
 * @param ms that they took together. Observations of no planned or no measurable time change nothing.
 */
export function observeSpeed(
  speed: SpeedEstimate,
  plannedMs: readonly number[],
  ms: number,
  nowMs: number,
): SpeedEstimate {
  const planned = plannedMs.reduce((sum, value) => sum + value, 0);
  if (!(ms > 0 && planned > 0)) return speed;
  const clamped = Math.min(planned * RATIO_MAX, Math.max(planned / RATIO_MAX, ms));
  return { ...speed, state: observeLogSum(speed.model, speed.state, plannedMs, clamped, nowMs) };
}

/** Observed over planned, the middle of all segments: 2 means twice as slow as planned. */
export function speedRatio({ state }: SpeedEstimate): number {
  const { mean } = state;
  return Math.exp(mean.reduce((sum, value) => sum + value, 0) / mean.length);
}
