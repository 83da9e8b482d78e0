/** A clock that tests move by hand: nothing waits, and time goes on when the test says so and not before. */
import { setImmediate } from 'node:timers';
import type { Clock } from '../../shared/clock.ts';

/** What `run` lets pass at most, in milliseconds. */
const RUN_MS_MAX = 60_000;

interface Timer {
  readonly atMs: number;
  action(): void;
}

export class FakeClock implements Clock {
  private time = 0;
  private timers: Timer[] = [];

  /** Milliseconds since the clock was made, of its own time. */
  now(): number {
    return this.time;
  }

  /** As `Clock.after`. */
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
    do {
      await settle();
    } while (this.fire(end));
    this.time = end;
    await settle();
  }

  /**
   * Moves on until `work` settles, no further, and gives what it gives. Rejects where it has not settled after `msMax`: it
   * waits for something that the test has to do.
   */
  async run<T>(work: Promise<T>, msMax: number = RUN_MS_MAX): Promise<T> {
    const end = this.time + msMax;
    let isSettled = false;
    const onSettled = () => {
      isSettled = true;
    };
    work.then(onSettled, onSettled);
    for (;;) {
      await settle();
      if (isSettled) return work;
      if (this.fire(end)) continue;
      this.time = end;
      throw new Error(`what the test waits for did not settle within ${msMax} ms of the fake clock`);
    }
  }

  /** Calls what falls due first, if that is by `endMs`. */
  private fire(endMs: number): boolean {
    const [next] = this.timers.filter(({ atMs }) => atMs <= endMs).sort((a, b) => a.atMs - b.atMs);
    if (!next) return false;
    this.time = Math.max(this.time, next.atMs);
    this.timers = this.timers.filter((other) => other !== next);
    next.action();
    return true;
  }
}

/** Lets everything that only waits for promises happen. */
export function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
