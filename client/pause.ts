/** Waiting on a clock that a signal can end. */
import type { Clock } from '../shared/clock.ts';
import type { Host } from './host.ts';
import { orAborted } from './or-aborted.ts';

/**
 * Resolves after `ms`; rejects with the signal's reason as soon as that is aborted.
 * @param onWake ends it early: what it was waited for may be there again
 */
export function pause(clock: Clock, ms: number, signal: AbortSignal, onWake?: Host['onWake']): Promise<void> {
  let stops: (undefined | (() => void))[] = [];
  const passed = new Promise<void>((resolve) => {
    stops = [clock.after(ms, resolve), onWake?.(resolve as () => void)];
  });
  return orAborted(passed, signal).finally(() => {
    for (const stop of stops) stop?.();
  });
}
