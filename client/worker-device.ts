/** A device in a worker, seen from the page: every call a message, every call settled, also when the worker dies. */
import { TandemError } from '../shared/errors.ts';
import type { Plan } from '../shared/plan.ts';
import type { Device } from './device.ts';
import type { WorkerCalls, WorkerMethod, WorkerResponse } from './worker-protocol.ts';

interface Call {
  resolve(result: unknown): void;
  reject(error: TandemError): void;
}

export interface WorkerDeviceOptions {
  readonly plan: Plan;
  readonly onLost: (reason: string) => void;
  /** Ends the worker, made or half made. */
  readonly signal: AbortSignal;
}

/** Takes over the worker: closing the device terminates it. */
export async function workerDevice(worker: Worker, { plan, onLost, signal }: WorkerDeviceOptions): Promise<Device> {
  const calls = new Map<number, Call>();
  let nextId = 1;
  let death: TandemError | null = null;

  const die = (message: string) => {
    death = new TandemError('DEVICE_FAILED', message);
    for (const { reject } of calls.values()) reject(death);
    calls.clear();
    worker.terminate();
  };
  worker.onmessage = ({ data }: MessageEvent<WorkerResponse>) => {
    const call = calls.get(data.id);
    calls.delete(data.id);
    if (data.type === 'done') call?.resolve(data.result);
    else call?.reject(new TandemError(data.code, data.message));
  };
  const lose = (message: string) => {
    if (death) return;
    onLost(message);
    die(message);
  };
  worker.onerror = (event) => {
    event.preventDefault();
    lose(event.message ? `the worker died: ${event.message}` : 'the worker could not be loaded: is its URL right?');
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
      calls.set(id, { resolve: resolve as Call['resolve'], reject });
      worker.postMessage({ id, method, args }, transfer);
    });
  };

  signal.addEventListener('abort', () => die('the device was closed'), { once: true });
  try {
    signal.throwIfAborted();
    await call('create', { plan });
  } catch (error) {
    die('it could not be set up');
    throw error;
  }
  return {
    target: 'wasm',
    provider: 'wasm',
    prepare: () => call('prepare', null),
    async provide(runtime) {
      await call('provide', { runtime }, transferOf(runtime));
    },
    load: (k, model) => call('load', { k, model }, transferOf(model)),
    begin: ({ width, height, data }) => call('begin', { width, height, data }),
    advance: (crossing) => call('advance', crossing),
    encode: (crossing, tier) => call('encode', { crossing, tier }),
    async close() {
      die('the device was closed');
    },
  };
}

function transferOf({ buffer }: Uint8Array): Transferable[] {
  return buffer instanceof ArrayBuffer ? [buffer] : [];
}
