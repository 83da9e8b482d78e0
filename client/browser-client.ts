/** The client in browsers: its core with WebSocket, fetch, what is kept, and a worker that runs onnxruntime-web. */
import { canvasPictures } from '../runtimes/pictures-canvas.ts';
import { systemClock } from '../shared/clock.ts';
import { TandemError } from '../shared/errors.ts';
import { availabilityOf } from './availability.ts';
import type { AvailabilityOptions, BrowserClient, BrowserInput, BrowserOptions, HostOptions } from './browser.ts';
import { inputOf } from './browser-early.ts';
import { cacheStore, canKeep } from './cache-store.ts';
import { connectWith } from './client.ts';
import { type CrashMarker, crashMarker } from './crash-marker.ts';
import type { Device } from './device.ts';
import { CLIENT_NAME, type Early } from './early.ts';
import { headDevice } from './head-device.ts';
import type { Host } from './host.ts';
import { checkSignal } from './input.ts';
import { aloneByLock, lockedNames } from './locks.ts';
import { ORT_ACCELERATED, ORT_WASM } from './ort-release.ts';
import { listenForNetwork, listenForWake, listenToAll, lowBattery, type PageNavigator } from './page.ts';
import { sha256Hex } from './sha256.ts';
import type { Availability, InferOptions, Plan, Route } from './types.ts';
import { webSocketConnector } from './web-socket.ts';
import { workerDevice } from './worker-device.ts';

export { verifyReceipt } from './verify-receipt.ts';

const MEASURE = 'tandem.infer';

/** As `connect` of browser.ts. What was begun and is not taken ends with the client. */
export async function connectBrowser(options: BrowserOptions, early: Early): Promise<BrowserClient> {
  const client = await connectWith(browserHost(options, early), { ...options, token: early.token as () => string });
  const { infer, explain, close } = client;
  const browserClient = Object.assign(client, {
    async infer(input: BrowserInput, inferOptions?: InferOptions) {
      checkSignal(inferOptions?.signal);
      const startMs = performance.now();
      const begun = early.take(input);
      const result = await infer.call(client, begun?.input ?? (() => inputOf(input)), inferOptions, begun);
      mark(startMs, result.route);
      return result;
    },
    async explain(input: BrowserInput, inferOptions?: InferOptions) {
      return explain.call(client, await inputOf(input), inferOptions);
    },
    async close() {
      // The connection is taken once the codec of frames has come.
      early.close();
      await close.call(client);
    },
  });
  // Its `stream` asks this `infer`, and so takes what that takes.
  return browserClient as BrowserClient;
}

/** As `availability` of browser.ts. */
export function browserAvailability(options: AvailabilityOptions): Promise<Availability> {
  return availabilityOf(browserHost(options), options.url, options.model, options.signal);
}

/** @param early what was begun is handed over where it is asked for */
function browserHost(options: HostOptions, early?: Early): Host {
  const { target = 'wasm' } = options;
  const threads = globalThis.SharedArrayBuffer ? (options.threads ?? defaultThreads()) : 1;
  const clock = systemClock(globalThis);
  const device = navigator as PageNavigator;
  // The page's turn, as in pictures-canvas.ts: React Native's blobs may have no text.
  const sha256 = (content: Uint8Array | string) => sha256Hex(content, () => new Blob().text());
  let providers = (options.providers ?? []).filter(
    (name) => (name === 'webgpu' ? 'gpu' : 'ml') in navigator && !pageMarker().hasKilled(name),
  );
  const [engine, ownWasm, ownWorker] =
    providers.length > 0 ? [ORT_ACCELERATED, acceleratedWasm, acceleratedWorker] : [ORT_WASM, plainWasm, plainWorker];
  return {
    name: CLIENT_NAME,
    ...{ target, clock },
    wallClock: Date.now,
    random: Math.random,
    fetch: (url, init) => early?.response(String(url), init?.signal) ?? fetch(url, init),
    files: cacheStore(),
    // Of two requests for an address the browser's own cache lets one wait for the other. Where it alone keeps files, it keeps whole ones.
    partInit: canKeep() ? { cache: 'no-store' } : undefined,
    // Resolved as fetch would: workers have no document to ask.
    runtimeFile: { ...engine, url: new Request(options.wasmUrl ?? ownWasm()).url },
    network: () => device.connection ?? null,
    savesData: () => device.connection?.saveData ?? false,
    savesPower: lowBattery(device),
    alone: (name, work) => aloneByLock(clock, name, work),
    underWay: lockedNames,
    sha256,
    obstacleTo: (plan) =>
      'WebAssembly' in globalThis
        ? plan.segments.map((_, k) => deathIn(plan, k)).find(Boolean)
        : 'there is no WebAssembly here',
    frames: () => import('../shared/protocol/frames.ts'),
    connector: (url) => early?.connector(url) ?? webSocketConnector(url, WebSocket),
    async createDevice(plan, onLost, signal) {
      const made = await workerDevice((options.worker ?? ownWorker)(), {
        plan,
        target,
        threads,
        providers,
        clock,
        sha256,
        onLost(reason) {
          // What a worker died of, or was stuck in, may be one of them: the next one does without.
          providers = [];
          onLost(reason);
        },
        signal,
      });
      return marked(made, plan, providers);
    },
    headDevice: (plan) => headDevice(plan, target, canvasPictures(), clock),
    report: (error) => reportError(error),
    warn: (message) => console.warn(`tandem: ${message}`),
    onWake: (listener) => listenForWake(globalThis.document ?? globalThis, globalThis, Date.now, listener),
    onNetwork: (listener) => listenForNetwork(globalThis, device, listener),
    onLeave: (listener) => listenToAll([[globalThis, 'pagehide', listener]]),
  };
}

let marker: CrashMarker | undefined;

/** One for all clients of a page: what one of them is at is not what the page before died of. Reading takes a while: not before it is needed. */
function pageMarker(): CrashMarker {
  if (!marker) {
    marker = crashMarker(
      // A frame shares it with the page around it and its other frames, which may be at something and well.
      () => top === window && sessionStorage,
      () => localStorage,
      Date.now(),
    );
    // Pages in the background are ended for others' needs.
    for (const type of ['pagehide', 'visibilitychange']) addEventListener(type, marker.endAll);
  }
  return marker;
}

// Bundlers look for exactly these forms; webpack puts workers of one name into one file.
const plainWasm = () => new URL('./ort-wasm-simd-threaded.wasm', import.meta.url);
const acceleratedWasm = () => new URL('./ort-wasm-simd-threaded.asyncify.wasm', import.meta.url);
const plainWorker = () => new Worker(new URL('./worker.js', import.meta.url), { type: 'module', name: 'tandem' });
const acceleratedWorker = () =>
  new Worker(new URL('./worker-accelerated.js', import.meta.url), { type: 'module', name: 'tandem-accelerated' });

/** Loading is what pages die of: each load is written down while it lasts, and one that was fatal is not begun. */
function marked(device: Device, plan: Plan, providers: readonly string[]): Device {
  const marker = pageMarker();
  return {
    ...device,
    async load(k, model) {
      const death = deathIn(plan, k);
      if (death) throw new TandemError('DEVICE_FAILED', death);
      // Where more than WebAssembly is tried, that is what is blamed first.
      const step = providers[0] ?? loadOf(plan, k);
      marker.begin(step);
      try {
        return await device.load(k, model);
      } finally {
        marker.end(step);
      }
    },
  };
}

/** As it is written down. */
function loadOf({ id }: Plan, k: number): string {
  return `${id.slice(0, 12)} segment ${k + 1}`;
}

/** Where a page died of it. */
function deathIn(plan: Plan, k: number): string | false {
  return (
    pageMarker().hasKilled(loadOf(plan, k)) && `the page died while it loaded segment ${k + 1}: it is not tried again`
  );
}

/** Several in Chromium alone: two take longer than one in WebKit, and in Firefox one start in forty never ends. Workers know no vendor. */
function defaultThreads(): number {
  return 'userAgentData' in navigator ? Math.min(4, Math.ceil(navigator.hardwareConcurrency / 2)) : 1;
}

/** For performance panels and observers; the entry itself is let go, or a page that asks all day would fill up with them. */
function mark(startMs: number, { k, tier, provider, bytesUp }: Route): void {
  performance.measure(MEASURE, { start: startMs, detail: { k, tier, provider, bytesUp } });
  performance.clearMeasures(MEASURE);
}
