/** `tandem/client` in browsers: the client core with WebSocket, fetch, and a worker that runs onnxruntime-web. */
import { pixelsOf } from '../runtimes/pictures-canvas.ts';
import { systemClock } from '../shared/clock.ts';
import { messageOf, TandemError } from '../shared/errors.ts';
import type { Channel, Connector } from '../shared/protocol/channel.ts';
import { availabilityOf } from './availability.ts';
import { cacheStore } from './cache-store.ts';
import { baseUrl, connectWith } from './client.ts';
import type { Host } from './host.ts';
import { aloneByLock, lockedNames } from './locks.ts';
import { ORT_WASM } from './ort-release.ts';
import { sha256Hex } from './sha256.ts';
import type {
  Availability,
  Client,
  ClientOptions,
  Decision,
  InferOptions,
  InferResult,
  Input,
  StreamResult,
} from './types.ts';
import { workerDevice } from './worker-device.ts';

export { TandemError } from '../shared/errors.ts';
export type * from './types.ts';

export interface BrowserOptions extends ClientOptions {
  /** Makes the SDK's worker; default: worker.js beside this module. */
  readonly worker?: (() => Worker) | undefined;
  /** Where ort-wasm-simd-threaded.wasm of onnxruntime-web is served; default: beside the page. */
  readonly wasmUrl?: string | undefined;
}

/** What browsers call a picture: files and blobs (photos are turned upright), bitmaps, canvases, images, video frames. */
export type BrowserInput = Input | ImageBitmapSource;

export interface BrowserClient extends Client {
  infer(input: BrowserInput, options?: InferOptions): Promise<InferResult>;
  explain(input: BrowserInput, options?: InferOptions): Promise<Decision>;
  stream(
    frames: AsyncIterable<BrowserInput> | ReadableStream<BrowserInput>,
    options?: InferOptions,
  ): AsyncIterable<StreamResult>;
}

/** Larger pictures are shrunk by the browser first: no model that takes pictures needs more, and phones lack memory. */
const PICTURE_SIDE_MAX_PX = 2048;

/** Resolves once the plan is there; connects and downloads in the background. See `Client`. */
export async function connect(options: BrowserOptions): Promise<BrowserClient> {
  const client = await connectWith(browserHost(options), options);
  const { infer, explain, stream } = client;
  return Object.assign(client, {
    async infer(input: BrowserInput, inferOptions?: InferOptions) {
      inferOptions?.signal?.throwIfAborted();
      return infer.call(client, await inputOf(input), inferOptions);
    },
    async explain(input: BrowserInput, inferOptions?: InferOptions) {
      return explain.call(client, await inputOf(input), inferOptions);
    },
    stream: (frames: AsyncIterable<BrowserInput> | ReadableStream<BrowserInput>, inferOptions?: InferOptions) =>
      // The client's own `infer` is the one above by now.
      stream.call(client, frames as AsyncIterable<Input>, inferOptions),
  });
}

/**
 * Whether a model can run on this device, and what that would take, without connecting or fetching more than its plan.
 * Never rejects but with the signal's reason.
 */
export function availability(
  options: Pick<BrowserOptions, 'url' | 'model' | 'signal' | 'worker' | 'wasmUrl'>,
): Promise<Availability> {
  return availabilityOf(browserHost(options), baseUrl(options.url), options.model, options.signal);
}

function browserHost({
  worker,
  wasmUrl = 'ort-wasm-simd-threaded.wasm',
}: Pick<BrowserOptions, 'worker' | 'wasmUrl'>): Host {
  const makeWorker =
    worker ?? (() => new Worker(new URL('./worker.js', import.meta.url), { type: 'module', name: 'tandem' }));
  const clock = systemClock(globalThis);
  return {
    name: 'tandem-browser/0.1',
    target: 'wasm',
    clock,
    random: Math.random,
    fetch: globalThis.fetch.bind(globalThis),
    files: cacheStore(),
    runtimeFile: { ...ORT_WASM, url: new URL(wasmUrl, document.baseURI).href },
    saveData: (navigator as { connection?: { saveData?: boolean } }).connection?.saveData ?? false,
    alone: (name, work) => aloneByLock(clock, name, work),
    underWay: lockedNames,
    sha256: sha256Hex,
    connector: webSocketConnector,
    createDevice: (plan, onLost, signal) => workerDevice(makeWorker(), { plan, onLost, signal }),
    report: (error) => globalThis.reportError(error),
    onWake: listenForWake,
    onLeave(listener) {
      globalThis.addEventListener('pagehide', listener);
      return () => globalThis.removeEventListener('pagehide', listener);
    },
  };
}

async function inputOf(input: BrowserInput): Promise<Input> {
  return isDrawable(input) ? toPicture(input) : input;
}

function webSocketConnector(url: string): Connector {
  return (events) => {
    const socket = new WebSocket(url);
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => events.onOpen();
    socket.onmessage = ({ data }) => {
      // Text is no frame of ours; an empty one makes the link say so.
      events.onFrame(data instanceof ArrayBuffer ? new Uint8Array(data) : new Uint8Array());
    };
    socket.onclose = ({ code, reason }) => events.onClose(code, reason);
    const channel: Channel = {
      send(frame) {
        if (socket.readyState === WebSocket.OPEN) socket.send(frame as Uint8Array<ArrayBuffer>);
      },
      // Browsers let pages close with 1000 and 3000-4999 only.
      close: (code, reason) => socket.close(code === 1000 || code >= 3000 ? code : 1000, reason),
      get bufferedBytes() {
        return socket.bufferedAmount;
      },
    };
    return channel;
  };
}

/** Phones drop sockets of hidden pages without a word: look at once when the page is seen or the network is back. */
function listenForWake(listener: () => void): () => void {
  const onVisible = () => {
    if (document.visibilityState === 'visible') listener();
  };
  document.addEventListener('visibilitychange', onVisible);
  globalThis.addEventListener('pageshow', listener);
  globalThis.addEventListener('online', listener);
  return () => {
    document.removeEventListener('visibilitychange', onVisible);
    globalThis.removeEventListener('pageshow', listener);
    globalThis.removeEventListener('online', listener);
  };
}

/** ImageData is a picture as it is; records of tensors are plain objects. What is no object the core refuses. */
function isDrawable(input: BrowserInput): input is Exclude<ImageBitmapSource, ImageData> {
  if (typeof input !== 'object' || input === null || input instanceof ImageData) return false;
  return ![Object.prototype, null].includes(Object.getPrototypeOf(input));
}

async function toPicture(source: Exclude<ImageBitmapSource, ImageData>): Promise<ImageData> {
  try {
    const bitmap = await createImageBitmap(source);
    const scale = Math.min(1, PICTURE_SIDE_MAX_PX / Math.max(bitmap.width, bitmap.height));
    const side = (length: number) => Math.max(1, Math.round(length * scale));
    const pixels = pixelsOf(bitmap, side(bitmap.width), side(bitmap.height));
    bitmap.close();
    return pixels;
  } catch (error) {
    throw new TandemError('BAD_INPUT', `the picture cannot be read: ${messageOf(error)}`, { cause: error });
  }
}
