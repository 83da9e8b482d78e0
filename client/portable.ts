/**
 * `tandem/client/portable`: the same client wherever there are `fetch` and `WebSocket`, with any engine that is a `Runtime`, in
 * this thread: React Native with runtimes/onnxruntime-react-native.ts, a page with LiteRT, Deno, Bun. What has no canvas sends no
 * pictures: boundary 0 goes in the plan's other tiers, or not at all.
 */

import { systemClock } from '../shared/clock.ts';
import type { PictureEncoder } from '../shared/codec/picture.ts';
import * as frames from '../shared/protocol/frames.ts';
import type { Runtime } from '../shared/runtime.ts';
import { connectWith } from './client.ts';
import { localDevice } from './device.ts';
import { type FileStore, NO_STORE } from './file-store.ts';
import { secureRandom } from './secure-random.ts';
import { sha256Hex } from './sha256.ts';
import type { Client, ClientOptions, ModelTypes } from './types.ts';
import { webSocketConnector } from './web-socket.ts';

export { TandemError } from '../shared/errors.ts';
export { describeReceipt } from '../shared/receipt-text.ts';
export type { Runtime } from '../shared/runtime.ts';
export type { FileStore } from './file-store.ts';
export type * from './types.ts';
export { verifyReceipt } from './verify-receipt.ts';

export interface PortableOptions extends ClientOptions {
  /** What runs the device's segments. */
  readonly runtime: Runtime;
  /** Which of the plan's device targets it takes; default `wasm`, whose segments any onnxruntime runs. */
  readonly target?: string | undefined;
  /** Where files are kept between visits; nowhere by default. */
  readonly files?: FileStore | undefined;
  /** Default: the global one. */
  readonly WebSocket?: typeof WebSocket | undefined;
  /** Calls back when the app is in the foreground again. Gives what stops it. */
  readonly onWake?: ((listener: () => void) => () => void) | undefined;
}

const NO_PICTURES: PictureEncoder = { encode: async () => null };

/** Resolves once the plan is there; connects and downloads in the background. See `Client`. */
export function connect<T extends ModelTypes = ModelTypes>(options: PortableOptions): Promise<Client<T>> {
  const clock = systemClock(globalThis);
  const { runtime, target = 'wasm', files = NO_STORE, WebSocket: Socket = globalThis.WebSocket, onWake } = options;
  const random = secureRandom(globalThis.crypto);
  return connectWith(
    {
      name: 'tandem-portable/0.1',
      ...{ target, clock, files },
      // The foreground is what comes after the background, however short that was.
      ...(onWake && { onWake: (listener) => onWake(() => listener(Number.POSITIVE_INFINITY)) }),
      // Without a place for files nothing that is learnt is kept.
      ...(options.files && { wallClock: Date.now }),
      random: Math.random,
      fetch: globalThis.fetch.bind(globalThis),
      ...{ runtimeFile: null, partInit: {} },
      sha256: sha256Hex,
      frames: async () => frames,
      connector: (url) => webSocketConnector(url, Socket),
      createDevice: async (plan) => localDevice({ plan, target, runtime, pictures: NO_PICTURES, clock, random }),
      report: (error) =>
        queueMicrotask(() => {
          throw error;
        }),
    },
    options,
  ) as Promise<Client<T>>;
}
