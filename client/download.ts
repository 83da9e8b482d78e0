/**
 * Fetches a plan's segments in chain order and hands them to the device, so that k grows while the app is in use.
 * Yields the link: nothing is read from the network while a request is under way.
 */
import { type BundleSource, readPlanFile } from '../shared/bundle.ts';
import { asTandemError, TandemError } from '../shared/errors.ts';
import type { Plan, PlanFile } from '../shared/plan.ts';
import type { Device, Timed } from './device.ts';
import type { Host } from './host.ts';

/** Attempts for one file before the download is given up; the pause before each doubles. */
const ATTEMPTS_MAX = 5;
const RETRY_MS = 1_000;

export interface DownloadEvents {
  /** Segment k+1 runs now. `warm.ms` is the time of a run at the smallest size. */
  onSegment(k: number, warm: Timed<null>): void;
  onBytes(bytesLoaded: number): void;
  /** Resolves when no request is under way. */
  whenIdle(): Promise<void>;
}

/** A model's bundle as its gateway serves it. Reads reject with UNAVAILABLE, NOT_FOUND or BAD_DOWNLOAD. */
export function webSource(host: Host, url: string, model: string, options: FetchOptions): BundleSource {
  const base = `${url}/models/${model}`;
  return {
    name: base,
    text: async (file) => new TextDecoder().decode(await fetchBytes(host, `${base}/${file}`, options)),
    bytes: ({ file, sha256 }) => fetchBytes(host, `${base}/${sha256}/${file}`, options),
    sha256: host.sha256,
  };
}

/** Loads all segments of the device's target. Rejects where one cannot be had; those before it stay usable. */
export async function downloadSegments(
  { host, url, plan, device, signal }: DownloadRequest,
  events: DownloadEvents,
): Promise<void> {
  let finished = 0;
  for (const [k, segment] of plan.segments.entries()) {
    const file = segment.targets[device.target];
    if (!file) throw new TandemError('UNSUPPORTED', `the plan has no segments for the target ${device.target}`);
    const source = webSource(host, url, plan.name, {
      signal,
      whenIdle: events.whenIdle,
      onBytes: (bytes) => events.onBytes(finished + Math.min(bytes, file.bytes)),
    });
    const bytes = await withRetries(host, signal, () => readPlanFile(source, file));
    await events.whenIdle();
    events.onSegment(k, await device.load(k, bytes));
    finished += file.bytes;
    events.onBytes(finished);
  }
}

export interface DownloadRequest {
  readonly host: Host;
  readonly url: string;
  readonly plan: Plan;
  readonly device: Device;
  readonly signal: AbortSignal;
}

/** Bytes that the device will have loaded in the end. */
export function downloadBytes(plan: Plan, target: string): number {
  return plan.segments.reduce((sum, { targets }) => sum + ((targets[target] as PlanFile | undefined)?.bytes ?? 0), 0);
}

async function withRetries<T>(host: Host, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      const isHopeless = error instanceof TandemError && !error.retryable && error.code !== 'BAD_BUNDLE';
      if (signal.aborted || isHopeless || attempt === ATTEMPTS_MAX) throw error;
      await pause(host, RETRY_MS * 2 ** (attempt - 1), signal);
    }
  }
}

function pause(host: Host, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = host.clock.after(ms, resolve);
    const onAbort = () => {
      stop();
      reject(signal.reason);
    };
    signal.addEventListener('abort', onAbort, { once: true });
  });
}

export interface FetchOptions {
  readonly signal?: AbortSignal | undefined;
  readonly whenIdle?: () => Promise<void>;
  readonly onBytes?: (bytes: number) => void;
}

async function fetchBytes(host: Host, url: string, options: FetchOptions): Promise<Uint8Array> {
  const { signal = null, whenIdle, onBytes } = options;
  let response: Response;
  try {
    response = await host.fetch(url, { signal });
  } catch (error) {
    signal?.throwIfAborted();
    throw asTandemError(error, 'UNAVAILABLE', `cannot reach ${url}`);
  }
  if (!response.ok) {
    const code = response.status === 404 ? 'NOT_FOUND' : 'BAD_DOWNLOAD';
    throw new TandemError(code, `${url} answered with status ${response.status}`);
  }
  try {
    return await readBody(response, whenIdle, onBytes);
  } catch (error) {
    signal?.throwIfAborted();
    throw asTandemError(error, 'BAD_DOWNLOAD', `the download of ${url} broke off`);
  }
}

/** Reads piece by piece; while a request is under way the next piece is left in the network, which slows the sender. */
async function readBody(
  response: Response,
  whenIdle: FetchOptions['whenIdle'],
  onBytes: FetchOptions['onBytes'],
): Promise<Uint8Array> {
  const reader = response.body?.getReader();
  if (!reader) return new Uint8Array(await response.arrayBuffer());
  const pieces: Uint8Array[] = [];
  let length = 0;
  for (;;) {
    await whenIdle?.();
    const { done, value } = await reader.read();
    if (done) break;
    pieces.push(value);
    length += value.byteLength;
    onBytes?.(length);
  }
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.byteLength;
  }
  return bytes;
}
