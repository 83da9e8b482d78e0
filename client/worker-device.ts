/** A device in a worker, seen from the page: every call a message, every call settled, also when the worker dies. */
import type { Clock } from '../shared/clock.ts';
import { TandemError } from '../shared/errors.ts';
import type { Plan } from '../shared/plan.ts';
import type { Device } from './device.ts';
import type { Host } from './host.ts';
import { hexOf } from './sha256.ts';
import { watch } from './watch.ts';
import type { WorkerCalls, WorkerMethod, WorkerResponse } from './worker-protocol.ts';

interface Call {
  readonly method: WorkerMethod;
  resolve(result: unknown): void;
  reject(error: TandemError): void;
}

export interface WorkerDeviceOptions {
  readonly plan: Plan;
  /** As `create` of the worker has them. */
  readonly target: string;
  readonly threads: number;
  readonly providers: readonly string[];
  readonly clock: Clock;
  readonly sha256: Host['sha256'];
  readonly onLost: (reason: string) => void;
  /** Ends the worker, made or half made. */
  readonly signal: AbortSignal;
}

/** A worker that is at something for longer than this is stuck. Loading compiles the engine and runs each provider. */
const STUCK_MS: Readonly<Record<WorkerMethod, number>> = {
  ...{ create: 20_000, provide: 20_000, prepare: 20_000, load: 90_000 },
  ...{ begin: 15_000, advance: 15_000, addNoise: 15_000, encode: 15_000 },
};

/** Browsers do not say where they looked for it. */
const NOT_LOADED =
  'the worker did not load: serve worker.js beside the SDK, as JavaScript (npx tandem copy-assets DIR), or name another as worker';

/** Where a provider can fail, another one may have to be loaded and tried on the way. */
const REPLACED_STUCK_MS = 45_000;

/** Takes over the worker: closing the device terminates it. */
export async function workerDevice(
  worker: Worker,
  { plan, target, threads, providers, clock, sha256, onLost, signal }: WorkerDeviceOptions,
): Promise<Device> {
  const calls = new Map<number, Call>();
  const stuckMs = providers.length > 0 ? { ...STUCK_MS, advance: REPLACED_STUCK_MS } : STUCK_MS;
  let nextId = 1;
  let death: TandemError | null = null;
  let watchedMs = 0;
  let heardAtMs = 0;
  let stopWatch = () => {};
  /** A worker does one thing after the other: what it says of one call is a sign of life for all that wait behind it. */
  const watchOver = () => {
    stopWatch();
    watchedMs = 0;
    let slowest: WorkerMethod | undefined;
    for (const { method } of calls.values()) if (!slowest || stuckMs[method] > stuckMs[slowest]) slowest = method;
    if (!slowest) return;
    watchedMs = stuckMs[slowest];
    const message = `the worker was at ${slowest} for more than ${watchedMs / 1000} s`;
    stopWatch = watch(clock, Math.max(0, heardAtMs + watchedMs - clock.now()), () => lose(message));
  };

  const die = (message: string) => {
    death ??= new TandemError('DEVICE_FAILED', message);
    stopWatch();
    for (const { reject } of calls.values()) reject(death);
    calls.clear();
    worker.terminate();
  };
  worker.onmessage = ({ data }: MessageEvent<WorkerResponse>) => {
    const call = calls.get(data.id);
    calls.delete(data.id);
    heardAtMs = clock.now();
    watchOver();
    if (data.type === 'done') call?.resolve(data.result);
    else call?.reject(new TandemError(data.code, data.message));
  };
  const lose = (message: string) => {
    if (death) return;
    // Whoever is told first may close the device for it: the reason stays the first one.
    death = new TandemError('DEVICE_FAILED', message);
    onLost(message);
    die(message);
  };
  worker.onerror = (event) => {
    event.preventDefault();
    lose(event.message ? `the worker died: ${event.message}` : NOT_LOADED);
  };
  worker.onmessageerror = () => lose('the worker sent what this page cannot read');
  const call = <M extends WorkerMethod>(
    method: M,
    args: WorkerCalls[M]['args'],
    transfer: Transferable[] = [],
  ): Promise<WorkerCalls[M]['result']> => {
    if (death) return Promise.reject(death);
    return new Promise((resolve, reject) => {
      const id = nextId++;
      // Throws what cannot be sent, which is the caller's alone.
      worker.postMessage({ id, method, args }, transfer);
      if (calls.size === 0) heardAtMs = clock.now();
      calls.set(id, { method, resolve: resolve as Call['resolve'], reject });
      if (stuckMs[method] > watchedMs) watchOver();
    });
  };

  /** Not on plain http, nor in sandboxed frames, where pages may. */
  let hashes: boolean;
  signal.addEventListener('abort', () => die('the device was closed'));
  try {
    signal.throwIfAborted();
    hashes = await call('create', { plan, target, threads, providers });
  } catch (error) {
    die('it could not be set up');
    throw error;
  }
  return {
    target,
    prepare: () => call('prepare', null),
    async provide(given) {
      const runtime = given as Uint8Array<ArrayBuffer>;
      const own = hashes ? null : await sha256(runtime);
      const digest = await call('provide', { runtime }, transferOf(runtime));
      return own ?? hexOf(new Uint8Array(digest as ArrayBuffer));
    },
    load: (k, model) => call('load', { k, model }, transferOf(model)),
    async begin({ width, height, data }) {
      // What is sent as a part takes all of its buffer along, which may be an engine's whole memory.
      const own = new Uint8Array(data);
      return call('begin', { width, height, data: own }, [own.buffer]);
    },
    advance: (crossing) => call('advance', crossing),
    addNoise: (crossing, noise) => call('addNoise', { crossing, noise }),
    encode: (crossing, tier) => call('encode', { crossing, tier }),
    async close() {
      die('the device was closed');
    },
  };
}

function transferOf({ buffer }: Uint8Array): Transferable[] {
  return buffer instanceof ArrayBuffer ? [buffer] : [];
}
