import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as ort from 'onnxruntime-node';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { intAttribute } from '../../compiler/graph/graph.ts';
import { readModel } from '../../compiler/onnx/read.ts';
import type { SearchRecord } from '../../compiler/search/search-recipes.ts';
import { nodeRuntime } from '../../runtimes/onnxruntime-node.ts';
import { unpackModel } from '../../shared/codec/weights.ts';
import type { Plan } from '../../shared/plan.ts';
import type { Runtime, Session } from '../../shared/runtime.ts';
import { type TinyModel, tinyModel } from '../helpers/tiny-model.ts';
import { compileTiny } from './compile-tiny.ts';

vi.setConfig({ testTimeout: 60_000, hookTimeout: 30_000 });

let tiny: TinyModel;
beforeAll(async () => {
  tiny = await tinyModel();
});
afterAll(() => tiny.remove());

const recipesOf = (plan: Plan) => plan.segments.map(({ targets }) => targets['node']?.recipe);

async function searchOf(folder: string, target = 'node'): Promise<SearchRecord> {
  const record = JSON.parse(await readFile(join(tiny.dir, folder, 'measured.json'), 'utf8'));
  return record.searches[target] as SearchRecord;
}

describe('compressing a chain', () => {
  test('gives layers the form that they are pinned to, whatever it costs', async () => {
    const pins = [
      { match: '*', form: 'w4' },
      { match: 'conv3', form: 'float32' },
    ] as const;
    const budget = { accuracyDropMax: 1, answersChangedMax: 1 };
    const { plan } = await compileTiny(tiny, 'pinned', () => 1, { pins, budget });
    const { layers } = await searchOf('pinned');
    expect(layers.length).toBeGreaterThan(4);
    for (const { layer, form, options } of layers) {
      expect(form).toBe(layer === 'conv3' ? 'float32' : 'w4');
      expect(options.map((option) => option.form)).toEqual([form]);
    }
    expect(recipesOf(plan).join()).not.toContain('w8');
  });

  test('takes the smallest recipe of its front that loses no more than is allowed, and says what all of them lose', async () => {
    const budget = { accuracyDropMax: 0, answersChangedMax: 0 };
    await compileTiny(tiny, 'strict', () => 1, { budget, heldOutSamples: 40 });
    const strict = await searchOf('strict');
    await compileTiny(tiny, 'loose', () => 1, { budget: { accuracyDropMax: 1, answersChangedMax: 1 } });
    const loose = await searchOf('loose');
    expect(strict.chosen).toMatchObject({ drop: 0, changed: 0 });
    expect(loose.chosen.changed).toBeGreaterThan(0);
    expect(loose.chosen.bytes).toBeLessThan(strict.chosen.bytes);
    expect(strict.chosen.bytes).toBeLessThan(strict.float.bytes);
    for (const { front } of [strict, loose]) {
      expect(front.length).toBeGreaterThan(3);
      for (const [i, point] of front.entries()) if (i > 0) expect(point.loss).toBeGreaterThan(front[i - 1]?.loss ?? 0);
    }
  });

  test('keeps what a user says of bytes', async () => {
    const budget = { accuracyDropMax: 1, answersChangedMax: 1 };
    await compileTiny(tiny, 'all', () => 1, { budget });
    const { front, float } = await searchOf('all');
    const bytesMax = Math.round((float.bytes + Math.min(...front.map(({ bytes }) => bytes))) / 2);
    await compileTiny(tiny, 'small', () => 1, { budget: { ...budget, bytesMax } });
    for (const { bytes } of (await searchOf('small')).front) expect(bytes).toBeLessThanOrEqual(bytesMax);
    await compileTiny(tiny, 'tiny', () => 1, { budget: { ...budget, bytesMax: 1 } });
    const { reverted, chosen } = await searchOf('tiny');
    expect(reverted[0]).toContain('no recipe keeps bytesMax 1,');
    // What cannot be had is no reason to ship what is largest.
    expect(chosen.bytes).toBeLessThan(float.bytes);
  });

  test('prunes to a share of the work where that is asked for and allowed, and boundaries keep their shapes', async () => {
    const whole = await compileTiny(tiny, 'whole', () => 1);
    const budget = { accuracyDropMax: 1, answersChangedMax: 1, macsShare: 0.7 };
    const { plan } = await compileTiny(tiny, 'pruned', () => 1, { budget });
    expect(recipesOf(plan).join()).toMatch(/\d\d % of the work/);
    expect(plan.id).toBe(whole.plan.id);
    expect(plan.measured?.boundaryErrors['node']).toHaveLength(4);
    // The recipe alone makes the same files again.
    const committed = JSON.parse(await readFile(join(tiny.dir, 'pruned', 'measured.json'), 'utf8'));
    const again = await compileTiny({ ...tiny, recipe: { ...tiny.recipe, committed } }, 'again', () => 1, { budget });
    expect(again.isMeasuredNow).toBe(false);
    expect(again.plan).toEqual(plan);
  });

  test('fits weights before they are rounded where that is asked for, and tries fewer recipes', async () => {
    const budget = { accuracyDropMax: 1, answersChangedMax: 1 };
    await compileTiny(tiny, 'rounded', () => 1, { budget });
    const { plan } = await compileTiny(tiny, 'fitted', () => 1, { budget: { ...budget, fit: true } });
    expect(recipesOf(plan).join()).toContain('fitted');
    const [rounded, fitted] = [await searchOf('rounded'), await searchOf('fitted')];
    expect(fitted.front.length).toBeLessThan(rounded.front.length);
    expect(fitted.chosen.bytes).toBeLessThan(fitted.float.bytes);
    // The recipe alone makes the same files again.
    const committed = JSON.parse(await readFile(join(tiny.dir, 'fitted', 'measured.json'), 'utf8'));
    const again = await compileTiny({ ...tiny, recipe: { ...tiny.recipe, committed } }, 'fitted again', () => 1);
    expect(again.plan).toEqual(plan);
  });

  test('makes no segment again that the folder holds already, and all again where one is broken', async () => {
    const stages = async () => {
      const seen = new Set<string>();
      const { plan } = await compileTiny(tiny, 'kept', () => 1, { progress: ({ stage }) => seen.add(stage) });
      return { plan, isMade: seen.has('compressing for node') };
    };
    const first = await stages();
    expect(first.isMade).toBe(true);
    const second = await stages();
    expect(second).toEqual({ plan: first.plan, isMade: false });
    const file = join(tiny.dir, 'kept', first.plan.segments[0]?.targets['node']?.file ?? '');
    await writeFile(file, 'not what it was');
    const third = await stages();
    expect(third).toEqual({ plan: first.plan, isMade: true });
    expect((await readFile(file)).length).toBe(first.plan.segments[0]?.targets['node']?.bytes);
  });

  test('goes on from what a search that was stopped had measured, and leaves nothing of it beside the bundle', async () => {
    await mkdir(join(tiny.dir, 'apart'));
    const stopped = compileTiny(tiny, 'apart/bundle', () => 1, {
      progress: ({ stage, done }) => {
        if (stage === 'trying recipes on held-out samples' && done === 1) throw new Error('stopped');
      },
    });
    await expect(stopped).rejects.toThrow('stopped');
    const [name = ''] = await readdir(join(tiny.dir, 'apart'));
    expect(name).toBe('.bundle-node.search');
    const path = join(tiny.dir, 'apart', name);
    // A value that no measurement gives: it is taken as it is.
    const kept = (await readFile(path, 'utf8')).replaceAll(/"loss":[\d.e-]+(?=\}\]\n\["form 1 )/g, '"loss":0.125');
    await writeFile(path, kept);
    await compileTiny(tiny, 'apart/bundle', () => 1);
    const losses = (await searchOf('apart/bundle')).layers.flatMap(({ options }) => options.map(({ loss }) => loss));
    expect(losses).toContain(0.125);
    expect(await readdir(join(tiny.dir, 'apart'))).toEqual(['bundle']);
  });
});

describe('segments for WebGPU', () => {
  const budget = { accuracyDropMax: 1, answersChangedMax: 1 };
  const [GPU, SLOW_MS, FAST_MS] = [{ target: 'webgpu', hasFloat16: true }, 4, 2];
  /** TensorProto.DataType. */
  const FLOAT16 = 10;
  const isHalf = (model: Uint8Array) =>
    readModel(model, 'segment').graph.nodes.some(
      (node) => node.op === 'Cast' && intAttribute(node, 'to', 0) === FLOAT16,
    );
  /** Answers with nothing but 0. */
  const spoiled = (session: Session): Session => ({
    ...session,
    async run(feeds) {
      const outputs = await session.run(feeds);
      for (const { data } of Object.values(outputs)) (data as Float32Array).fill(0);
      return outputs;
    },
  });
  const textsOf = ({ segments }: Plan) => segments.map(({ targets }) => targets['webgpu']?.recipe ?? '');
  const revertedIn = async (folder: string) => (await searchOf(folder, 'webgpu')).reverted.join();

  test('compute in float16 where that is faster, and the recipe alone makes the same files again', async () => {
    const costMs = (model: Uint8Array) => (isHalf(model) ? FAST_MS : SLOW_MS);
    const { plan } = await compileTiny(tiny, 'half', costMs, { budget }, GPU);
    for (const text of textsOf(plan)) expect(text).toContain('computed in float16');
    for (const { targets } of plan.segments) {
      expect(isHalf(unpackModel(await readFile(join(tiny.dir, 'half', targets['webgpu']?.file ?? ''))))).toBe(true);
    }
    const { chosen, float } = await searchOf('half', 'webgpu');
    expect(chosen.timeMs / float.timeMs).toBeCloseTo(FAST_MS / SLOW_MS, 1);
    const committed = JSON.parse(await readFile(join(tiny.dir, 'half', 'measured.json'), 'utf8'));
    const again = await compileTiny({ ...tiny, recipe: { ...tiny.recipe, committed } }, 'half again', costMs, {}, GPU);
    expect(again.plan).toEqual(plan);
  });

  test('stay in float32 where nothing is gained', async () => {
    const { plan } = await compileTiny(tiny, 'no gain', () => SLOW_MS, { budget }, GPU);
    expect(textsOf(plan).join()).not.toContain('computed');
  });

  test('stay in float32 where answers would be lost, and it is said how many', async () => {
    const server = nodeRuntime(ort, { threads: 1 });
    const many: Runtime = {
      name: 'many',
      async load(model) {
        const session = await server.load(model);
        return isHalf(model) ? spoiled(session) : session;
      },
    };
    const costMs = (model: Uint8Array) => (isHalf(model) ? FAST_MS : SLOW_MS);
    const strict = { accuracyDropMax: 0.05, answersChangedMax: 0.05 };
    const { plan } = await compileTiny(tiny, 'lossy', costMs, { budget: strict, many }, GPU);
    expect(textsOf(plan).join()).not.toContain('computed');
    expect(await revertedIn('lossy')).toMatch(/float16: with it the metric lost .* % of the answers changed/);
  });

  test('stay in float32 where the adapter answers otherwise than clients will take', async () => {
    const costMs = (model: Uint8Array) => (isHalf(model) ? FAST_MS : SLOW_MS);
    const changed = (session: Session, model: Uint8Array) => (isHalf(model) ? spoiled(session) : session);
    await compileTiny(tiny, 'wrong', costMs, { budget }, { ...GPU, changed });
    const { reverted } = await searchOf('wrong', 'webgpu');
    expect(reverted.filter((text) => /^segment \d in float16: off by [\d.]+ on the adapter$/.test(text))).toHaveLength(
      4,
    );
  });

  test('stay in float32 where the adapter cannot, and it is said', async () => {
    const { plan } = await compileTiny(tiny, 'plain', () => 1, { budget }, { target: 'webgpu', hasFloat16: false });
    expect(textsOf(plan).join()).not.toContain('computed');
    expect(await revertedIn('plain')).toContain('shader-f16');
  });
});
