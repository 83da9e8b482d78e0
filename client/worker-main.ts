/** What every worker of the SDK does: a device on the engine that its entry file brings, away from the page's thread. */
import type { Env } from 'onnxruntime-common';
import type { OrtModule } from '../runtimes/onnxruntime.ts';
import { webRuntime } from '../runtimes/onnxruntime-web.ts';
import { canvasPictures } from '../runtimes/pictures-canvas.ts';
import { systemClock } from '../shared/clock.ts';
import { asTandemError, TandemError } from '../shared/errors.ts';
import { type Device, localDevice } from './device.ts';
import type { Provider } from './providers.ts';
import { secureRandom } from './secure-random.ts';
import type { WorkerRequest, WorkerResponse } from './worker-protocol.ts';

/** The parts of a worker's global scope that are used; the DOM types know only the window. */
interface WorkerScope {
  readonly name: string;
  onmessage: ((event: MessageEvent<WorkerRequest>) => void) | null;
  postMessage(message: WorkerResponse, transfer?: Transferable[]): void;
}

/** @param othersOf providers that its engine has besides WebAssembly, of those that are asked for */
export function serveDevice(
  ort: OrtModule & { readonly env: Env },
  othersOf: (names: readonly string[]) => readonly Provider[] = () => [],
): void {
  const scope = globalThis as unknown as WorkerScope;
  // The engine's threads load this very script, and are called so: they listen to the engine alone.
  if (scope.name.startsWith('em-pthread')) return;
  let device: Device | null = null;
  scope.onmessage = async ({ data }) => {
    const { id } = data;
    try {
      const result = await perform(data);
      scope.postMessage({ type: 'done', id, result }, buffersIn(result));
    } catch (error) {
      const { code, message } = asTandemError(error, 'DEVICE_FAILED', `the device failed to ${data.method}`);
      scope.postMessage({ type: 'failed', id, code, message });
    }
  };

  async function perform({ method, args }: WorkerRequest): Promise<unknown> {
    if (method === 'create') {
      const { plan, target, threads } = args;
      device = localDevice({
        ...{ plan, target },
        runtime: { ...webRuntime(ort, { threads }), name: threads > 1 ? `wasm, ${threads} threads` : 'wasm' },
        others: othersOf(args.providers),
        pictures: canvasPictures(),
        clock: systemClock(globalThis),
        random: secureRandom(crypto),
      });
      return Boolean(crypto.subtle);
    }
    if (!device) throw new TandemError('DEVICE_FAILED', 'the worker is not set up');
    switch (method) {
      case 'provide':
        // Read at the first load of a model.
        ort.env.wasm.wasmBinary = args.runtime.buffer;
        // Here, for the platform copies what it hashes, and a page stands still meanwhile.
        return crypto.subtle?.digest('SHA-256', args.runtime);
      case 'prepare':
        return device.prepare();
      case 'load':
        return device.load(args.k, args.model).finally(() => {
          // The engine is compiled by now: its bytes would stay beside it for nothing.
          delete ort.env.wasm.wasmBinary;
        });
      case 'begin':
        return device.begin(args);
      case 'advance':
        return device.advance(args);
      case 'addNoise':
        return device.addNoise(args.crossing, args.noise);
      case 'encode':
        return device.encode(args.crossing, args.tier);
      default:
        return method satisfies never;
    }
  }
}

/** Every ArrayBuffer in a result: results are handed over, not copied. */
function buffersIn(value: unknown, found = new Set<ArrayBuffer>()): Transferable[] {
  if (ArrayBuffer.isView(value)) {
    if (value.buffer instanceof ArrayBuffer) found.add(value.buffer);
  } else if (typeof value === 'object' && value !== null) {
    for (const inner of Object.values(value)) buffersIn(inner, found);
  }
  return [...found];
}
