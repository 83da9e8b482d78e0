/** One tab at a time, by the browser's locks: of two that need a file one fetches it, and the other finds it kept. */
import type { Clock } from '../shared/clock.ts';

/** A tab in the background may hold a lock for ever, frozen. */
const PATIENCE_MS = 15_000;
const PREFIX = 'tandem:';

export async function aloneByLock<T>(clock: Clock, name: string, work: () => Promise<T>): Promise<T> {
  // No locks on pages over plain http.
  if (!navigator.locks) return work();
  const patience = new AbortController();
  const stop = clock.after(PATIENCE_MS, () => patience.abort());
  let begun = false;
  try {
    return await navigator.locks.request(PREFIX + name, { signal: patience.signal }, () => {
      begun = true;
      stop();
      return work();
    });
  } catch (error) {
    // Sandboxed frames get none.
    if (!begun) return work();
    throw error;
  } finally {
    stop();
  }
}

/** Names that some tab holds. */
export async function lockedNames(): Promise<readonly string[]> {
  const { held = [] } = (await navigator.locks?.query().catch(() => null)) ?? {};
  return held.flatMap(({ name }) => (name?.startsWith(PREFIX) ? [name.slice(PREFIX.length)] : []));
}
