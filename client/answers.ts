/** Answers by idempotency key: the same question asked again, by a retry or a double tap, is the same request. */
import { orAborted } from './or-aborted.ts';

const KEPT_MAX = 256;

export interface Answers<T> {
  has(key: string): boolean;
  /**
   * What is under way or was answered under this key; asked anew where that failed. Whoever's signal is aborted leaves by
   * itself, and the last one ends the request.
   */
  once(key: string, ask: (signal: AbortSignal) => Promise<T>, signal?: AbortSignal): Promise<T>;
}

interface Shared<T> {
  readonly answer: Promise<T>;
  /** Ends it. */
  readonly ended: AbortController;
  /** Callers that have not left. */
  waiting: number;
}

export function answersByKey<T>(): Answers<T> {
  const known = new Map<string, Shared<T>>();
  /** Of what was answered, the oldest first: what is under way is not forgotten. */
  const kept: string[] = [];
  const forget = (key: string, shared: Shared<T>) => {
    if (known.get(key) === shared) known.delete(key);
  };
  const begin = (key: string, ask: (signal: AbortSignal) => Promise<T>): Shared<T> => {
    const ended = new AbortController();
    const shared = { answer: ask(ended.signal), ended, waiting: 0 };
    known.set(key, shared);
    const keep = () => {
      kept.push(key);
      if (kept.length > KEPT_MAX) known.delete(kept.shift() as string);
    };
    shared.answer.then(keep, () => forget(key, shared));
    return shared;
  };
  return {
    has: (key) => known.has(key),
    async once(key, ask, signal) {
      const shared = known.get(key) ?? begin(key, ask);
      shared.waiting++;
      try {
        return await (signal ? orAborted(shared.answer, signal) : shared.answer);
      } catch (error) {
        if (signal?.aborted && --shared.waiting === 0) {
          forget(key, shared);
          shared.ended.abort(signal.reason);
        }
        throw error;
      }
    },
  };
}
