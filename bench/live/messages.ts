/** What the bench and its clients say to each other. */
import type { Route } from '../../client/types.ts';

/** How a client process begins, as the JSON of its one argument. */
export interface ClientTask {
  readonly url: string;
  /** Times as slow as this machine. */
  readonly slowness: number;
  /** Of labelled lines, drawn from the seed. */
  readonly lines: number;
  readonly seed: number;
}

/** One request: a line, and the boundary that is forced, if one is. */
export interface Ask {
  readonly line: number;
  readonly k: number | null;
}

export interface Answer extends Pick<Route, 'k' | 'tier' | 'size' | 'timing' | 'bytesUp' | 'bytesDown' | 'fallback'> {
  readonly type: 'answer';
  /** From the arrival of the request, with the wait for the one before it. */
  readonly ms: number;
}

/** Connect, as a client that knows nothing yet. */
export const OPEN = 'open';

/** `ready`: it can be told to connect. */
export type ClientMessage =
  | { readonly type: 'ready' | 'opened' }
  | Answer
  | { readonly type: 'failed'; readonly message: string };
