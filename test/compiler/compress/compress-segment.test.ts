import { describe, expect, test } from 'vitest';
import { segmentCompressor } from '../../../compiler/compress/compress-segment.ts';
import type { SegmentData } from '../../../compiler/compress/segment-data.ts';
import type { LayerForm, SegmentRecipe } from '../../../compiler/compress/segment-recipe.ts';
import { inferTypes } from '../../../compiler/graph/infer.ts';
import { writeModel } from '../../../compiler/onnx/write.ts';
import type { Tensors } from '../../../shared/tensor.ts';
import { dataOf, expectClose, literal, modelOf, randomFeeds, runGraph } from '../run-graph.ts';
import { graphOf } from '../text-graph.ts';

const SAMPLES = 12;
const OPTIONS = { samples: SAMPLES, mayLackVnni: false };

/** Two convolutions with a ReLU between them, and a product behind. */
async function segment(): Promise<SegmentData> {
  const graph = graphOf(`
    in x [1,16,6,6]
    const w [32,16,3,3]
    const b [32]
    const v [24,32,1,1]
    const m [6,64]
    a = Conv(x, w, b) pads=[1,1,1,1]
    r = Relu(a)
    c = Conv(r, v)
    y = MatMul(c, m)
    out y`);
  const model = modelOf(graph, 13);
  await inferTypes(model, literal, true);
  return dataOf(
    model,
    Array.from({ length: SAMPLES }, (_, seed) => randomFeeds(graph, seed)),
  );
}

const recipe = (forms: Readonly<Record<string, LayerForm>>): SegmentRecipe => ({ layers: forms });

async function outputs(data: SegmentData, forms: Readonly<Record<string, LayerForm>>): Promise<Tensors> {
  const model = await segmentCompressor(data, OPTIONS)(recipe(forms));
  return runGraph(model.graph, randomFeeds(data.model.graph, 99), model.opsets.get(''));
}

describe('compressing a segment', () => {
  test.each<[string, Readonly<Record<string, LayerForm>>, number]>([
    ['in float16', { a: 'float16', c: 'float16', y: 'float16' }, 2e-3],
    ['in 8 bits', { a: 'w8', c: 'w8', y: 'w8' }, 0.02],
    ['in 4 bits', { a: 'w4', c: 'w4', y: 'w4' }, 0.2],
    ['in integers', { a: 'int8', c: 'int8' }, 0.05],
    ['each layer in another way', { a: 'int8', c: 'w4', y: 'w8' }, 0.2],
  ])('%s gives nearly the same, and not the same', async (_, forms, errorMax) => {
    const data = await segment();
    const expected = await runGraph(data.model.graph, randomFeeds(data.model.graph, 99), 13);
    const actual = await outputs(data, forms);
    expectClose(actual, expected, errorMax);
    expect(() => expectClose(actual, expected, 1e-6)).toThrow();
  });

  test('in full precision leaves it as it is', async () => {
    const data = await segment();
    expect(await outputs(data, {})).toEqual(await runGraph(data.model.graph, randomFeeds(data.model.graph, 99), 13));
  });

  test('takes a bit from the weights of layers that saturate, for processors that could, and from no others', async () => {
    // Both inputs at full swing, and two large weights beside each other in the first layer; apart in the second.
    const graph = graphOf(`
      in x [64,2]
      const w [2,4] = 1 0.1 1 0.1 1 0.1 -1 0.1
      const v [4,4] = 1 0 0 0 0 1 0 0 0 0 1 0 0 0 0 1
      a = MatMul(x, w)
      y = MatMul(a, v)
      out y`);
    const model = modelOf(graph, 13);
    await inferTypes(model, literal, true);
    const ones = { x: { dtype: 'float32' as const, shape: [64, 2], data: new Float32Array(128).fill(1) } };
    const data = dataOf(model, [ones]);
    const largest = async (mayLackVnni: boolean) => {
      const compressed = await segmentCompressor(data, { samples: 1, mayLackVnni })(recipe({ a: 'int8', y: 'int8' }));
      const codes = [...compressed.graph.initializers.values()].filter(({ elementType }) => elementType === 'int8');
      const maxima = codes.map(({ bytes }) => Math.max(...Int8Array.from(bytes, (byte) => (byte << 24) >> 24)));
      // A scale's zero points are int8 too.
      return maxima.filter((max) => max > 0).sort((a, b) => a - b);
    };
    expect(await largest(false)).toEqual([127, 127]);
    expect(await largest(true)).toEqual([63, 127]);
  });

  test('gives a file that depends on the recipe alone, not on what was tried before', async () => {
    const data = await segment();
    const [fresh, used] = [segmentCompressor(data, OPTIONS), segmentCompressor(data, OPTIONS)];
    await used(recipe({ a: 'w4', c: 'int8', y: 'w4' }));
    for (const forms of [{ a: 'float16' }, { a: 'float16', y: 'w4' }, { c: 'int8' }] as const) {
      expect(writeModel(await used(recipe(forms)))).toEqual(writeModel(await fresh(recipe(forms))));
    }
    expect(writeModel(data.model)).toEqual(writeModel((await segment()).model));
  });
});
