import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as ort from 'onnxruntime-node';
import type * as reactNativeOrt from 'onnxruntime-react-native';
import { expect, expectTypeOf, test } from 'vitest';
import { writeModel } from '../../compiler/onnx/write.ts';
import { type ReactNativeOrtModule, reactNativeRuntime } from '../../runtimes/onnxruntime-react-native.ts';
import { float32 } from '../../shared/tensor.ts';
import { coded } from '../compiler/coded.ts';
import { modelOf } from '../compiler/run-graph.ts';
import { graphOf } from '../compiler/text-graph.ts';

const MODEL = writeModel(modelOf(graphOf('in x [2]\ny = Add(x, 1)\nout y'), 13));
const X = float32([2], Float32Array.of(1, 2));

/** onnxruntime of Node in the place of the package, which loads in apps alone: same API. Notes what sessions are made of. */
function appOrt(...backends: string[]) {
  const made: { readonly model: string | Uint8Array; readonly options: unknown }[] = [];
  const module = {
    ...{ Tensor: ort.Tensor, env: ort.env },
    listSupportedBackends: () => backends.map((name) => ({ name })),
    InferenceSession: {
      create(model: never, options: ort.InferenceSession.SessionOptions) {
        made.push({ model, options });
        return ort.InferenceSession.create(model, { ...options, executionProviders: ['cpu'] });
      },
    },
  };
  return { module: module as unknown as ReactNativeOrtModule, made };
}

test('takes the module of onnxruntime-react-native', () => {
  expectTypeOf<typeof reactNativeOrt.InferenceSession.create>().not.toBeAny();
  expectTypeOf<typeof reactNativeOrt>().toExtend<ReactNativeOrtModule>();
});

test('loads from a file, with the providers that the build has, in order, and cpu behind them', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'tandem-'));
  const path = join(folder, 'segment.onnx');
  const { module, made } = appOrt('cpu', 'xnnpack', 'nnapi');
  const saveModel = (model: Uint8Array) => writeFile(path, model).then(() => path);
  const providers = ['coreml', 'nnapi', 'cpu', 'xnnpack'] as const;
  const runtime = reactNativeRuntime(module, { providers, threads: 2, saveModel });
  expect(runtime.name).toBe(`onnxruntime-react-native ${ort.env.versions.common}, nnapi and xnnpack and cpu`);
  const session = await runtime.load(MODEL);
  expect((await session.run({ x: X }))['y']?.data).toEqual(Float32Array.of(2, 3));
  const options = { executionProviders: ['nnapi', 'xnnpack', 'cpu'], intraOpNumThreads: 2 };
  expect(made).toEqual([{ model: path, options }]);
  expect(new Uint8Array(await readFile(path))).toEqual(new Uint8Array(MODEL));
  await session.release();
  await rm(folder, { recursive: true });
});

test('hands over bytes in a buffer of their own, whatever they were a part of', async () => {
  const { module, made } = appOrt('cpu');
  const part = new Uint8Array(MODEL.byteLength + 16).subarray(8, 8 + MODEL.byteLength);
  part.set(MODEL);
  const session = await reactNativeRuntime(module, { providers: ['cpu'], threads: 1 }).load(part);
  expect((await session.run({ x: X }))['y']?.data).toEqual(Float32Array.of(2, 3));
  expect(made).toMatchObject([{ model: { buffer: { byteLength: MODEL.byteLength } } }]);
});

test('says that a provider needs files, and what is no model', async () => {
  const { module } = appOrt('cpu', 'coreml');
  const coreml = () => reactNativeRuntime(module, { providers: ['coreml'], threads: 1 });
  expect(coreml).toThrow(coded('UNSUPPORTED', 'uses coreml for models in files: give saveModel'));
  const runtime = reactNativeRuntime(module, { providers: ['cpu'], threads: 1 });
  await expect(runtime.load(Uint8Array.of(1, 2, 3))).rejects.toThrow(
    coded('BAD_MODEL', 'cpu cannot load a model of 3 bytes'),
  );
});
