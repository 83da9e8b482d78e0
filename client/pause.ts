/** Waiting on a clock that a signal can end. */
import type { Clock } from '../shared/clock.ts';
import { orAborted } from './or-aborted.ts';

/** Resolves after `ms`; rejects with the signal's reason as soon as that is aborted. */
export function pause(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  let stop = () => {};
  const passed = new Promise<void>((resolve) => {
    stop = clock.after(ms, resolve);
  });
  return orAborted(passed, signal).finally(stop);
}
