/** One way to end a request early, out of three: the caller's signal, the deadline, the client being closed. */
import type { Clock } from '../shared/clock.ts';
import { TandemError } from '../shared/errors.ts';

/** As those see it who wait. */
export interface Interrupt {
  /** Aborted, with what the request rejects with, once it is to end. */
  readonly signal: AbortSignal;
  /** On the host's clock. */
  readonly deadlineAtMs: number;
}

export interface InterruptHandle extends Interrupt {
  /** Lets go of timer and listeners: the request is settled. */
  dispose(): void;
}

/** @param signals none of them is aborted yet */
export function createInterrupt(
  clock: Clock,
  deadlineMs: number,
  signals: readonly (AbortSignal | undefined)[],
): InterruptHandle {
  const over = new AbortController();
  const stop = clock.after(deadlineMs, () =>
    over.abort(new TandemError('DEADLINE_EXCEEDED', `there was no answer within ${deadlineMs} ms`)),
  );
  const onAbort = ({ target }: Event) => over.abort((target as AbortSignal).reason);
  for (const signal of signals) signal?.addEventListener('abort', onAbort);
  return {
    signal: over.signal,
    deadlineAtMs: clock.now() + deadlineMs,
    dispose() {
      stop();
      for (const signal of signals) signal?.removeEventListener('abort', onAbort);
    },
  };
}
