/** `tandem/client` in Node: the same core, with ws, and with whichever onnxruntime is handed in. */

import { createHash } from 'node:crypto';
import sharp from 'sharp';
import { WebSocket } from 'ws';
import { type OrtModule, ortRuntime } from '../runtimes/onnxruntime.ts';
import { sharpPictures } from '../runtimes/pictures-sharp.ts';
import { systemClock } from '../shared/clock.ts';
import { messageOf, TandemError } from '../shared/errors.ts';
import type { Picture } from '../shared/preprocess/resize.ts';
import type { Channel, Connector } from '../shared/protocol/channel.ts';
import * as frames from '../shared/protocol/frames.ts';
import { availabilityOf } from './availability.ts';
import { connectWith } from './client.ts';
import { localDevice } from './device.ts';
import { NO_STORE } from './file-store.ts';
import type { Host } from './host.ts';
import { secureRandom } from './secure-random.ts';
import type { Availability, Client, ClientOptions, ModelTypes } from './types.ts';

export { TandemError } from '../shared/errors.ts';
export { describeReceipt } from '../shared/receipt-text.ts';
export { replay } from '../shared/schedule/replay.ts';
export { describeRoute } from './route-text.ts';
export type * from './types.ts';
export { verifyReceipt } from './verify-receipt.ts';

export interface NodeOptions extends ClientOptions {
  /** `import * as ort from 'onnxruntime-node'` or `'onnxruntime-web'`: what runs the device's segments, in this thread. */
  readonly ort: OrtModule;
  /** Which of the plan's device targets to run; default `wasm`, whose segments any onnxruntime takes. */
  readonly target?: string | undefined;
}

const TARGET = 'wasm';

/** Pixels of an encoded picture larger than this are refused before they are unpacked. */
const PIXELS_MAX = 64 * 1024 * 1024;

export type AvailabilityOptions = Pick<NodeOptions, 'url' | 'model' | 'signal' | 'target'>;

/** Resolves once the plan is there; connects and downloads in the background. See `Client`. */
export async function connect<T extends ModelTypes = ModelTypes>(options: NodeOptions): Promise<Client<T>> {
  if (typeof options?.ort?.InferenceSession?.create !== 'function') {
    throw new TandemError('BAD_CONFIG', "in Node `connect` needs `ort`: import * as ort from 'onnxruntime-node'");
  }
  const { ort, target = TARGET } = options;
  const runtime = ortRuntime(ort, 'onnxruntime', { intraOpNumThreads: 1 });
  const clock = systemClock(globalThis);
  const random = secureRandom(globalThis.crypto);
  const pictures = sharpPictures(sharp);
  const host = nodeHost(target, async (plan) => localDevice({ plan, target, runtime, pictures, clock, random }));
  return (await connectWith(host, options)) as unknown as Client<T>;
}

/** As in browsers: whether a model can run here, and what that would take. Nothing is kept in Node. */
export function availability({ url, model, signal, target = TARGET }: AvailabilityOptions): Promise<Availability> {
  const noDevice = () => Promise.reject(new TandemError('UNSUPPORTED', 'it is not asked to run anything'));
  return availabilityOf(nodeHost(target, noDevice), url, model, signal);
}

function nodeHost(target: string, createDevice: Host['createDevice']): Host {
  return {
    createDevice,
    name: 'tandem-node/0.1',
    target,
    clock: systemClock(globalThis),
    random: Math.random,
    fetch: globalThis.fetch,
    // A server or a script has its own place for files; what comes is held in memory.
    files: NO_STORE,
    ...{ runtimeFile: null, partInit: {} },
    sha256: async (content) => createHash('sha256').update(content).digest('hex'),
    frames: async () => frames,
    connector: wsConnector,
    // As an EventEmitter does with a listener that throws.
    report: (error) =>
      queueMicrotask(() => {
        throw error;
      }),
  };
}

/** RGBA pixels of an encoded picture (PNG, JPEG, WebP), turned upright. Throws BAD_INPUT. */
export async function readPicture(bytes: Uint8Array): Promise<Picture> {
  try {
    const image = sharp(bytes, { limitInputPixels: PIXELS_MAX }).autoOrient().toColourspace('srgb').ensureAlpha();
    const { data, info } = await image.raw().toBuffer({ resolveWithObject: true });
    return { width: info.width, height: info.height, data };
  } catch (error) {
    throw new TandemError('BAD_INPUT', `the picture cannot be read: ${messageOf(error)}`, { cause: error });
  }
}

function wsConnector(url: string): Connector {
  return (events) => {
    const socket = new WebSocket(url, { perMessageDeflate: false });
    let failure = '';
    socket.on('open', () => events.onOpen());
    socket.on('message', (data: Buffer, isBinary) => events.onFrame(isBinary ? data : new Uint8Array()));
    socket.on('error', (error) => {
      failure = error.message;
    });
    socket.on('close', (code, reason) => events.onClose(code, reason.toString() || failure));
    const channel: Channel = {
      send(frame) {
        if (socket.readyState === WebSocket.OPEN) socket.send(frame);
      },
      close: (code, reason) => socket.close(code, reason),
      get bufferedBytes() {
        return socket.bufferedAmount;
      },
    };
    return channel;
  };
}
