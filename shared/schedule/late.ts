/** When a reply is late, so that the device had better go on by itself; the first answer wins. */
import { finishMs, type Prediction } from './cost.ts';
import type { Snapshot } from './snapshot.ts';

/** A reply is late when it takes longer than 95 of 100 do, by what was predicted for it, and this much more. */
const LATE_FACTOR = 1.1;
const LATE_MARGIN_MS = 20;
/** Whoever forces a cut wants that one: it is waited for longer. */
const FORCED_FACTOR = 2;
const FORCED_MARGIN_MS = 250;
/** What the device is given for its predicted time when it must still meet the deadline, where there is room for it. */
const FINISH_MARGIN = 1.3;

/** From sending to having the reply, as predicted. */
export function remoteMs(predicted: Prediction): number {
  return predicted.totalMs - beforeSendingMs(predicted);
}

function beforeSendingMs({ aheadMs, deviceMs, encodeMs }: Prediction): number {
  return aheadMs + deviceMs + encodeMs;
}

/**
 * Milliseconds from sending on.
 * @param snapshot where the request is
 * @param leftMs until the deadline
 * @param isForced whether the cut was asked for
 */
export function lateAfterMs(snapshot: Snapshot, predicted: Prediction, leftMs: number, isForced: boolean): number {
  const highMs = predicted.highMs - beforeSendingMs(predicted);
  const usual = Math.max(remoteMs(predicted), highMs);
  const late = isForced ? FORCED_FACTOR * usual + FORCED_MARGIN_MS : LATE_FACTOR * usual + LATE_MARGIN_MS;
  const finish = finishMs(snapshot);
  // A device that would miss the deadline all the same is only in the way of the next request.
  if (finish > leftMs) return late;
  const isRoomy = finish * FINISH_MARGIN <= leftMs;
  return Math.min(late, leftMs - finish * (isRoomy ? FINISH_MARGIN : 1));
}
