/** A clock that tests move by hand. */
import type { Clock } from '../../shared/clock.ts';

export class FakeClock implements Clock {
  private time = 0;
  private timers: { atMs: number; action: () => void }[] = [];

  now(): number {
    return this.time;
  }

  after(ms: number, action: () => void): () => void {
    const timer = { atMs: this.time + ms, action };
    this.timers.push(timer);
    return () => {
      this.timers = this.timers.filter((other) => other !== timer);
    };
  }

  /** Moves on by `ms`, calling what falls due in order, and lets promises settle before and after each. */
  async advance(ms: number): Promise<void> {
    const end = this.time + ms;
    for (;;) {
      await settle();
      const [next] = this.timers.filter(({ atMs }) => atMs <= end).sort((a, b) => a.atMs - b.atMs);
      if (!next) break;
      this.time = Math.max(this.time, next.atMs);
      this.timers = this.timers.filter((other) => other !== next);
      next.action();
    }
    this.time = end;
    await settle();
  }
}

/** Lets everything that only waits for promises happen. */
export function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
