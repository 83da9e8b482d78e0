import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as ort from 'onnxruntime-node';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { storeInt8 } from '../../../compiler/compress/store-weights.ts';
import { buildChain } from '../../../compiler/cut/segments.ts';
import { cloneGraph } from '../../../compiler/graph/graph.ts';
import { compile } from '../../../compiler/index.ts';
import { type AccuracyRequest, measureAccuracy } from '../../../compiler/measure/accuracy.ts';
import { writeModel } from '../../../compiler/onnx/write.ts';
import { readSource } from '../../../compiler/prepare.ts';
import { nodeRuntime } from '../../../runtimes/onnxruntime-node.ts';
import { sharpPictures } from '../../../runtimes/pictures-sharp.ts';
import { boundaryCodec } from '../../../shared/codec/boundary.ts';
import type { PictureCodec } from '../../../shared/codec/picture.ts';
import { costAt } from '../../../shared/size.ts';
import { type TinyModel, tinyModel, tinyModelBytes } from '../../helpers/tiny-model.ts';

vi.setConfig({ testTimeout: 30_000, hookTimeout: 30_000 });

let tiny: TinyModel;
let request: AccuracyRequest;
beforeAll(async () => {
  tiny = await tinyModel();
  const { plan } = await compile(tiny.recipe, join(tiny.dir, 'bundle'), { targets: ['node'], samples: 1 });
  const runtime = nodeRuntime(ort, { threads: 1 });
  const load = async (bytes: Uint8Array, form: 'float' | 'int8') =>
    Promise.all(
      buildChain(readSource(bytes, tiny.recipe), tiny.recipe.cuts).segments.map(({ model }) => {
        const graph = cloneGraph(model.graph);
        if (form === 'int8') storeInt8(graph);
        return runtime.load(writeModel({ ...model, graph }));
      }),
    );
  const server = await load(await readFile(tiny.recipe.file), 'float');
  request = {
    split: 'test',
    plan,
    server,
    recipe: tiny.recipe,
    codec: boundaryCodec(plan, sharpPictures(sharp)),
    devices: new Map([
      ['same', server],
      ['small', await load(tiny.bytes, 'int8')],
      ['broken', await load(tinyModelBytes(2), 'float')],
    ]),
    ...{ samples: 6, seed: 3, now: () => performance.now(), progress: () => {} },
  };
});
afterAll(() => tiny.remove());

describe('measuring accuracy', () => {
  test('finds the whole model and a device in full precision without a fault, and a broken one full of them', async () => {
    const { accuracy } = await measureAccuracy(request);
    const local = (target: string, k: number) =>
      accuracy.find((row) => row.target === target && row.k === k && row.tier === null);
    expect(local('server', 0)).toMatchObject({ metrics: { exactMatch: 1, cer: 0 }, bytesMean: 0, bytesP95: 0 });
    expect(local('same', 4)).toMatchObject({ metrics: { exactMatch: 1, cer: 0 }, bytesMean: 0, bytesP95: 0 });
    expect(local('small', 4)?.metrics['cer']).toBeLessThan(0.1);
    expect(local('broken', 4)?.metrics['cer']).toBeGreaterThan(0.5);
  });

  test('finds fewer bits smaller and worse, at every boundary', async () => {
    const { accuracy } = await measureAccuracy(request);
    const row = (k: number, tier: string) =>
      accuracy.find((one) => one.target === 'same' && one.k === k && one.tier === tier);
    for (const k of [1, 2, 3]) {
      const [wide, narrow] = [row(k, 'q8'), row(k, 'q4')];
      expect(narrow?.bytesMean).toBeLessThan((wide?.bytesMean as number) * 0.75);
      expect(narrow?.metrics['cer']).toBeGreaterThan(wide?.metrics['cer'] as number);
      expect(wide?.metrics['cer']).toBeLessThan(0.05);
      expect(wide?.bytesP95).toBeGreaterThan(wide?.bytesMean as number);
    }
  });

  test('gives bytes and decoding as functions of the size, once a boundary and tier', async () => {
    const { tiers, accuracy } = await measureAccuracy(request);
    expect(tiers.map(({ k, tier }) => `${k} ${tier}`)).toEqual([
      '0 webp-80',
      '0 jpeg-85',
      '1 q8',
      '1 q4',
      '2 q8',
      '2 q4',
      '3 q8',
      '3 q4',
    ]);
    for (const { k, tier, bytes, decodeMs } of tiers) {
      expect(bytes.perSize).toBeGreaterThan(0);
      const mean = accuracy.find((row) => row.target === 'same' && row.k === k && row.tier === tier)
        ?.bytesMean as number;
      // Pictures are 16 to 64 pixels wide: the line passes the mean between those.
      expect(costAt(bytes, 16)).toBeLessThan(mean);
      expect(costAt(bytes, 64)).toBeGreaterThan(mean);
      expect(costAt(decodeMs, 32)).toBeGreaterThan(0);
    }
  });

  test('does not count what the first decoding of a tier takes to set up', async () => {
    const { codec } = request;
    const known = new Set<string>();
    let nowMs = 0;
    const slowAtFirst = {
      encode: codec.encode,
      decode: async (...args: Parameters<typeof codec.decode>) => {
        const name = `${args[0]} ${args[1]}`;
        nowMs += known.has(name) ? 2 : 1000;
        known.add(name);
        return codec.decode(...args);
      },
    };
    const { tiers } = await measureAccuracy({ ...request, codec: slowAtFirst, now: () => nowMs });
    expect(tiers.map(({ decodeMs }) => decodeMs)).toEqual(tiers.map(() => ({ fixed: 2, perSize: 0 })));
  });

  test('tells how far the boundaries of each device are from those of the server', async () => {
    const { boundaryErrors } = await measureAccuracy(request);
    expect(boundaryErrors['same']).toEqual([0, 0, 0, 0]);
    const [input, ...inner] = boundaryErrors['small'] ?? [];
    expect(input).toBe(0);
    expect(Math.max(...inner)).toBeGreaterThan(0);
    expect(Math.max(...inner)).toBeLessThan(0.1);
    expect(boundaryErrors['broken']?.[1]).toBeGreaterThan(0.5);
  });

  test('leaves out a picture format that the host cannot make', async () => {
    const pictures: PictureCodec = sharpPictures(sharp);
    const encode: PictureCodec['encode'] = async (picture, format, quality) =>
      format === 'webp' ? null : pictures.encode(picture, format, quality);
    const codec = boundaryCodec(request.plan, { ...pictures, encode });
    const { accuracy, tiers } = await measureAccuracy({ ...request, codec, samples: 2 });
    expect(accuracy.filter(({ target, k }) => target === 'same' && k === 0).map(({ tier }) => tier)).toEqual([
      'jpeg-85',
    ]);
    expect(tiers[0]).toMatchObject({ k: 0, tier: 'jpeg-85' });
  });
});
