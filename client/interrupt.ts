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
  /** Ends the request now. */
  end(reason: unknown): void;
  /** Lets go of timer and listener: the request is settled. */
  dispose(): void;
}

export function createInterrupt(clock: Clock, deadlineMs: number, signal: AbortSignal | undefined): InterruptHandle {
  const over = new AbortController();
  const end = (reason: unknown) => over.abort(reason);
  const stop = clock.after(deadlineMs, () =>
    end(new TandemError('DEADLINE_EXCEEDED', `there was no answer within ${deadlineMs} ms`)),
  );
  const onAbort = () => end(signal?.reason);
  signal?.addEventListener('abort', onAbort, { once: true });
  return {
    signal: over.signal,
    deadlineAtMs: clock.now() + deadlineMs,
    end,
    dispose() {
      stop();
      signal?.removeEventListener('abort', onAbort);
    },
  };
}
