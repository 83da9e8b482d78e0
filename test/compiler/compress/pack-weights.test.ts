import { brotliCompressSync, constants } from 'node:zlib';
import * as ort from 'onnxruntime-node';
import { describe, expect, test } from 'vitest';
import { brotliBytes, packModel } from '../../../compiler/compress/pack-weights.ts';
import { storeInt8 } from '../../../compiler/compress/store-weights.ts';
import { buildChain } from '../../../compiler/cut/segments.ts';
import { cloneGraph, type Graph } from '../../../compiler/graph/graph.ts';
import { readModel } from '../../../compiler/onnx/read.ts';
import { writeModel } from '../../../compiler/onnx/write.ts';
import { prepareModel, readSourceBytes } from '../../../compiler/prepare.ts';
import { ocrLineRecipe } from '../../../models/ocr-line/recipe.ts';
import { nodeRuntime } from '../../../runtimes/onnxruntime-node.ts';
import { unpackModel } from '../../../shared/codec/weights.ts';
import { gaussian, randomInt, seededRandom } from '../../../shared/random.ts';
import { modelOf, randomFeeds } from '../run-graph.ts';
import { graphOf } from '../text-graph.ts';

/** A graph with its weights in 8 bits, each then made anew by `code` from what it is and its place. */
function storedWith(text: string, code: Recode): { graph: Graph; file: Uint8Array } {
  const graph = graphOf(text);
  storeInt8(graph);
  return { graph, file: writeModel(modelOf(recoded(graph, code))) };
}

type Recode = (was: number, i: number) => number;

function recoded(graph: Graph, code: Recode): Graph {
  for (const [name, constant] of graph.initializers) {
    if (constant.elementType !== 'int8') continue;
    const codes = Int8Array.from(new Int8Array(Uint8Array.from(constant.bytes).buffer), code);
    graph.initializers.set(name, { ...constant, bytes: new Uint8Array(codes.buffer) });
  }
  return graph;
}

const CONV = 'in x [1,64,4,4]\nconst w [64,64,1,1]\ny = Conv(x, w)\nout y';
const MATMUL = 'in x [4,64]\nconst w [64,64]\ny = MatMul(x, w)\nout y';
/** From 8 bits to as many levels on either side. */
const rounded = (levels: number) => (was: number) => Math.round((was * levels) / 127);

/** Shannon's bound on codes whose channels each have a distribution of their own, in bytes. */
function boundBytes(channels: readonly (readonly number[])[]): number {
  const bits = channels.flatMap((codes) =>
    codes.map((code) => -Math.log2(codes.filter((other) => other === code).length / codes.length)),
  );
  return bits.reduce((a, b) => a + b, 0) / 8;
}

describe('packing a model', () => {
  test.each([4, 3])('packs weights of %i bits, to run as before', async (bits) => {
    const { graph, file } = storedWith(CONV, rounded(2 ** (bits - 1) - 1));
    const { bytes, isPacked } = packModel(file);
    expect(isPacked).toBe(true);
    expect(bytes.length).toBeLessThan(file.length - (64 * 64 * (8 - bits)) / 8);
    expect(brotliBytes(bytes)).toBeLessThan(0.95 * brotliBytes(file));
    const unpacked = unpackModel(bytes);
    expect(Buffer.compare(unpacked, file)).toBe(0);
    const feeds = randomFeeds(graph);
    const run = async (model: Uint8Array) => (await nodeRuntime(ort, { threads: 1 }).load(model)).run(feeds);
    expect(await run(unpacked)).toEqual(await run(file));
  });

  test.each([
    ['outermost', CONV, (i: number) => Math.floor(i / 64)],
    ['innermost', MATMUL, (i: number) => i % 64],
  ])('gives channels that spread alike a table of their own, where they are %s', (_, text, channelOf) => {
    const random = seededRandom(3);
    const channels = Array.from({ length: 64 }, (): number[] => []);
    const { file } = storedWith(text, (_was, i) => {
      const channel = channelOf(i);
      // Two kinds: most are zeros, or any of 15.
      const code = channel % 2 === 0 ? Number(random() < 0.05) : randomInt(random, -7, 7);
      channels[channel]?.push(code);
      return code;
    });
    const kinds = [0, 1].map((kind) => channels.filter((_codes, i) => i % 2 === kind).flat());
    const { bytes } = packModel(file);
    const rest = file.length - 64 * 64;
    // Besides: tables of 15 and 2 entries, a class a channel, the head.
    expect(bytes.length - rest).toBeLessThan(boundBytes(kinds) * 1.005 + 64 + 2 * 17 + 50);
    expect(boundBytes([kinds.flat()])).toBeGreaterThan(boundBytes(kinds) * 1.2);
  });

  test('tells channels apart that are as random as each other, but of other values', () => {
    const random = seededRandom(3);
    const kinds: number[][] = [[], []];
    const { file } = storedWith(CONV, (_was, i) => {
      const kind = Math.floor(i / 64) % 2;
      const code = kind === 0 ? randomInt(random, 0, 3) : randomInt(random, -3, 0);
      kinds[kind]?.push(code);
      return code;
    });
    // All channels under one table take a third more.
    expect(packModel(file).bytes.length - (file.length - 64 * 64)).toBeLessThan(boundBytes(kinds) * 1.01 + 64 + 100);
    expect(boundBytes([kinds.flat()])).toBeGreaterThan(boundBytes(kinds) * 1.3);
  });

  test('leaves 8-bit weights to brotli, packs them once half are zero', () => {
    const large = CONV.replaceAll('64', '256');
    const { file } = storedWith(large, (was) => was);
    expect(packModel(file)).toEqual({ bytes: file, isPacked: false });
    const pruned = storedWith(large, (was) => (Math.abs(was) < 30 ? 0 : was)).file;
    expect(packModel(pruned).isPacked).toBe(true);
    expect(Buffer.compare(unpackModel(packModel(pruned).bytes), pruned)).toBe(0);
  });

  test.each([
    ['without stored weights', writeModel(modelOf(graphOf(CONV)))],
    ['whose weights are all zero, which brotli has in a few bytes', storedWith(CONV, () => 0).file],
    ['of a few small weights', storedWith(CONV.replaceAll('64', '17'), rounded(7)).file.slice()],
  ])('leaves a model %s as it is, or gains by it', (_, file) => {
    const { bytes, isPacked } = packModel(file);
    if (isPacked) expect(brotliBytes(bytes)).toBeLessThanOrEqual(0.95 * brotliBytes(file));
    else expect(bytes).toBe(file);
  });

  test('takes any model, whatever its 8-bit constants are for', () => {
    const graph = graphOf('in x [1,4,8,8]\nconst w [4,4,3,3]\ny = Conv(x, w)\nout y');
    const random = seededRandom(1);
    const codes = Int8Array.from({ length: 4096 }, () => Math.round(gaussian(random) * 2));
    graph.initializers.set('lone', { elementType: 'int8', shape: [4096], bytes: new Uint8Array(codes.buffer) });
    const file = writeModel(modelOf(graph));
    const { bytes, isPacked } = packModel(file);
    expect(isPacked).toBe(true);
    expect(Buffer.compare(unpackModel(bytes), file)).toBe(0);
  });
});

describe('packing the segments of a real model', async () => {
  const recipe = ocrLineRecipe(undefined);
  const model = await prepareModel(await readSourceBytes(recipe), recipe, nodeRuntime(ort, { threads: 1 }));
  const segments = buildChain(model, recipe.cuts).segments.map((segment) => {
    const graph = cloneGraph(segment.model.graph);
    storeInt8(graph);
    return writeModel({ ...segment.model, graph });
  });

  test('keeps the files of 8-bit segments as they are: brotli does as well', () => {
    for (const file of segments) expect(packModel(file).isPacked).toBe(false);
  });

  test.each([
    [4, 7],
    [3, 3],
  ])(
    'makes those of %i bits smaller than brotli does, at its level and in all at its best',
    (_, levels) => {
      let [packed, best] = [0, 0];
      // The first two are enough: brotli at its best takes its time.
      for (const [i, segment] of segments.slice(0, 2).entries()) {
        const read = readModel(segment, `segment ${i + 1}`);
        const coarse = writeModel({ ...read, graph: recoded(read.graph, rounded(levels)) });
        const { bytes } = packModel(coarse);
        expect(Buffer.compare(unpackModel(bytes), coarse)).toBe(0);
        expect(brotliBytes(bytes)).toBeLessThan(0.9 * brotliBytes(coarse));
        packed += brotliBytes(bytes);
        best += brotliCompressSync(coarse, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } }).length;
      }
      expect(packed).toBeLessThan(best);
    },
    60_000,
  );
});
