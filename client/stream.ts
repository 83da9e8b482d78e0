/** Frames of a camera or a microphone come faster than answers: the newest is taken, and those before it are let go. */
import { orAborted } from './or-aborted.ts';
import type { InferResult, ModelTypes } from './types.ts';

export interface StreamResult<T extends ModelTypes = ModelTypes> extends InferResult<T> {
  /** Frames that were let go since the answer before. */
  readonly dropped: number;
}

/** What a frame may be: VideoFrame and ImageBitmap hold memory that is given back by closing them. */
interface Closable {
  close?(): void;
}

/**
 * Answers in the order of their frames, one at a time. Frames are closed, where they can be, when they were used or let go.
 * Ends with the frames; an error of a frame, or of the source, ends it too, and so does leaving the loop.
 * @param frames an iterable, or what a MediaStreamTrackProcessor gives
 * @param infer ends by itself what is under way
 * @param ends each of them ends it with its reason, while no frame comes
 */
export async function* newestOnly<F>(
  frames: AsyncIterable<F> | ReadableStream<F>,
  infer: (frame: F) => Promise<InferResult>,
  ends: readonly AbortSignal[],
): AsyncGenerator<StreamResult, void, undefined> {
  const source = iteratorOf(frames);
  let waiting: { readonly frame: F } | undefined;
  let dropped = 0;
  let isEnded = false;
  let isLeft = false;
  let failure: unknown;
  let wake = () => {};
  const pump = async () => {
    for (let next = await source.next(); !next.done; next = await source.next()) {
      if (isLeft) return close(next.value);
      if (waiting) {
        dropped++;
        close(waiting.frame);
      }
      waiting = { frame: next.value };
      wake();
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
  try {
    for (;;) {
      while (!waiting) {
        if (isEnded) {
          if (failure !== undefined) throw failure;
          return;
        }
        const woken = new Promise<void>((resolve) => {
          wake = resolve;
        });
        await ends.reduce((work, signal) => orAborted(work, signal), woken);
      }
      const { frame } = waiting;
      waiting = undefined;
      const skipped = dropped;
      dropped = 0;
      const result = await infer(frame).finally(() => close(frame));
      yield { ...result, dropped: skipped };
    }
  } finally {
    isLeft = true;
    if (waiting) close(waiting.frame);
    void source.return?.().catch(() => {});
  }
}

function iteratorOf<F>(frames: AsyncIterable<F> | ReadableStream<F>): AsyncIterator<F> {
  if (!('getReader' in frames)) return frames[Symbol.asyncIterator]();
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
