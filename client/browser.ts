/**
 * `tandem/client` in browsers. Importing it costs next to nothing and touches nothing, on a server too: what it is made of is
 * loaded when it is first asked for something.
 */
import { beginEarly } from './browser-early.ts';
import type { FirstRequest } from './first-request.ts';
import type {
  Availability,
  Client,
  ClientOptions,
  Decision,
  InferOptions,
  InferResult,
  ModelTypes,
  Picture,
  Receipt,
  StreamOptions,
  StreamResult,
} from './types.ts';
import type { Signed } from './verify-receipt.ts';

export { TandemError } from '../shared/errors.ts';
export { describeReceipt } from '../shared/receipt-text.ts';
export type { FirstRequest } from './first-request.ts';
export { describeRoute } from './route-text.ts';
export type * from './types.ts';

export interface HostOptions {
  /** Makes the SDK's worker; default: worker.js beside this module, or worker-accelerated.js. */
  readonly worker?: (() => Worker) | undefined;
  /**
   * Where the engine's WebAssembly is served; default: beside this module, where bundlers and `copy-assets` lay it:
   * ort-wasm-simd-threaded.wasm of onnxruntime-web, or ort-wasm-simd-threaded.asyncify.wasm where providers are named.
   */
  readonly wasmUrl?: string | undefined;
  /**
   * What may be faster than WebAssembly, and is tried on each segment: it is used where it is right and faster. Needs a larger
   * engine (27 MB instead of 14, before compression).
   */
  readonly providers?: readonly ('webgpu' | 'webnn')[] | undefined;
  /**
   * Of WebAssembly; default: half of the processors up to 4 in Chromium, and 1 in Firefox and WebKit (docs/integration.md says why).
   * Always 1 where no memory can be shared: on pages that are not cross-origin isolated.
   */
  readonly threads?: number | undefined;
  /** Key of the plan's device targets; default `wasm`. */
  readonly target?: string | undefined;
}

/** What browsers call a picture: files and blobs (photos are turned upright), bitmaps, canvases, images, video frames. */
export type BrowserInput<T extends ModelTypes = ModelTypes> =
  | T['input']
  | (Picture extends T['input'] ? ImageBitmapSource : never);

export interface BrowserClient<T extends ModelTypes = ModelTypes> extends Client<T> {
  infer(input: BrowserInput<T>, options?: InferOptions): Promise<InferResult<T>>;
  explain(input: BrowserInput<T>, options?: InferOptions): Promise<Decision>;
  stream(
    frames: AsyncIterable<BrowserInput<T>> | ReadableStream<BrowserInput<T>>,
    options?: StreamOptions,
  ): AsyncIterable<StreamResult<T>>;
}

/**
 * What the gateway signed: the receipt as its text has it, whatever stands beside the text, or null where the signature is not of
 * that text and that key.
 * @param key base64 of the key that is trusted, as /.well-known/tandem-receipt-key had it; default: the receipt's own, which says
 *   no more than that nothing was changed since.
 * @throws UNSUPPORTED where the platform's crypto has no Ed25519, or there is none (pages over plain http)
 */
export async function verifyReceipt(signed: Signed, key?: string): Promise<Receipt | null> {
  // With its schema, which pages that check nothing do not load.
  const { verifyReceipt: verify } = await import('./browser-client.ts');
  return verify(signed, key);
}

export interface BrowserOptions extends ClientOptions, HostOptions {
  /**
   * The picture that the page will ask for first, where it has it as it opens: it is sent while the SDK itself still loads, if
   * both policies let the label's input leave as it is and say nothing else of it. `infer` of the same object gives its answer.
   */
  readonly first?: FirstRequest | undefined;
}

export type AvailabilityOptions = HostOptions & Pick<ClientOptions, 'url' | 'model' | 'signal'>;

/** Resolves once the plan is there; connects and downloads in the background. See `Client`. */
export async function connect<T extends ModelTypes = ModelTypes>(options: BrowserOptions): Promise<BrowserClient<T>> {
  const { signal } = options;
  const giveUp = () => early.close();
  // What is no signal fails here, before anything is begun.
  signal?.addEventListener('abort', giveUp);
  const early = beginEarly(options);
  try {
    const { connectBrowser } = await import('./browser-client.ts');
    // The caller says what the model is; the plan says what it takes, and is asked.
    return (await connectBrowser(options, early)) as unknown as BrowserClient<T>;
  } catch (error) {
    early.close();
    throw error;
  } finally {
    signal?.removeEventListener('abort', giveUp);
  }
}

/**
 * Whether a model can run on this device, and what that would take, without connecting or fetching more than its plan.
 * Rejects with the signal's reason alone.
 */
export async function availability(options: AvailabilityOptions): Promise<Availability> {
  const { browserAvailability } = await import('./browser-client.ts');
  return browserAvailability(options);
}
