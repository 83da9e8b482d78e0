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
  /** From asking for a part to its first byte, at the least: what is asked for behind another one waits for that as well. */
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
  received.bytes ??= new Uint8Array(bytesMax);
  const room = received.bytes;
  const giveUp = new AbortController();
  const letGo = abortWith(giveUp, signal);
  let stop = () => {};
  /** Anew with each sign of life. */
  const watch = (ms = STALL_MS) => {
    stop();
    stop = clock.after(ms, () => giveUp.abort(new TandemError('UNAVAILABLE', `${url} did not come in time`)));
  };
  /** Of what was asked for. */
  let end = received.length;
  /** When the part before was there; infinite while it comes. */
  let endMs = Number.NEGATIVE_INFINITY;
  const ask = async () => {
    const from = end;
    end = parts ? Math.min(bytesMax, from + parts.bytes) : bytesMax;
    const range = `bytes=${from}-${parts ? end - 1 : ''}`;
    const init = from > 0 || parts ? { headers: { Range: range }, ...host.partInit } : {};
    const to = end;
    await parts?.whenIdle();
    giveUp.signal.throwIfAborted();
    const askedAtMs = clock.now();
    watch();
    const response = await host.fetch(url, { signal: giveUp.signal, ...init });
    if (!response.ok) throw new TandemError(codeOf(response.status), `${url} answered with status ${response.status}`);
    const nowMs = clock.now();
    const rttMs = nowMs - askedAtMs;
    // The link stood idle meanwhile, so that it has grown. Not at once by so much: what a page was at may be in it as well.
    const hasGrown = nowMs - endMs > rttMs / 3;
    if (parts) parts.rttMs = Math.min(rttMs, hasGrown ? 2 * parts.rttMs + 1 : parts.rttMs);
    return { response, to, askedAtMs };
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
    // It may have broken off behind its last byte.
    for (let coming = received.length < bytesMax && ask(); coming; ) {
      const { response, to, askedAtMs } = await coming;
      // A server that knows no ranges begins anew; so does one that has another file by now.
      const isPart = response.status === 206;
      if (!isPart) {
        received.length = 0;
        end = bytesMax;
      }
      coming = end < bytesMax && ask();
      // While this one comes, or the link would be idle between the two. It may fail before it is waited for.
      if (coming) coming.catch(() => {});
      endMs = Number.POSITIVE_INFINITY;
      await read(response);
      endMs = clock.now();
      if (isPart && parts && received.length !== to) throw new TandemError('UNAVAILABLE', `${url} came in other parts`);
      if (!isPart || !parts || to === bytesMax) break;
      const tookMs = endMs - askedAtMs - parts.rttMs;
      const mostMs = Math.max(PART_MS, 2 * parts.rttMs);
      if (tookMs > mostMs && parts.bytes > PART_BYTES_MIN) parts.bytes /= 2;
      if (tookMs < mostMs / 3) parts.bytes *= 2;
    }
    const bytes = room.subarray(0, received.length);
    received.length = 0;
    received.bytes = undefined;
    return bytes;
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
