import { describe, expect, test } from 'vitest';
import { type InputRows, inputRows } from '../../../compiler/compress/input-rows.ts';
import { layerGrams, rowsToRound, splitGrams } from '../../../compiler/compress/layer-grams.ts';
import { layersOf } from '../../../compiler/compress/layers.ts';
import type { SegmentData } from '../../../compiler/compress/segment-data.ts';
import { floatConstant } from '../../../compiler/graph/graph.ts';
import { seededRandom } from '../../../shared/random.ts';
import { asFloat32, type Tensor, type Tensors } from '../../../shared/tensor.ts';
import { dataOf, literal, modelOf, runGraph } from '../run-graph.ts';
import { graphOf, randomTensor } from '../text-graph.ts';

const TEXT = `
  in x [1,4,6,6]
  const w0 [8,4,3,3]
  const w1 [8,1,3,3]
  const w2 [6,8,1,1]
  const w3 [6,8,1,1]
  const w4 [8,5,2,2]
  const w5 [4,7]
  a = Conv(x, w0) pads=[1,1,1,1]
  r = Relu(a)
  d = Conv(r, w1) group=8 pads=[1,1,1,1]
  p = Conv(d, w2)
  q = Conv(d, w3)
  t = ConvTranspose(d, w4)
  m = MatMul(k, w5)
  const k [3,4]
  out p
  out q
  out t
  out m`;

const samples: Tensors[] = [1, 2, 3].map((seed) => ({ x: randomTensor([1, 4, 6, 6], seededRandom(seed)) }));

function dataFrom(text: string, asked: string[][] = []): SegmentData {
  const runtime: SegmentData['runtime'] = {
    ...literal,
    async load(bytes, external) {
      const session = await literal.load(bytes, external);
      asked.push([...session.outputNames]);
      return session;
    },
  };
  return { ...dataOf(modelOf(graphOf(text)), samples), runtime };
}

describe("the moments of layers' inputs", () => {
  test('are sums over all rows of all samples, one matrix a group', async () => {
    const data = dataFrom(TEXT);
    const { graph } = data.model;
    const layers = layersOf(graph);
    const grams = await layerGrams(data, layers, rowsToRound(samples.length));
    expect([...grams.keys()]).toEqual(['a', 'd', 'p', 'q']);
    expect(grams.get('d')).toHaveLength(8);
    // Layer d, group 5: what the oracle gives, multiplied out.
    const relu = graphOf(TEXT);
    relu.outputs = [{ name: 'r', elementType: 'float32', shape: null }];
    const layer = layers.find(({ name }) => name === 'd') as (typeof layers)[number];
    const expected = new Float64Array(81);
    let count = 0;
    for (const sample of samples) {
      const { rows, columns } = inputRows(layer, (await runGraph(relu, sample))['r'] as Tensor)[5] as InputRows;
      expect(columns).toBe(9);
      for (let at = 0; at < rows.length; at += 9, count++) {
        for (let i = 0; i < 81; i++) {
          expected[i] =
            (expected[i] as number) + (rows[at + Math.floor(i / 9)] as number) * (rows[at + (i % 9)] as number);
        }
      }
    }
    const actual = grams.get('d')?.[5];
    expect(actual?.count).toBe(count);
    for (const [i, value] of expected.entries()) expect(actual?.gram[i]).toBeCloseTo(value, 4);
  });

  test('say what an error in a weight costs in the output', async () => {
    const data = dataFrom(TEXT);
    const grams = await layerGrams(data, layersOf(data.model.graph), rowsToRound(samples.length));
    const changed = graphOf(TEXT);
    const weight = floatConstant(changed, 'w2')?.data as Float32Array;
    const delta = weight.map((_, i) => (i % 3) - 1);
    weight.set(weight.map((value, i) => value + (delta[i] as number)));
    let expected = 0;
    for (const sample of samples) {
      const [a, b] = [await runGraph(changed, sample), await runGraph(data.model.graph, sample)];
      const [changedData, data0] = [a['p'], b['p']].map((tensor) => asFloat32(tensor as Tensor)) as [
        Float32Array,
        Float32Array,
      ];
      expected += changedData.reduce((sum, value, i) => sum + (value - (data0[i] as number)) ** 2, 0);
    }
    const [moments] = grams.get('p') ?? [];
    let actual = 0;
    for (let o = 0; o < 6; o++) {
      for (let i = 0; i < 64; i++) {
        const [r, c] = [Math.floor(i / 8), i % 8];
        actual += (delta[o * 8 + r] as number) * (delta[o * 8 + c] as number) * (moments?.gram[i] as number);
      }
    }
    expect(actual / expected).toBeCloseTo(1, 4);
  });

  test('of parts of the samples are those of each part by itself', async () => {
    const data = dataFrom(TEXT);
    const layers = layersOf(data.model.graph);
    const rows = rowsToRound(1);
    const both = await splitGrams(data, layers, [rows, rows], (sample) => sample % 2);
    for (const [part, grams] of both.entries()) {
      const own = async function* () {
        for (const [i, sample] of samples.entries()) if (i % 2 === part) yield sample;
      };
      expect(grams).toEqual(await layerGrams({ ...data, samples: own }, layers, rows));
    }
    expect(both[0]).not.toEqual(both[1]);
  });

  test('fetch a value once, and are shared by layers that see it alike', async () => {
    const asked: string[][] = [];
    const data = dataFrom(TEXT, asked);
    const grams = await layerGrams(data, layersOf(data.model.graph), rowsToRound(samples.length));
    // Products are summed by the runtime too.
    expect(asked.filter(([name]) => name !== 'product')).toEqual([['r', 'd']]);
    expect(grams.get('q')).toBe(grams.get('p'));
  });

  test.each([
    ['pads', 'pads=[1,1,1,1]'],
    ['strides', 'strides=[2,2]'],
    ['dilations', 'dilations=[2,2]'],
    ['groups', 'group=2'],
  ])('are not shared by layers that differ in %s', async (_, attribute) => {
    const kernel = attribute === 'group=2' ? '[4,2,2,2]' : '[4,4,2,2]';
    const text = `in x [1,4,6,6]\nconst v [4,4,2,2]\nconst w ${kernel}\na = Conv(x, v)\nb = Conv(x, w) ${attribute}\nout a\nout b`;
    const data = dataFrom(text);
    const grams = await layerGrams(data, layersOf(data.model.graph), rowsToRound(samples.length));
    expect(grams.get('b')?.[0]?.gram).not.toEqual(grams.get('a')?.[0]?.gram);
  });

  test('take so many rows of a sample that all make three a column', async () => {
    const data = dataFrom('in x [1,4,6,6]\nconst w [3,1,1,1]\ny = Reshape(x, [1,1,144,1])\nz = Conv(y, w)\nout z');
    const layers = layersOf(data.model.graph);
    const count = async (given: number) => (await layerGrams(data, layers, rowsToRound(given))).get('z')?.[0]?.count;
    expect(await count(3)).toBe(3 * 64);
    const wide = dataFrom(
      'in x [1,4,6,6]\nconst w [120,2]\ny = Reshape(x, [-1,1])\nz = Expand(y, [144,120])\nv = MatMul(z, w)\nout v',
    );
    expect((await layerGrams(wide, layersOf(wide.model.graph), rowsToRound(3))).get('v')?.[0]?.count).toBe(360);
  });
});
