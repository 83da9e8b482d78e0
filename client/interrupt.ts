/** One way to end a request early, out of three: the caller's signal, the deadline, the client being closed. */
import type { Clock } from '../shared/clock.ts';
import { TandemError } from '../shared/errors.ts';

/** As those see it who wait. */
export interface Interrupt {
  /** Settles as `work` does, or rejects when the request is to end. */
  race<T>(work: Promise<T>): Promise<T>;
  /** Aborted, with what `race` rejects with, once the request is to end. */
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
  const ended = new Promise<never>((_, reject) => {
    over.signal.addEventListener('abort', () => reject(over.signal.reason), { once: true });
  });
  ended.catch(() => {});
  const end = (reason: unknown) => over.abort(reason);
  const stop = clock.after(deadlineMs, () =>
    end(new TandemError('DEADLINE_EXCEEDED', `there was no answer within ${deadlineMs} ms`)),
  );
  const onAbort = () => end(signal?.reason);
  signal?.addEventListener('abort', onAbort, { once: true });
  return {
    signal: over.signal,
    deadlineAtMs: clock.now() + deadlineMs,
    race: (work) => Promise.race([work, ended]),
    end,
    dispose() {
      stop();
      signal?.removeEventListener('abort', onAbort);
    },
  };
}
