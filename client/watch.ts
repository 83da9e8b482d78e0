/** Waiting for a sign of life, on a page that may be frozen meanwhile. */
import type { Clock } from '../shared/clock.ts';

/** Time in which a page that has just been woken hears what was said while it was frozen. */
const GRACE_MS = 1000;

/** Calls back once `ms` have passed, and time to hear of what came first. Gives what stops it. */
export function watch(clock: Pick<Clock, 'after'>, ms: number, onSilence: () => void): () => void {
  let stop = clock.after(ms, () => {
    stop = clock.after(GRACE_MS, onSilence);
  });
  return () => stop();
}
