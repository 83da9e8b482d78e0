/** `tandem/client` in browsers: the client core with WebSocket, fetch, and a worker that runs onnxruntime-web. */
import { pixelsOf } from '../runtimes/pictures-canvas.ts';
import { systemClock } from '../shared/clock.ts';
import { messageOf, TandemError } from '../shared/errors.ts';
import type { Channel, Connector } from '../shared/protocol/channel.ts';
import { connectWith } from './client.ts';
import type { Host } from './host.ts';
import { sha256Hex } from './sha256.ts';
import type { Client, ClientOptions, InferOptions, InferResult, Input } from './types.ts';
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
}

/** Larger pictures are shrunk by the browser first: no model that takes pictures needs more, and phones lack memory. */
const PICTURE_SIDE_MAX_PX = 2048;

/** Resolves once the plan is there; connects and downloads in the background. See `Client`. */
export async function connect(options: BrowserOptions): Promise<BrowserClient> {
  const makeWorker =
    options.worker ?? (() => new Worker(new URL('./worker.js', import.meta.url), { type: 'module', name: 'tandem' }));
  const wasmUrl = new URL(options.wasmUrl ?? 'ort-wasm-simd-threaded.wasm', document.baseURI).href;
  const host: Host = {
    name: 'tandem-browser/0.1',
    target: 'wasm',
    clock: systemClock(globalThis),
    random: Math.random,
    fetch: globalThis.fetch.bind(globalThis),
    sha256: sha256Hex,
    connector: webSocketConnector,
    createDevice: (plan, onLost, signal) => workerDevice(makeWorker(), { plan, wasmUrl, onLost, signal }),
    report: (error) => globalThis.reportError(error),
    onWake: listenForWake,
    onLeave(listener) {
      globalThis.addEventListener('pagehide', listener);
      return () => globalThis.removeEventListener('pagehide', listener);
    },
  };
  const client = await connectWith(host, options);
  const inferInput = client.infer.bind(client);
  return Object.assign(client, {
    infer: async (input: BrowserInput, inferOptions?: InferOptions) => {
      inferOptions?.signal?.throwIfAborted();
      return inferInput(isDrawable(input) ? await toPicture(input) : input, inferOptions);
    },
  });
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
