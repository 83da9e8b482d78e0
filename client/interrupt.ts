/** One way to end a request early, out of three: the caller's signal, the deadline, the client being closed. */
import type { Clock } from '../shared/clock.ts';
import { TandemError } from '../shared/errors.ts';
import type { Interrupt } from './request.ts';

export interface InterruptHandle extends Interrupt {
  /** Ends the request now. */
  end(reason: unknown): void;
  /** Lets go of timer and listener: the request is settled. */
  dispose(): void;
}

export function createInterrupt(clock: Clock, deadlineMs: number, signal: AbortSignal | undefined): InterruptHandle {
  let isOver = false;
  let reject: (reason: unknown) => void = () => {};
  const ended = new Promise<never>((_, no) => {
    reject = no;
  });
  ended.catch(() => {});
  const end = (reason: unknown) => {
    isOver = true;
    reject(reason);
  };
  const stop = clock.after(deadlineMs, () =>
    end(new TandemError('DEADLINE_EXCEEDED', `there was no answer within ${deadlineMs} ms`)),
  );
  const onAbort = () => end(signal?.reason);
  signal?.addEventListener('abort', onAbort, { once: true });
  return {
    get isOver() {
      return isOver;
    },
    deadlineAtMs: clock.now() + deadlineMs,
    race: (work) => Promise.race([work, ended]),
    end,
    dispose() {
      stop();
      signal?.removeEventListener('abort', onAbort);
    },
  };
}
