/** Time as an argument: the real one is made in entry files, tests move their own. */

export interface Clock {
  /** Milliseconds from an arbitrary start, never going back. */
  now(): number;
  /** Calls `action` once, `ms` from now. Returns what takes it back. */
  after(ms: number, action: () => void): () => void;
}

/** The parts of a host that a clock is made of; browsers, workers and Node all have them. */
export interface TimerHost {
  readonly performance: { now(): number };
  setTimeout(action: () => void, ms: number): unknown;
  clearTimeout(handle: never): void;
}

export function systemClock(host: TimerHost): Clock {
  return {
    now: () => host.performance.now(),
    after(ms, action) {
      const handle = host.setTimeout(action, ms);
      return () => host.clearTimeout(handle as never);
    },
  };
}
