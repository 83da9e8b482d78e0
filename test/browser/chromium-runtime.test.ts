import * as ort from 'onnxruntime-node';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { writeModel } from '../../compiler/onnx/write.ts';
import { type Chromium, openChromium } from '../../runtimes/chromium.ts';
import { nodeRuntime } from '../../runtimes/onnxruntime-node.ts';
import { float32, type Tensors } from '../../shared/tensor.ts';
import { coded } from '../compiler/coded.ts';
import { modelOf } from '../compiler/run-graph.ts';
import { graphOf } from '../compiler/text-graph.ts';

const chromium = inject('chromium');
const X = float32([2, 3], Float32Array.of(-1.5, 0, 0.25, 1, 2, 300));

/** y of [2,3], and outputs of other types: float64, int64, bool, int32, and float16 where the engine has it. */
function model(types: readonly number[]): Uint8Array {
  const casts = types.map((type) => `c${type} = Cast(x) to=${type}`);
  const outs = types.map((type) => `out c${type}`);
  const graph = graphOf(['in x [2,3]', 'y = Add(x, 1)', ...casts, 'out y', ...outs].join('\n'));
  graph.outputs = graph.outputs.map(({ name }) => ({ name, elementType: 'undefined', shape: null }));
  return writeModel(modelOf(graph, 13));
}

describe.runIf(chromium.path)('onnxruntime-web in Chromium, driven from Node', () => {
  let browser: Chromium;
  beforeAll(async () => {
    browser = await openChromium(chromium.path ?? '');
  });
  afterAll(() => browser.close());

  test('gives what Node gives, in every type, and the milliseconds of the run alone', async () => {
    const bytes = model([11, 7, 9, 6, 10]);
    const session = await (await browser.open({ provider: 'wasm', threads: 1 })).load(bytes);
    expect([session.inputNames, session.outputNames.length]).toEqual([['x'], 6]);
    const expected: Tensors = await (await nodeRuntime(ort, { threads: 1 }).load(bytes)).run({ x: X });
    const begun = performance.now();
    const { outputs, ms } = (await session.runTimed?.({ x: X })) ?? { outputs: {}, ms: -1 };
    expect(ms).toBeGreaterThan(0);
    expect(ms).toBeLessThan(performance.now() - begun);
    for (const [name, { dtype, shape, data }] of Object.entries(expected)) {
      expect(outputs[name]).toMatchObject({ dtype, shape });
      expect([...(outputs[name]?.data ?? [])].map(Number), name).toEqual([...data].map(Number));
    }
    expect(await session.run({ x: X })).toEqual(outputs);
    await session.release();
  });

  test('holds several sessions in a page, and several pages with engines of their own', async () => {
    const [one, threads] = [
      await browser.open({ provider: 'wasm', threads: 1 }),
      await browser.open({ provider: 'wasm', threads: 2 }),
    ];
    const sessions = [await one.load(model([])), await one.load(model([7])), await threads.load(model([]))];
    for (const session of sessions) expect((await session.run({ x: X }))['y']?.data[0]).toBe(-0.5);
    expect((await sessions[1]?.run({ x: X }))?.['c7']?.data[5]).toBe(300n);
  });

  test('runs on WebGPU, if in software, where pages get an adapter', async () => {
    expect(browser.adapter).toBeTruthy();
    const session = await (await browser.open({ provider: 'webgpu', threads: 1 })).load(model([]));
    expect((await session.run({ x: X }))['y']?.data).toEqual(Float32Array.of(-0.5, 1, 1.25, 2, 3, 301));
  });

  test('refuses what is no model with the code that other runtimes give', async () => {
    const runtime = await browser.open({ provider: 'wasm', threads: 1 });
    await expect(runtime.load(Uint8Array.of(1, 2, 3))).rejects.toThrow(
      coded('BAD_MODEL', 'in Chromium, wasm cannot load'),
    );
  });
});

test('a browser that does not start is said to be one', async () => {
  await expect(openChromium('/bin/false')).rejects.toThrow(coded('UNSUPPORTED', '/bin/false does not start'));
});
