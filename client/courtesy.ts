/** Who goes first on a shared network: requests that wait for the gateway, then downloads. */
import type { Clock } from '../shared/clock.ts';

/** Downloads yield for this long at a time: they slow down, and never stop. */
const YIELD_MS_MAX = 250;

export interface Courtesy {
  /** While `work` is under way, downloads yield. */
  busy<T>(work: Promise<T>): Promise<T>;
  /** Resolves when no request is under way, or after the longest time that a download yields for. */
  whenIdle(): Promise<void>;
}

export function courtesyOn(clock: Clock): Courtesy {
  let requests = 0;
  let idle = Promise.resolve();
  let wake = () => {};
  return {
    async busy(work) {
      if (requests++ === 0) {
        idle = new Promise((resolve) => {
          wake = resolve;
        });
      }
      try {
        return await work;
      } finally {
        if (--requests === 0) wake();
      }
    },
    async whenIdle() {
      if (requests === 0) return;
      let stop = () => {};
      const late = new Promise<void>((resolve) => {
        stop = clock.after(YIELD_MS_MAX, resolve);
      });
      await Promise.race([idle, late]);
      stop();
    },
  };
}
