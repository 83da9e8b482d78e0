/** A file over HTTP, with a limit on its size and on silence, and polite to requests that share the network. */
import { asTandemError, type ErrorCode, TandemError } from '../shared/errors.ts';
import { byteLength, joined } from '../shared/joined.ts';
import { abortWith } from './abort-with.ts';
import type { Host } from './host.ts';

export interface FetchOptions {
  readonly signal?: AbortSignal | undefined;
  /** Bytes of the decoded body that are read at most. */
  readonly bytesMax: number;
  /** Waited for before each piece is read: while it does not resolve the network slows the sender. */
  readonly whenIdle?: () => Promise<void>;
  readonly onBytes?: (bytes: number) => void;
  /** What came of it before the network broke; it is added to, and the rest alone is asked for. Empty when it is whole. */
  readonly pieces?: Uint8Array[] | undefined;
}

/** A response, or the next piece of its body, that takes longer will not come. */
const STALL_MS = 30_000;
/** Of a body that comes in one piece, where the platform has no streams: slower ones are given up. */
const SLOWEST_BYTES_PER_MS = 16;

/** Rejects with UNAVAILABLE, NOT_FOUND, BAD_DOWNLOAD, or the signal's reason. */
export async function fetchBytes(host: Host, url: string, options: FetchOptions): Promise<Uint8Array> {
  const { signal, pieces = [] } = options;
  signal?.throwIfAborted();
  const giveUp = new AbortController();
  const letGo = abortWith(giveUp, signal);
  let stop = () => {};
  /** Anew with each sign of life. */
  const watch = (ms = STALL_MS) => {
    stop();
    stop = host.clock.after(ms, () => giveUp.abort(new TandemError('UNAVAILABLE', `${url} did not come in time`)));
  };
  try {
    watch();
    const from = byteLength(pieces);
    const headers: Record<string, string> = from > 0 ? { Range: `bytes=${from}-` } : {};
    const response = await host.fetch(url, { signal: giveUp.signal, headers });
    if (!response.ok) {
      await response.body?.cancel();
      throw new TandemError(codeOf(response.status), `${url} answered with status ${response.status}`);
    }
    // A server that knows no ranges begins anew; so does one that has another file by now.
    if (response.status !== 206) pieces.length = 0;
    return await readBody(response, url, { ...options, pieces, signal: giveUp.signal }, watch);
  } catch (error) {
    giveUp.signal.throwIfAborted();
    throw asTandemError(error, 'UNAVAILABLE', `cannot reach ${url}, or its origins lack this page`);
  } finally {
    stop();
    letGo();
  }
}

function codeOf(status: number): ErrorCode {
  if (status === 404) return 'NOT_FOUND';
  return status >= 500 || status === 429 ? 'UNAVAILABLE' : 'BAD_DOWNLOAD';
}

async function readBody(
  response: Response,
  url: string,
  { whenIdle, onBytes, bytesMax, pieces, signal }: FetchOptions & { readonly pieces: Uint8Array[] },
  watch: (ms?: number) => void,
): Promise<Uint8Array> {
  const reader = response.body?.getReader();
  const tooLarge = () => new TandemError('BAD_DOWNLOAD', `${url} is larger than the ${bytesMax} bytes expected`);
  if (!reader) {
    watch(STALL_MS + bytesMax / SLOWEST_BYTES_PER_MS);
    const bytes = new Uint8Array(await response.arrayBuffer());
    if (bytes.length > bytesMax) throw tooLarge();
    onBytes?.(bytes.length);
    return bytes;
  }
  let length = byteLength(pieces);
  for (;;) {
    await whenIdle?.();
    // A watch that is started after the end keeps a process alive.
    signal?.throwIfAborted();
    watch();
    const { done, value } = await reader.read();
    if (done) {
      const bytes = joined(pieces);
      // A file that is held twice is more than some phones have room for.
      pieces.length = 0;
      return bytes;
    }
    pieces.push(value);
    length += value.byteLength;
    if (length > bytesMax) {
      await reader.cancel();
      throw tooLarge();
    }
    onBytes?.(length);
  }
}
