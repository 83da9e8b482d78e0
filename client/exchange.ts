/**
 * Sending a boundary and waiting for the reply, with the device as the safety net: when the reply is late the device
 * goes on from the same boundary, and whoever is first gives the answer. Never two answers, and an answer whenever
 * either can give one.
 */
import type { Clock } from '../shared/clock.ts';
import type { Pending, Reply } from './connection.ts';
import { orAborted } from './or-aborted.ts';

export type Answer<T> =
  | { readonly by: 'gateway'; readonly reply: Reply }
  | { readonly by: 'device'; readonly value: T };

export interface Exchange<T> {
  readonly clock: Clock;
  /** What was sent. */
  readonly pending: Pending;
  /** How long to wait before the device goes on by itself, in milliseconds. */
  readonly lateAfterMs: number;
  /**
   * Goes on, on the device; stops early, without settling, once the signal is aborted. Null where it cannot now; throws
   * where it never will.
   */
  finish(signal: AbortSignal): Promise<T> | null;
  /** Resolves when `finish` may give another answer than before, or when the signal is aborted. */
  changed(signal: AbortSignal): Promise<void>;
  /** Ends the waiting from outside: a deadline, the caller's signal. */
  readonly signal: AbortSignal;
}

/**
 * Rejects with the reply's TandemError where it fails and the device is not at it, or fails as well; with what `finish`
 * throws, and with the signal's reason.
 */
export async function exchange<T>({
  clock,
  pending,
  lateAfterMs,
  finish,
  changed,
  signal,
}: Exchange<T>): Promise<Answer<T>> {
  const over = new AbortController();
  /** What the device is at, or was. */
  let finishing: Promise<Answer<T>> | null = null;
  const onDevice = new Promise<Answer<T>>((resolve, reject) => {
    const goOn = () => {
      if (over.signal.aborted) return;
      try {
        const work = finish(over.signal);
        if (!work) return again();
        finishing = work.then((value) => ({ by: 'device', value }));
        // Where the device fails as well, the reply may still come, or another device.
        finishing.then(resolve, again);
      } catch (error) {
        reject(error);
      }
    };
    const again = () => void changed(over.signal).then(goOn);
    const stop = clock.after(lateAfterMs, goOn);
    over.signal.addEventListener('abort', stop);
  });
  const fromGateway = pending.reply.then(
    (reply): Answer<T> => ({ by: 'gateway', reply }),
    (error: unknown) => {
      if (!finishing) throw error;
      return finishing.catch(() => {
        throw error;
      });
    },
  );
  fromGateway.catch(() => {});
  try {
    return await orAborted(Promise.race([fromGateway, onDevice]), signal);
  } finally {
    over.abort();
    pending.cancel();
  }
}
