/**
 * How long a request waits at the gateway before it runs. Replies say how long they waited and how long the next one would:
 * true when it was said, and less with every second; then what is typical holds. A reply that does not come says more than
 * any that did.
 */
export interface QueueEstimate {
  readonly lastMs: number;
  readonly atMs: number;
  /** Running mean and mean square of what was said. */
  readonly typicalMs: number;
  readonly squareMs: number;
  /** How long a request has waited at least whose reply has not come, beyond all that was expected but waiting. */
  readonly overdueMs: number;
  readonly overdueAtMs: number;
}

const TYPICAL_WEIGHT = 0.1;
/** Time in which the gateway's last word loses two thirds of its worth. */
const WORTH_MS = 5_000;
const OVERDUE_HALF_LIFE_MS = 6_000;
/** A word is a forecast, and off by this share of itself. */
const FORECAST_ERROR = 0.3;
/** No word is believed beyond this. */
const WORD_MS_MAX = 600_000;

export function newQueue(nowMs = 0): QueueEstimate {
  return { lastMs: 0, atMs: nowMs, typicalMs: 0, squareMs: 0, overdueMs: 0, overdueAtMs: nowMs };
}

/** The gateway's word, in milliseconds: it answers, so nothing is overdue. */
export function observeQueue(queue: QueueEstimate, saidMs: number, nowMs: number): QueueEstimate {
  const ms = Math.min(WORD_MS_MAX, saidMs);
  const mix = (old: number, value: number) => old + TYPICAL_WEIGHT * (value - old);
  return {
    ...{ lastMs: ms, atMs: nowMs, overdueMs: 0, overdueAtMs: nowMs },
    ...{ typicalMs: mix(queue.typicalMs, ms), squareMs: mix(queue.squareMs, ms * ms) },
  };
}

/** A reply has not come, this long after it was expected of a request that need not wait: all that is known of it. */
export function observeOverdue(queue: QueueEstimate, ms: number, nowMs: number): QueueEstimate {
  return { ...queue, overdueMs: Math.max(ms, overdueAt(queue, nowMs)), overdueAtMs: nowMs };
}

/** Expected milliseconds, and their standard deviation. */
export function predictQueue(queue: QueueEstimate, nowMs: number): { readonly ms: number; readonly sdMs: number } {
  const worth = Math.exp(-Math.max(0, nowMs - queue.atMs) / WORTH_MS);
  const ms = Math.max(worth * queue.lastMs + (1 - worth) * queue.typicalMs, overdueAt(queue, nowMs));
  const typicalVariance = Math.max(0, queue.squareMs - queue.typicalMs ** 2);
  const variance = (1 - worth ** 2) * typicalVariance + (FORECAST_ERROR * ms) ** 2;
  return { ms, sdMs: Math.sqrt(variance) };
}

/** Believed less as time passes, so that the gateway is tried again. */
function overdueAt({ overdueMs, overdueAtMs }: QueueEstimate, nowMs: number): number {
  return overdueMs * 2 ** (-Math.max(0, nowMs - overdueAtMs) / OVERDUE_HALF_LIFE_MS);
}
