/** Answers by idempotency key: the same question asked again, by a retry or a double tap, is the same request. */
import { orAborted } from './or-aborted.ts';

const KEPT_MAX = 256;

interface Shared<T> {
  readonly answer: Promise<T>;
  /** Ends it. */
  readonly ended: AbortController;
  /** Callers that have not left. */
  waiting: number;
}

export class Answers<T> {
  private readonly known = new Map<string, Shared<T>>();
  /** Keys of what was answered, the oldest first: what is under way is not forgotten. */
  private readonly kept: string[] = [];

  has(key: string): boolean {
    return this.known.has(key);
  }

  /**
   * What is under way or was answered under this key; asked anew where that failed. Whoever's signal is aborted leaves by
   * itself, and the last one ends the request.
   */
  async once(key: string, ask: (signal: AbortSignal) => Promise<T>, signal?: AbortSignal): Promise<T> {
    const shared = this.known.get(key) ?? this.begin(key, ask);
    shared.waiting++;
    try {
      return await (signal ? orAborted(shared.answer, signal) : shared.answer);
    } catch (error) {
      if (signal?.aborted && --shared.waiting === 0) {
        this.forget(key, shared);
        shared.ended.abort(signal.reason);
      }
      throw error;
    }
  }

  private begin(key: string, ask: (signal: AbortSignal) => Promise<T>): Shared<T> {
    const ended = new AbortController();
    const shared = { answer: ask(ended.signal), ended, waiting: 0 };
    this.known.set(key, shared);
    const keep = () => {
      this.kept.push(key);
      if (this.kept.length > KEPT_MAX) this.known.delete(this.kept.shift() as string);
    };
    shared.answer.then(keep, () => this.forget(key, shared));
    return shared;
  }

  private forget(key: string, shared: Shared<T>): void {
    if (this.known.get(key) === shared) this.known.delete(key);
  }
}
