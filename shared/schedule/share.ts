/**
 * How much of its work a client takes to a gateway that sheds load. Each client holds back a share of its requests at random,
 * and finds its own share: halved when a request was shed, and raised a little by every answer and, for who is held back
 * gets few, with time. Additive increase and
 * multiplicative decrease is what lets many that see the same signal settle, without swinging together.
 *
 * Chiu, Jain, "Analysis of the increase and decrease algorithms for congestion avoidance", 1989.
 */
const STEP = 0.04;
const SHARE_MIN = 0.02;

/** Time in which a share comes back by itself. */
const BACK_MS = 180_000;

/** 1: everything that is faster there. */
export const SHARE_ALL = 1;

/** @param agoMs since it was what it is */
export function shareAfterTime(share: number, agoMs: number): number {
  return Math.min(SHARE_ALL, share + Math.max(0, agoMs) / BACK_MS);
}

export function shareAfterAnswer(share: number): number {
  return Math.min(SHARE_ALL, share + STEP);
}

export function shareAfterShedding(share: number): number {
  return Math.max(SHARE_MIN, share / 2);
}
