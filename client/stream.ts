/** Frames of a camera or a microphone come faster than answers: the newest is taken, and those before it are let go. */
import type { Clock } from '../shared/clock.ts';
import { TandemError } from '../shared/errors.ts';
import { abortWith } from './abort-with.ts';
import { checkSignal } from './input.ts';
import { orAborted } from './or-aborted.ts';
import { pause } from './pause.ts';
import type { InferResult, ModelTypes } from './types.ts';

export interface StreamResult<T extends ModelTypes = ModelTypes> extends InferResult<T> {
  /** Frames that were let go since the answer before. */
  readonly dropped: number;
}

/** So many frames in a row are let go before all else on the page has its turn: a source need not wait for anything. */
const DROPPED_AT_ONCE = 32;

/** What a frame may be: VideoFrame and ImageBitmap hold memory that is given back by closing them. */
interface Closable {
  close?(): void;
}

/**
 * Answers in the order of their frames, one at a time. Frames are closed, where they can be, when they were used or let go.
 * Ends with the frames; an error of a frame, or of the source, ends it too, and so does leaving the loop.
 * @param frames an iterable, or what a MediaStreamTrackProcessor gives
 * @param ends each of them ends it with its reason, also while no frame comes
 */
export function newestOnly<F>(
  frames: AsyncIterable<F> | ReadableStream<F>,
  infer: (frame: F, signal: AbortSignal) => Promise<InferResult>,
  ends: readonly (AbortSignal | undefined)[],
  clock: Clock,
): AsyncGenerator<StreamResult, void, undefined> {
  const over = new AbortController();
  const left = new TandemError('CANCELLED', 'the stream was left');
  const answers = answersTo(frames, infer, ends, clock, over, left);
  const { return: end } = answers;
  // A generator that waits would hear of it with its next frame.
  answers.return = (value) => {
    over.abort(left);
    return end.call(answers, value);
  };
  return answers;
}

async function* answersTo<F>(
  frames: AsyncIterable<F> | ReadableStream<F>,
  infer: (frame: F, signal: AbortSignal) => Promise<InferResult>,
  ends: readonly (AbortSignal | undefined)[],
  clock: Clock,
  over: AbortController,
  left: TandemError,
): AsyncGenerator<StreamResult, void, undefined> {
  const source = iteratorOf(frames);
  let waiting: { readonly frame: F } | undefined;
  let dropped = 0;
  let isEnded = false;
  let failure: unknown;
  let wake = () => {};
  const pump = async () => {
    for (let next = await source.next(); !next.done; next = await source.next()) {
      if (over.signal.aborted) return close(next.value);
      if (waiting) {
        dropped++;
        close(waiting.frame);
      }
      waiting = { frame: next.value };
      wake();
      if (dropped % DROPPED_AT_ONCE === DROPPED_AT_ONCE - 1) await pause(clock, 1, over.signal);
    }
  };
  void pump()
    .catch((error: unknown) => {
      failure = error;
    })
    .finally(() => {
      isEnded = true;
      wake();
    });
  const letGo: (() => void)[] = [];
  try {
    for (const signal of ends) {
      checkSignal(signal);
      letGo.push(abortWith(over, signal));
    }
    for (;;) {
      while (!waiting) {
        over.signal.throwIfAborted();
        if (isEnded) {
          if (failure !== undefined) throw failure;
          return;
        }
        const news = new Promise<void>((resolve) => {
          wake = resolve;
        });
        await orAborted(news, over.signal);
      }
      const { frame } = waiting;
      waiting = undefined;
      const skipped = dropped;
      dropped = 0;
      const result = await infer(frame, over.signal).finally(() => close(frame));
      yield { ...result, dropped: skipped };
    }
  } catch (error) {
    if (over.signal.reason !== left) throw error;
  } finally {
    over.abort(left);
    for (const stop of letGo) stop();
    if (waiting) close(waiting.frame);
    void source.return?.().catch(() => {});
  }
}

function iteratorOf<F>(frames: AsyncIterable<F> | ReadableStream<F>): AsyncIterator<F> {
  if (!('getReader' in frames)) {
    if (Symbol.asyncIterator in frames) return frames[Symbol.asyncIterator]();
    throw new TandemError('BAD_INPUT', 'expected an async iterable of frames');
  }
  // Safari's streams cannot be iterated.
  const reader = frames.getReader();
  return {
    next: () => reader.read() as Promise<IteratorResult<F>>,
    async return() {
      await reader.cancel();
      return { done: true, value: undefined };
    },
  };
}

function close(frame: unknown): void {
  const { close: end } = (frame ?? {}) as Closable;
  if (typeof end === 'function') end.call(frame);
}
