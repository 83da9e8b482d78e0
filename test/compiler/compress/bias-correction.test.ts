import { describe, expect, test } from 'vitest';
import { correctBiases, errorSaved } from '../../../compiler/compress/bias-correction.ts';
import { layerGrams, rowsToRound } from '../../../compiler/compress/layer-grams.ts';
import { layersOf, weightRows } from '../../../compiler/compress/layers.ts';
import { storeWeights } from '../../../compiler/compress/store-weights.ts';
import { floatConstant, type Graph } from '../../../compiler/graph/graph.ts';
import { verifyGraph } from '../../../compiler/graph/verify.ts';
import { seededRandom } from '../../../shared/random.ts';
import { asFloat32, type Tensor, type Tensors } from '../../../shared/tensor.ts';
import { dataOf, modelOf, runGraph } from '../run-graph.ts';
import { graphOf, randomTensor } from '../text-graph.ts';

/** Inputs with a mean of 2: then what a weight is off by moves the mean output. */
function samplesFrom(seed: number, mean = 2): Tensors[] {
  return [0, 1, 2].map((i) => {
    const x = randomTensor([1, 8, 6, 6], seededRandom(seed + i));
    return { x: { ...x, data: asFloat32(x).map((value) => value + mean) } };
  });
}

async function gramsOf(graph: Graph, samples: readonly Tensors[]) {
  return layerGrams(dataOf(modelOf(graph), samples), layersOf(graph), rowsToRound(samples.length));
}

/** Summed over samples, of the output y. */
async function errorOf(actual: Graph, expected: Graph, samples: readonly Tensors[]): Promise<number> {
  let error = 0;
  for (const sample of samples) {
    const [a, b] = [(await runGraph(actual, sample))['y'], (await runGraph(expected, sample))['y']] as [Tensor, Tensor];
    error += asFloat32(a).reduce((sum, value, i) => sum + (value - (b.data[i] as number)) ** 2, 0);
  }
  return error;
}

const SEEN = samplesFrom(10);
const UNSEEN = samplesFrom(20);

async function corrected(text: string, heldOut = UNSEEN) {
  const [graph, original] = [graphOf(text), graphOf(text)];
  const values = storeWeights(graph, new Map([['y', 'w3']]));
  const before = await errorOf(graph, original, UNSEEN);
  const grams = await gramsOf(original, SEEN);
  const names = correctBiases(graph, original, values, grams, await gramsOf(original, heldOut));
  verifyGraph(graph, 'after correcting');
  return { graph, names, before, after: await errorOf(graph, original, UNSEEN), values, original };
}

describe('correcting biases', () => {
  test.each([
    ['a convolution without one', 'y = Conv(x, w)', 'const w [16,8,3,3]'],
    ['a convolution with one', 'y = Conv(x, w, b)', 'const w [16,8,3,3]\nconst b [16]'],
    ['a convolution in groups', 'y = Conv(x, w, b) group=4', 'const w [64,2,3,3]\nconst b [64]'],
    ['a Gemm', 'f = Reshape(x, [48,6])\ny = Gemm(f, w, b)', 'const w [6,60]\nconst b [60]'],
    [
      'a Gemm with its weight transposed',
      'f = Reshape(x, [48,6])\ny = Gemm(f, w, b) transB=1',
      'const w [60,6]\nconst b [1,60]',
    ],
  ])('brings %s nearer to what it was on samples that it did not see', async (_, nodes, constants) => {
    const { names, before, after } = await corrected(`in x [1,8,6,6]\n${constants}\n${nodes}\nout y`);
    expect(names).toEqual(['y']);
    expect(after).toBeLessThan(before * 0.7);
  });

  test('leaves a bias where samples held out do not gain', async () => {
    const text = 'in x [1,8,6,6]\nconst w [16,8,3,3]\nconst b [16]\ny = Conv(x, w, b)\nout y';
    const { names, graph, original } = await corrected(text, samplesFrom(30, -2));
    expect(names).toEqual([]);
    expect(graph.initializers.get('b')).toEqual(original.initializers.get('b'));
  });

  test('leaves what others read, and gives the layer a bias of its own', async () => {
    const text =
      'in x [1,8,6,6]\nconst w [16,8,3,3]\nconst b [16]\nc = Conv(x, w, b)\nz = Neg(b)\ny = Identity(c)\nout y\nout z';
    const [graph, original] = [graphOf(text), graphOf(text)];
    const values = storeWeights(graph, new Map([['c', 'w3']]));
    const names = correctBiases(
      graph,
      original,
      values,
      await gramsOf(original, SEEN),
      await gramsOf(original, UNSEEN),
    );
    expect(names).toEqual(['c']);
    expect(graph.initializers.get('b')).toEqual(original.initializers.get('b'));
    expect(graph.nodes.find(({ op }) => op === 'Conv')?.inputs[2]).toBe('c.bias');
  });

  test.each([
    ['a MatMul, which has none', 'y = MatMul(x, w)', 'const w [6,60]'],
    ['a Gemm that scales', 'f = Reshape(x, [48,6])\ny = Gemm(f, w, b) alpha=0.5', 'const w [6,60]\nconst b [60]'],
    ['a bias that is computed', 'n = Neg(b)\ny = Conv(x, w, n)', 'const w [16,8,3,3]\nconst b [16]'],
    ['a bias of one value', 'f = Reshape(x, [48,6])\ny = Gemm(f, w, b)', 'const w [6,60]\nconst b [1]'],
  ])('leaves %s', async (_, nodes, constants) => {
    const { names, before, after } = await corrected(`in x [1,8,6,6]\n${constants}\n${nodes}\nout y`);
    expect(names).toEqual([]);
    expect(after).toBe(before);
  });

  test('is judged by what runs say that it saves', async () => {
    const text = 'in x [1,8,6,6]\nconst w [64,2,3,3]\ny = Conv(x, w) group=4\nout y';
    const { before, values, original } = await corrected(text);
    const [layer] = layersOf(original) as [ReturnType<typeof layersOf>[number]];
    const weight = floatConstant(original, 'w')?.data as Float32Array;
    const difference = (values.get('w') as Float32Array).map((value, i) => value - (weight[i] as number));
    const moments = (await gramsOf(original, UNSEEN)).get('y') ?? [];
    const shift = new Float32Array(64).fill(0.5);
    const moved = graphOf('in x [1,8,6,6]\nconst w [64,2,3,3]\nc = Conv(x, w) group=4\ny = Add(c, 0.5)\nout y');
    storeWeights(moved, new Map([['c', 'w3']]));
    const expected = before - (await errorOf(moved, original, UNSEEN));
    expect(Math.abs(expected)).toBeGreaterThan(0.01 * before);
    expect(errorSaved(weightRows(layer, difference), moments, shift) / expected).toBeCloseTo(1, 4);
  });
});
