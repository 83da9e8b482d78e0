/** One way to end a request early, out of three: the caller's signal, the deadline, the client being closed. */
import type { Clock } from '../shared/clock.ts';
import { TandemError } from '../shared/errors.ts';
import { abortWith } from './abort-with.ts';

/** As those see it who wait. */
export interface Interrupt {
  /** Aborted, with what the request rejects with, once it is to end. */
  readonly signal: AbortSignal;
  /** On the host's clock. */
  readonly deadlineAtMs: number;
}

export interface InterruptHandle extends Interrupt {
  end(reason: TandemError): void;
  /** Lets go of timer and listeners: the request is settled. */
  dispose(): void;
}

/** @param signal not aborted yet */
export function createInterrupt(clock: Clock, deadlineMs: number, signal: AbortSignal | undefined): InterruptHandle {
  const over = new AbortController();
  const stop = clock.after(deadlineMs, () =>
    over.abort(new TandemError('DEADLINE_EXCEEDED', `there was no answer within ${deadlineMs} ms`)),
  );
  const letGo = abortWith(over, signal);
  return {
    signal: over.signal,
    deadlineAtMs: clock.now() + deadlineMs,
    end: (reason) => over.abort(reason),
    dispose() {
      stop();
      letGo();
    },
  };
}
