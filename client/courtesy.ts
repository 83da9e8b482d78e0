/** Who goes first on a shared network: requests that wait for the gateway, then downloads. */
import type { Clock } from '../shared/clock.ts';

/** Downloads yield for this long at a time: they slow down, and never stop. */
const YIELD_MS_MAX = 250;

export class Courtesy {
  private requests = 0;
  private readonly wake = new Set<() => void>();
  private readonly clock: Clock;

  constructor(clock: Clock) {
    this.clock = clock;
  }

  /** While `work` is under way, downloads yield. */
  async busy<T>(work: Promise<T>): Promise<T> {
    this.requests++;
    try {
      return await work;
    } finally {
      this.requests--;
      if (this.requests === 0) for (const wake of this.wake) wake();
    }
  }

  /** Resolves when no request is under way, or after the longest time that a download yields for. */
  whenIdle(): Promise<void> {
    if (this.requests === 0) return Promise.resolve();
    return new Promise((resolve) => {
      const go = () => {
        stop();
        this.wake.delete(go);
        resolve();
      };
      const stop = this.clock.after(YIELD_MS_MAX, go);
      this.wake.add(go);
    });
  }
}
