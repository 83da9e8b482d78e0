/** What the page of litert.test.ts holds: LiteRT.js behind the Runtime interface, and a device made of it. */
import * as litert from '@litertjs/core';
import { localDevice } from '../../client/device.ts';
import { type LitertRuntimeOptions, litertRuntime } from '../../runtimes/litert.ts';
import { canvasPictures } from '../../runtimes/pictures-canvas.ts';
import { systemClock } from '../../shared/clock.ts';
import type { Crossing } from '../../shared/codec/boundary.ts';
import { asTandemError } from '../../shared/errors.ts';
import type { Plan } from '../../shared/plan.ts';
import type { Session } from '../../shared/runtime.ts';
import { type DType, type Tensors, tensor } from '../../shared/tensor.ts';

/** Tensors as Playwright's channel carries them. */
export type PlainTensors = Readonly<Record<string, PlainTensor>>;
interface PlainTensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data: readonly number[];
}

export interface Job {
  /** URL of the model. */
  readonly model: string;
  readonly options?: Partial<LitertRuntimeOptions>;
  readonly feeds: readonly PlainTensors[];
  /** Whether all runs are begun before the first has ended. */
  readonly atOnce?: boolean;
}

export interface Answers {
  readonly runtime: string;
  readonly inputNames: readonly string[];
  readonly outputTypes: Session['outputTypes'];
  readonly outputs: readonly PlainTensors[];
}

const load = async ({ model, options }: Pick<Job, 'model' | 'options'>) => {
  const runtime = litertRuntime(litert, { wasmUrl: '/wasm/', ...options });
  return { runtime, session: await runtime.load(await bytesOf(model)) };
};

const page = {
  /** Loads, runs and releases. Rejects with `CODE: message`. */
  answers: coded(async (job: Job): Promise<Answers> => {
    const { runtime, session } = await load(job);
    const outputs: PlainTensors[] = [];
    const runs = job.feeds.map((feeds) => () => session.run(fromPlain(feeds)).then(toPlain));
    if (job.atOnce) outputs.push(...(await Promise.all(runs.map((run) => run()))));
    else for (const run of runs) outputs.push(await run());
    const { inputNames, outputTypes } = session;
    await session.release();
    return { runtime: runtime.name, inputNames, outputTypes, outputs };
  }),

  /** Bytes of the wasm heap before and after so many runs, and so many loads and releases, of what is loaded and warm. */
  heap: coded(async (job: Job & { readonly runs: number; readonly loads: number }) => {
    const { session } = await load(job);
    const feeds = job.feeds.map(fromPlain);
    const run = (i: number) => session.run(feeds[i % feeds.length] ?? {});
    const bytes = async () => (await litert.getGlobalLiteRtPromise())?.liteRtWasm.HEAPU8.byteLength ?? 0;
    await run(0);
    const sizes = [await bytes()];
    for (let i = 0; i < job.runs; i++) await run(i);
    sizes.push(await bytes());
    for (let i = 0; i < job.loads; i++) await (await load(job)).session.release();
    sizes.push(await bytes());
    await session.release();
    return sizes;
  }),

  /** What a session says that was released. */
  released: coded(async (job: Job) => {
    const { session } = await load(job);
    await session.release();
    await session.release();
    return toPlain(await session.run(fromPlain(job.feeds[0] ?? {})));
  }),

  /** Runs the plan's segments on a device, from boundary 0 to the last. */
  device: coded(async ({ plan, models, feeds }: { plan: Plan; models: readonly string[]; feeds: PlainTensors }) => {
    const runtime = litertRuntime(litert, { wasmUrl: '/wasm/' });
    const clock = systemClock(globalThis);
    const device = localDevice({
      plan,
      target: 'litert',
      runtime,
      pictures: canvasPictures(),
      clock,
      random: Math.random,
    });
    for (const [k, model] of models.entries()) await device.load(k, await bytesOf(model));
    let crossing: Crossing = { k: 0, size: plan.size.min, tensors: fromPlain(feeds), picture: null };
    while (crossing.k < models.length) crossing = (await device.advance(crossing)).value;
    await device.close();
    return toPlain(crossing.tensors);
  }),
};

export type LitertPage = typeof page;
Object.assign(globalThis, { page });

function coded<Argument, Result>(work: (argument: Argument) => Promise<Result>) {
  return (argument: Argument) =>
    work(argument).catch((error: unknown) => {
      const { code, message } = asTandemError(error, 'INTERNAL', 'no TandemError');
      throw new Error(`${code}: ${message}`);
    });
}

async function bytesOf(url: string): Promise<Uint8Array> {
  return new Uint8Array(await (await fetch(url)).arrayBuffer());
}

function fromPlain(tensors: PlainTensors): Tensors {
  const arrayOf = { float32: Float32Array, int32: Int32Array, float64: Float64Array } as const;
  return Object.fromEntries(
    Object.entries(tensors).map(([name, { dtype, shape, data }]) => {
      const Data = arrayOf[dtype as keyof typeof arrayOf];
      return [name, tensor(dtype, shape, Data.from(data))];
    }),
  );
}

function toPlain(tensors: Tensors): PlainTensors {
  return Object.fromEntries(
    Object.entries(tensors).map(([name, { dtype, shape, data }]) => [
      name,
      { dtype, shape: [...shape], data: Array.from(data as Float32Array) },
    ]),
  );
}
