/** What callers hand to `infer`, checked at the door: everything behind it works on data of the right form. */
import { TandemError } from '../shared/errors.ts';
import { boundaryAt, depthOf, type Plan, tierAt } from '../shared/plan.ts';
import { assertPixels } from '../shared/preprocess/assert-pixels.ts';
import type { Picture } from '../shared/preprocess/resize.ts';
import { DEADLINE_MS_DEFAULT, DEADLINE_MS_MAX } from '../shared/protocol/limits.ts';
import { TRACEPARENT } from '../shared/protocol/traceparent.ts';
import type { InferOptions, Input } from './types.ts';

/** The deadline in milliseconds. Throws BAD_INPUT. */
export function checkOptions({ deadlineMs = DEADLINE_MS_DEFAULT, prefer, traceparent }: InferOptions): number {
  if (typeof deadlineMs !== 'number' || !(deadlineMs > 0 && deadlineMs <= DEADLINE_MS_MAX)) {
    throw new TandemError(
      'BAD_INPUT',
      `expected a deadline above 0 and up to ${DEADLINE_MS_MAX} ms, got ${deadlineMs}`,
    );
  }
  if (![undefined, 'device', 'cloud'].includes(prefer)) {
    throw new TandemError('BAD_INPUT', `expected prefer to be device or cloud, got ${prefer}`);
  }
  if (traceparent !== undefined && !TRACEPARENT.test(traceparent)) {
    throw new TandemError('BAD_INPUT', `expected a traceparent 00-<32 hex>-<16 hex>-<2 hex>, got ${traceparent}`);
  }
  return deadlineMs;
}

/** Throws BAD_INPUT for what is no signal: what only looks like one would never abort anything. */
export function checkSignal(signal: AbortSignal | undefined): void {
  // Apps in JavaScript may say null for none, as `fetch` lets them.
  if (signal && typeof signal.throwIfAborted !== 'function')
    throw new TandemError('BAD_INPUT', 'expected an AbortSignal');
  signal?.throwIfAborted();
}

/** Throws BAD_BOUNDARY or UNKNOWN_TIER for a forced cut that the plan does not have. */
export function checkForce(plan: Plan, { k, tier }: NonNullable<InferOptions['force']>): void {
  // '3' would find a boundary as well, and be none of the numbers that k is compared with.
  boundaryAt(plan, Number.isInteger(k) ? k : Number.NaN);
  if (k < depthOf(plan) && tier !== undefined) tierAt(plan, k, tier);
}

/** Throws BAD_INPUT for what is neither a picture nor an object of tensors. */
export function isPicture(input: Input): input is Picture {
  if (typeof input !== 'object' || input === null) {
    throw new TandemError('BAD_INPUT', `expected a picture or tensors by name, got ${input}`);
  }
  const { width, height } = input as Picture;
  if (typeof width !== 'number' || typeof height !== 'number') return false;
  assertPixels(input as Picture);
  return true;
}
