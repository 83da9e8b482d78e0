/**
 * LiteRT.js (@litertjs/core 2.5) in browsers: segments as .tflite files. It shows that a Runtime is not onnxruntime's own,
 * and is in no bundle that does not ask for it. Its state is one a page, and so should this runtime be.
 */
import type * as LiteRt from '@litertjs/core';
import { asTandemError, messageOf, TandemError } from '../shared/errors.ts';
import type { Runtime, Session } from '../shared/runtime.ts';
import type { Tensor, Tensors } from '../shared/tensor.ts';
import { oneAtATime } from '../shared/turns.ts';

/** `import * as litert from '@litertjs/core'`. */
export type LitertModule = Pick<
  typeof LiteRt,
  'Tensor' | 'getGlobalLiteRtPromise' | 'getWebGpuDevice' | 'loadAndCompile' | 'loadLiteRt' | 'supportsFeature'
>;

export interface LitertRuntimeOptions {
  /** Where the files of `@litertjs/core/wasm` are: the URL of that folder. */
  readonly wasmUrl: string;
  /** Default `wasm`. What the others cannot do runs in wasm, where the browser can suspend it (JSPI); else all does. */
  readonly accelerator?: 'wasm' | 'webgpu' | 'webnn';
  /** Default false. Needs a page that is cross-origin isolated, and the accelerator `wasm`. */
  readonly threads?: boolean;
  /** What the plan calls a tensor, by its name in the .tflite file, for those that a converter renamed. */
  readonly names?: Readonly<Record<string, string>>;
}

/** An application that has called `loadLiteRt` itself keeps what it loaded: `wasmUrl` and `threads` then say nothing. */
export function litertRuntime(litert: LitertModule, options: LitertRuntimeOptions): Runtime {
  const { accelerator = 'wasm', names = {} } = options;
  const name = `LiteRT.js, ${accelerator}`;
  // Runs that overlap on WebGPU give what happens to be in memory, and no error.
  const inTurn = oneAtATime();
  return {
    name,
    load: (model) =>
      inTurn(async () => {
        if (!isTflite(model)) {
          throw new TandemError('BAD_MODEL', `${name} expected a .tflite file, got ${model.byteLength} other bytes`);
        }
        await start(litert, options);
        try {
          return litertSession(litert, await litert.loadAndCompile(model, { accelerator }), { names, inTurn });
        } catch (error) {
          throw asTandemError(error, 'BAD_MODEL', `${name} cannot load a model of ${model.byteLength} bytes`);
        }
      }),
  };
}

/** By the file identifier, behind the offset of the root table. LiteRT keeps its copy of a file that it refuses. */
function isTflite(model: Uint8Array): boolean {
  return String.fromCharCode(...model.subarray(4, 8)) === 'TFL3';
}

async function start(litert: LitertModule, { wasmUrl, accelerator, threads = false }: LitertRuntimeOptions) {
  const isWasm = accelerator === undefined || accelerator === 'wasm';
  try {
    const jspi = !isWasm && (await litert.supportsFeature('jspi'));
    await (litert.getGlobalLiteRtPromise() ?? litert.loadLiteRt(wasmUrl, { threads, jspi }));
  } catch (error) {
    // A script that does not arrive rejects with a bare event.
    const reason = error instanceof Error ? messageOf(error) : 'its script did not load';
    throw new TandemError('DEVICE_FAILED', `LiteRT.js does not start from ${wasmUrl}: ${reason}`, { cause: error });
  }
  if (accelerator === 'webgpu' && !litert.getWebGpuDevice()) {
    throw new TandemError('DEVICE_FAILED', 'LiteRT.js finds no WebGPU adapter in this browser: use wasm');
  }
}

interface SessionParts {
  readonly names: Readonly<Record<string, string>>;
  readonly inTurn: ReturnType<typeof oneAtATime>;
}

function litertSession(litert: LitertModule, model: LiteRt.CompiledModel, { names, inTurn }: SessionParts): Session {
  const [inputs, outputs] = [model.getInputDetails(), model.getOutputDetails()];
  const namesOf = (details: readonly LiteRt.TensorDetails[]) => details.map(({ name }) => names[name] ?? name);
  const [inputNames, outputNames] = [namesOf(inputs), namesOf(outputs)];
  const run = async (feeds: Tensors): Promise<Tensors> => {
    const held: LiteRt.Tensor[] = [];
    try {
      for (const [i, name] of inputNames.entries()) held.push(toLitert(litert, name, inputs[i], feeds[name]));
      const made = await model.run([...held]);
      held.push(...made);
      const tensors: Record<string, Tensor> = {};
      for (const [i, tensor] of made.entries()) tensors[outputNames[i] as string] = await fromLitert(tensor);
      return tensors;
    } catch (error) {
      throw asTandemError(error, 'DEVICE_FAILED', 'LiteRT.js cannot run a model');
    } finally {
      for (const tensor of held) tensor.delete();
    }
  };
  return {
    inputNames,
    outputNames,
    outputTypes: outputs.map(({ dtype, shape }, i) => ({
      ...{ name: outputNames[i] as string, elementType: dtype, shape: [...shape] },
    })),
    run: (feeds) => inTurn(() => run(feeds)),
    release: () => inTurn(async () => model.delete()),
  };
}

function toLitert(litert: LitertModule, name: string, details: LiteRt.TensorDetails | undefined, feed?: Tensor) {
  // LiteRT.js resizes nothing: the shape in the file is the only one.
  const expected = `${details?.dtype} [${details?.shape}]`;
  const got = feed ? `${feed.dtype} [${feed.shape}]` : 'nothing';
  if (!feed || got !== expected) {
    throw new TandemError('DEVICE_FAILED', `input ${name}: expected ${expected}, got ${got}`);
  }
  return new litert.Tensor(feed.data as LiteRt.TypedArray, [...feed.shape]);
}

async function fromLitert(tensor: LiteRt.Tensor): Promise<Tensor> {
  const { dtype, layout } = tensor.type;
  return { dtype, shape: [...layout.dimensions], data: await tensor.data() };
}
