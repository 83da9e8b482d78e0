import { describe, expect, test } from 'vitest';
import { segmentCompressor } from '../../../compiler/compress/compress-segment.ts';
import { refitWeights } from '../../../compiler/compress/refit-weights.ts';
import type { SegmentData } from '../../../compiler/compress/segment-data.ts';
import type { SegmentRecipe } from '../../../compiler/compress/segment-recipe.ts';
import { squaredError } from '../../../compiler/compress/trial.ts';
import { cloneGraph, floatConstant, type Model } from '../../../compiler/graph/graph.ts';
import { inferTypes } from '../../../compiler/graph/infer.ts';
import { writeModel } from '../../../compiler/onnx/write.ts';
import { seededRandom } from '../../../shared/random.ts';
import type { Tensors } from '../../../shared/tensor.ts';
import { dataOf, expectClose, literal, modelOf, randomFeeds, runGraph } from '../run-graph.ts';
import { graphOf } from '../text-graph.ts';

const SAMPLES = 24;
const OPTIONS = { samples: SAMPLES, mayLackVnni: false };

/** Convolutions, one of them depthwise, and products; weights enough to be stored. */
const NET = `
  in x [1,12,8,8]
  const w [24,12,3,3]
  const b [24]
  const d [24,1,4,4]
  const v [32,24,1,1]
  const f [32,32,1,1]
  const g [32,32,1,1]
  const m [5,32]
  a = Conv(x, w, b) pads=[1,1,1,1]
  r = Relu(a)
  e = Conv(r, d) group=24
  s = Relu(e)
  c = Conv(s, v)
  t = Relu(c)
  h = Conv(t, f)
  u = Relu(h)
  i = Conv(u, g)
  z = Relu(i)
  y = MatMul(z, m)
  out y`;

async function segment(text = NET, feeds?: (seed: number) => Tensors): Promise<SegmentData> {
  const graph = graphOf(text);
  const model = modelOf(graph, 13);
  await inferTypes(model, literal, true);
  return dataOf(
    model,
    Array.from({ length: SAMPLES }, (_, seed) => feeds?.(seed) ?? randomFeeds(graph, seed)),
  );
}

/** Channels that hang together, as those of pictures do: each is a mixture of four. */
function mixed(seed: number): Tensors {
  const random = seededRandom(seed);
  const planes = Float32Array.from({ length: 4 * 64 }, random);
  const data = Float32Array.from({ length: 12 * 64 }, (_, i) => {
    const [channel, at] = [Math.floor(i / 64), i % 64];
    let value = 0.5;
    for (let j = 0; j < 4; j++) value += Math.sin(3 * channel + 7 * j) * (planes[j * 64 + at] as number);
    return value;
  });
  return { x: { dtype: 'float32', shape: [1, 12, 8, 8], data } };
}

const layers = { a: 'w4', e: 'w4', c: 'w4', h: 'w4', i: 'w4' } as const;
const compress = async (data: SegmentData, recipe: SegmentRecipe) => segmentCompressor(data, OPTIONS)(recipe);

/** On inputs that nothing was fitted to, over the size of what the original makes. */
async function lossOf(data: SegmentData, { graph }: Model): Promise<number> {
  let sum = 0;
  for (let seed = 500; seed < 520; seed++) {
    const feeds = mixed(seed);
    sum += await squaredError(await runGraph(graph, feeds, 13), await runGraph(data.model.graph, feeds, 13));
  }
  return sum;
}

describe('weights that are fitted before they are rounded', () => {
  test('lose clearly less at the end of the segment than weights that are rounded as they are', async () => {
    const data = await segment(NET, mixed);
    const plain = await lossOf(data, await compress(data, { layers }));
    const fitted = await lossOf(data, await compress(data, { layers, refit: true }));
    expect(fitted).toBeGreaterThan(0);
    expect(fitted).toBeLessThan(0.8 * plain);
  });

  test('take no more bytes', async () => {
    const data = await segment();
    const bytes = async (recipe: SegmentRecipe) => writeModel(await compress(data, recipe)).byteLength;
    // Biases that were none before, and names.
    expect(await bytes({ layers, refit: true })).toBeLessThan((await bytes({ layers })) + 600);
  });

  test('compute what they were fitted as: the codes that are stored are those that layers behind were fitted to', async () => {
    const data = await segment();
    const graph = cloneGraph(data.model.graph);
    const { layers: fitted, codes } = await refitWeights(data, graph, new Map(Object.entries(layers)));
    expect([...fitted]).toEqual(['a', 'e', 'c', 'h', 'i', 'y']);
    expect(codes.size).toBe(5);
    const feeds = randomFeeds(data.model.graph, 99);
    const stored = await compress(data, { layers, refit: true });
    expectClose(await runGraph(stored.graph, feeds, 13), await runGraph(graph, feeds, 13), 1e-5);
  });

  test('are the same for the same recipe, whatever was made before', async () => {
    const data = await segment();
    const compressor = segmentCompressor(data, OPTIONS);
    const first = writeModel(await compressor({ layers, refit: true }));
    await compressor({ layers: { a: 'w8' }, refit: true });
    await compressor({ layers });
    expect(writeModel(await compressor({ layers, refit: true }))).toEqual(first);
    expect(writeModel(await compress(data, { layers, refit: true }))).toEqual(first);
    expect(writeModel(await compressor({ layers }))).not.toEqual(first);
  });

  test('leave a weight that two layers read as it is rounded without', async () => {
    const data = await segment(`
      in x [4,24]
      const w [24,24]
      const v [24,16]
      a = MatMul(x, w)
      r = Relu(a)
      b = MatMul(r, w)
      y = MatMul(b, v)
      out y`);
    const weightOf = async (recipe: SegmentRecipe) => {
      const { graph } = await compress(data, recipe);
      const [codes] = [...graph.initializers].filter(([name]) => name.startsWith('w.int8'));
      return codes?.[1].bytes;
    };
    const forms = { a: 'w4', b: 'w4', y: 'w4' } as const;
    expect(await weightOf({ layers: forms, refit: true })).toEqual(await weightOf({ layers: forms }));
  });

  test('work with layers in integers and in blocks beside them', async () => {
    const data = await segment(NET, mixed);
    const made = await compress(data, { layers: { a: 'int8', e: 'w4', c: 'int8', y: 'float16' }, refit: true });
    expect(made.quantized.length).toBeGreaterThan(0);
    expect(await lossOf(data, made)).toBeLessThan(20 * 0.02);
    expect(floatConstant(made.graph, 'd')).toBeUndefined();
  });
});
