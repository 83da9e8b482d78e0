/**
 * How fast a place is, as the ratio of observed to planned time: one number that carries a plan measured on one
 * machine over to another. Averaged as a logarithm, so that twice too slow and twice too fast cancel out.
 */

export interface SpeedEstimate {
  /** Natural logarithm of observed / planned. */
  readonly logRatio: number;
  /** Observations so far, forgotten at the rate they are averaged. */
  readonly weight: number;
}

const MEMORY = 0.8;
/** Observations this far out are a hiccup (a page reload, a debugger) and are taken as this. */
const LOG_RATIO_MAX = Math.log(100);

export function newSpeed(ratio = 1): SpeedEstimate {
  return { logRatio: Math.log(ratio), weight: 0 };
}

/** Both in milliseconds. Observations of no planned or no measurable time say nothing and change nothing. */
export function observeSpeed(speed: SpeedEstimate, observedMs: number, plannedMs: number): SpeedEstimate {
  if (!(observedMs > 0 && plannedMs > 0)) return speed;
  const log = Math.log(observedMs / plannedMs);
  const clamped = Math.min(LOG_RATIO_MAX, Math.max(-LOG_RATIO_MAX, log));
  const weight = speed.weight * MEMORY + 1;
  return { logRatio: speed.logRatio + (clamped - speed.logRatio) / weight, weight };
}

/** Observed over planned: 2 means twice as slow as planned. */
export function speedRatio(speed: SpeedEstimate): number {
  return Math.exp(speed.logRatio);
}
