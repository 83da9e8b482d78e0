/** A file over HTTP, with a limit on its size and on silence, and polite to requests that share the network. */
import { asTandemError, type ErrorCode, TandemError } from '../shared/errors.ts';
import { abortWith } from './abort-with.ts';
import type { Host } from './host.ts';

export interface FetchOptions {
  readonly signal?: AbortSignal | undefined;
  /** Bytes of the decoded body that are read at most: there is room for so many from the start. */
  readonly bytesMax: number;
  readonly onBytes?: (bytes: number) => void;
  /** What came of it before the network broke; it is added to, and the rest alone is asked for. Empty when it is whole. */
  readonly received?: Received | undefined;
  /** Asks for the file part by part, unencoded. Without it the file comes in one and yields to nobody: browsers read ahead of us. */
  readonly parts?: Parts | undefined;
}

export interface Received {
  /** Room for all of it. */
  bytes?: Uint8Array | undefined;
  /** How many of them have come. */
  length: number;
}

/** How files are asked for in parts, and what is learnt of the link meanwhile. */
export interface Parts {
  bytes: number;
  /** From asking for a part to its first byte, at the least. */
  rttMs: number;
  /** Waited for before each. */
  whenIdle(): Promise<void>;
}

/** A response, or the next piece of its body, that takes longer will not come. */
const STALL_MS = 30_000;
/** Of a body that comes in one piece, where the platform has no streams: slower ones are given up. */
const SLOWEST_BYTES_PER_MS = 16;
/**
 * What a part takes to come at most, with what is left of the one before it, beyond a round trip: when a request's answer leaves
 * the gateway, what was asked for before it is through. Longer where round trips are long, or the link would be idle.
 */
const PART_MS = 150;
const PART_BYTES_MIN = 16 * 1024;

/** Rejects with UNAVAILABLE, NOT_FOUND, BAD_DOWNLOAD, or the signal's reason. */
export async function fetchBytes(
  host: Host,
  url: string,
  { signal, received = { length: 0 }, bytesMax, onBytes, parts }: FetchOptions,
): Promise<Uint8Array> {
  const { clock } = host;
  signal?.throwIfAborted();
  const giveUp = new AbortController();
  const letGo = abortWith(giveUp, signal);
  let stop = () => {};
  /** Anew with each sign of life. */
  const watch = (ms = STALL_MS) => {
    stop();
    stop = clock.after(ms, () => giveUp.abort(new TandemError('UNAVAILABLE', `${url} did not come in time`)));
  };
  received.bytes ??= new Uint8Array(bytesMax);
  const room = received.bytes;
  /** Of what was asked for. */
  let end = received.length;
  const ask = async () => {
    const from = end;
    end = parts ? Math.min(bytesMax, from + parts.bytes) : bytesMax;
    const range = `bytes=${from}-${parts ? end - 1 : ''}`;
    // Of two requests for an address a browser's cache lets one wait for the other.
    const init: RequestInit = from > 0 || parts ? { headers: { Range: range }, cache: 'no-store' } : {};
    await parts?.whenIdle();
    giveUp.signal.throwIfAborted();
    const askedAtMs = clock.now();
    watch();
    const response = await host.fetch(url, { signal: giveUp.signal, ...init });
    if (parts) parts.rttMs = Math.min(parts.rttMs, clock.now() - askedAtMs);
    if (!response.ok) throw new TandemError(codeOf(response.status), `${url} answered with status ${response.status}`);
    return [response, askedAtMs] as const;
  };
  const add = (piece: Uint8Array) => {
    if (received.length + piece.length > bytesMax) {
      throw new TandemError('BAD_DOWNLOAD', `${url} is larger than the ${bytesMax} bytes expected`);
    }
    room.set(piece, received.length);
    received.length += piece.length;
    onBytes?.(received.length);
  };
  const read = async (response: Response) => {
    const reader = response.body?.getReader();
    if (!reader) {
      watch(STALL_MS + bytesMax / SLOWEST_BYTES_PER_MS);
      return add(new Uint8Array(await response.arrayBuffer()));
    }
    for (;;) {
      // A watch that is started after the end keeps a process alive.
      giveUp.signal.throwIfAborted();
      watch();
      const { done, value } = await reader.read();
      if (done) return;
      add(value);
    }
  };
  try {
    for (let coming = ask(); ; ) {
      const [response, askedAtMs] = await coming;
      // A server that knows no ranges begins anew; so does one that has another file by now.
      if (response.status !== 206) {
        received.length = 0;
        end = bytesMax;
      }
      const isLast = end === bytesMax;
      if (!isLast) {
        // While this one comes, or the link would be idle between the two.
        coming = ask();
        // It may fail before it is waited for.
        coming.catch(() => {});
      }
      await read(response);
      if (isLast || !parts) {
        const bytes = room.subarray(0, received.length);
        received.length = 0;
        received.bytes = undefined;
        return bytes;
      }
      const tookMs = clock.now() - askedAtMs - parts.rttMs;
      const mostMs = Math.max(PART_MS, 2 * parts.rttMs);
      if (tookMs > mostMs && parts.bytes > PART_BYTES_MIN) parts.bytes /= 2;
      if (tookMs < mostMs / 3) parts.bytes *= 2;
    }
  } catch (error) {
    giveUp.signal.throwIfAborted();
    // The rest of this one, and a part that was asked for besides. What came whole is not aborted: others may read it as well.
    giveUp.abort();
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
