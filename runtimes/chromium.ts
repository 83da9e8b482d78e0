/**
 * onnxruntime-web in a real Chromium, driven from Node: where a web app's users run. A page holds one engine (its settings
 * are page-wide). Every run is timed in the page, so that the way there and back does not count.
 */
import type { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-common';
import { type Browser, chromium, type Page } from 'playwright-core';
import { asTandemError } from '../shared/errors.ts';
import type { Runtime, Session } from '../shared/runtime.ts';
import { type DType, type Tensors, tensorBytes, tensorFromBytes } from '../shared/tensor.ts';
import { type PageServer, servePages } from './chromium-server.ts';

export interface Engine {
  readonly provider: 'wasm' | 'webgpu';
  /** Of wasm. */
  readonly threads: number;
}

export interface Chromium {
  /** `Chromium 156.0.8078.79`. */
  readonly version: string;
  /** The WebGPU adapter that pages get, in a few words; undefined where there is none. */
  readonly adapter: string | undefined;
  /** Whether that computes in float16. */
  readonly hasFloat16: boolean;
  /** Processors, as a page sees them. */
  readonly processors: number;
  /** A new page with the engine in it. */
  open(engine: Engine): Promise<Runtime>;
  close(): Promise<void>;
}

/** @param path the browser's executable. @throws UNSUPPORTED where it does not start */
export async function openChromium(path: string): Promise<Chromium> {
  const server = await servePages();
  const browser = await launch(path).catch((error: unknown) => {
    server.close();
    throw asTandemError(error, 'UNSUPPORTED', `${path} does not start`);
  });
  const page = await openPage(browser, server, 'wasm');
  const found = await page.evaluate(lookAround);
  await page.close();
  return {
    version: `Chromium ${browser.version()}`,
    ...found,
    open: async (engine) => pageRuntime(await openPage(browser, server, engine.provider), server, engine),
    async close() {
      await browser.close();
      server.close();
    },
  };
}

function launch(path: string): Promise<Browser> {
  const isRoot = process.getuid?.() === 0;
  // The flag lets software stand in for a graphics processor; where there is one it changes nothing.
  const args = ['--enable-unsafe-webgpu', '--no-first-run', '--disable-background-networking'];
  return chromium.launch({ executablePath: path, args: isRoot ? [...args, '--no-sandbox'] : args });
}

async function openPage(browser: Browser, server: PageServer, provider: Engine['provider']): Promise<Page> {
  const page = await browser.newPage();
  // A run may take minutes; who waits for it has limits of his own.
  page.setDefaultTimeout(0);
  await page.goto(server.pageUrl(`ort.${provider}.bundle.min.mjs`));
  await page.waitForFunction(() => 'ort' in globalThis);
  return page;
}

function pageRuntime(page: Page, server: PageServer, engine: Engine): Runtime {
  const name = `onnxruntime-web in Chromium, ${engine.provider}`;
  return {
    name,
    async load(model) {
      const from = server.offer(model);
      try {
        return pageSession(page, server, await page.evaluate(loadInPage, { from, ...engine }));
      } catch (error) {
        throw asTandemError(error, 'BAD_MODEL', `${name} cannot load a model of ${model.byteLength} bytes`);
      } finally {
        server.forget(from);
      }
    },
  };
}

function pageSession(page: Page, server: PageServer, { id, inputNames, outputNames }: LoadedSession): Session {
  const runTimed = async (feeds: Tensors) => {
    const { parts, body } = pack(inputNames.flatMap((name) => (feeds[name] ? [[name, feeds[name]] as const] : [])));
    const [from, to] = [server.offer(body), server.expect()];
    try {
      const { ms, made } = await page.evaluate(runInPage, { id, from, to, parts });
      return { ms, outputs: unpack(made, server.received(to)) };
    } finally {
      server.forget(from);
      server.forget(to);
    }
  };
  return {
    ...{ inputNames, outputNames, runTimed },
    run: async (feeds) => (await runTimed(feeds)).outputs,
    release: () => page.evaluate(releaseInPage, id),
  };
}

/** Where a tensor is in a body of many. */
interface Part {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly offset: number;
  readonly byteLength: number;
}

function pack(tensors: readonly (readonly [string, Tensors[string]])[]): { parts: Part[]; body: Uint8Array } {
  let offset = 0;
  const parts = tensors.map(([name, value]): Part => {
    const { byteLength } = tensorBytes(value);
    const part = { name, dtype: value.dtype, shape: value.shape, offset, byteLength };
    offset += byteLength;
    return part;
  });
  const body = new Uint8Array(offset);
  for (const [i, [, value]] of tensors.entries()) body.set(tensorBytes(value), parts[i]?.offset);
  return { parts, body };
}

function unpack(parts: readonly Part[], body: Uint8Array): Tensors {
  return Object.fromEntries(
    parts.map(({ name, dtype, shape, offset, byteLength }) => [
      name,
      tensorFromBytes(dtype, shape, body.slice(offset, offset + byteLength)),
    ]),
  );
}

// What follows runs in the page, which knows nothing of this module.

interface PageGlobals {
  readonly ort: typeof import('onnxruntime-web');
  sessions?: InferenceSession[];
}

interface LoadedSession {
  readonly id: number;
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
}

async function lookAround(): Promise<Pick<Chromium, 'adapter' | 'hasFloat16' | 'processors'>> {
  interface Gpu {
    requestAdapter(): Promise<{
      readonly info: Readonly<Record<'vendor' | 'architecture', string>>;
      readonly features: ReadonlySet<string>;
    } | null>;
  }
  const gpu = (navigator as unknown as { gpu?: Gpu }).gpu;
  const adapter = await gpu?.requestAdapter().catch(() => null);
  return {
    adapter: adapter ? `${adapter.info.vendor} ${adapter.info.architecture}` : undefined,
    hasFloat16: adapter?.features.has('shader-f16') ?? false,
    processors: navigator.hardwareConcurrency,
  };
}

async function loadInPage({ from, provider, threads }: Engine & { from: string }): Promise<LoadedSession> {
  const globals = globalThis as unknown as PageGlobals;
  const { ort } = globals;
  ort.env.wasm.numThreads = threads;
  ort.env.wasm.wasmPaths = '/ort/';
  ort.env.logLevel = 'error';
  const model = new Uint8Array(await (await fetch(from)).arrayBuffer());
  const session = await ort.InferenceSession.create(model, { executionProviders: [provider] });
  globals.sessions ??= [];
  const id = globals.sessions.push(session) - 1;
  return { id, inputNames: session.inputNames, outputNames: session.outputNames };
}

async function runInPage(job: { id: number; from: string; to: string; parts: readonly Part[] }) {
  const { ort, sessions } = globalThis as unknown as PageGlobals;
  const session = sessions?.[job.id];
  if (!session) throw new Error(`there is no session ${job.id}`);
  // Where the browser has an array for float16, onnxruntime-web wants that.
  const half = (globalThis as { Float16Array?: typeof Uint16Array }).Float16Array ?? Uint16Array;
  const arrays = {
    ...{ float32: Float32Array, float64: Float64Array, float16: half, bool: Uint8Array },
    ...{ int8: Int8Array, uint8: Uint8Array, int16: Int16Array, uint16: Uint16Array },
    ...{ int32: Int32Array, uint32: Uint32Array, int64: BigInt64Array, uint64: BigUint64Array },
  };
  const body = await (await fetch(job.from)).arrayBuffer();
  const Tensor = ort.Tensor as unknown as new (type: string, data: unknown, dims: readonly number[]) => OrtTensor;
  const feeds: Record<string, OrtTensor> = {};
  for (const { name, dtype, shape, offset, byteLength } of job.parts) {
    feeds[name] = new Tensor(dtype, new arrays[dtype](body.slice(offset, offset + byteLength)), shape);
  }
  const began = performance.now();
  const outputs = await session.run(feeds);
  const ms = performance.now() - began;
  let offset = 0;
  const blobs: Uint8Array<ArrayBuffer>[] = [];
  const made = Object.entries(outputs).map(([name, { type, dims, data }]): Part => {
    const view = data as Uint8Array<ArrayBuffer>;
    blobs.push(new Uint8Array(view.buffer, view.byteOffset, view.byteLength));
    const part = { name, dtype: type as DType, shape: dims, offset, byteLength: view.byteLength };
    offset += view.byteLength;
    return part;
  });
  await fetch(job.to, { method: 'POST', body: new Blob(blobs) });
  return { ms, made };
}

async function releaseInPage(id: number): Promise<void> {
  await (globalThis as unknown as PageGlobals).sessions?.[id]?.release();
}
