import { describe, expect, test } from 'vitest';
import { type Channels, channelsOf } from '../../../compiler/compress/channel-groups.ts';
import { keptPositions, withoutChannels } from '../../../compiler/compress/remove-channels.ts';
import { buildProvenChain } from '../../../compiler/cut/proven-chain.ts';
import {
  type Constant,
  cloneGraph,
  constantOf,
  constantTensor,
  type Graph,
  type Model,
} from '../../../compiler/graph/graph.ts';
import { inferTypes } from '../../../compiler/graph/infer.ts';
import { observeTypes } from '../../../compiler/graph/observe.ts';
import { largestError, worstError } from '../../../compiler/measure/error.ts';
import { readModel } from '../../../compiler/onnx/read.ts';
import { writeModel } from '../../../compiler/onnx/write.ts';
import { prepareModel, readSourceBytes } from '../../../compiler/prepare.ts';
import { loadRecipe } from '../../../models/index.ts';
import { elementCount, type Tensors } from '../../../shared/tensor.ts';
import { literal, modelOf, randomFeeds, runModel } from '../run-graph.ts';
import { graphOf } from '../text-graph.ts';

const OPSET = 13;

async function analysed(text: string): Promise<{ model: Model; channels: Channels; feeds: Tensors }> {
  const model = modelOf(graphOf(text), OPSET);
  const feeds = randomFeeds(model.graph);
  return { model, feeds, channels: await channelsWith(model, feeds) };
}

async function channelsWith(model: Model, feeds: Tensors): Promise<Channels> {
  const typed = { ...model, graph: cloneGraph(model.graph) };
  await inferTypes(typed, literal);
  return channelsOf(model, await observeTypes(typed, literal, feeds));
}

/** The oracle: what layers multiply with the channels is 0. */
function withZeros(graph: Graph, channels: Channels, removed: ReadonlySet<number>): Graph {
  const zeroed = cloneGraph(graph);
  for (const { constant, axis, units, role } of channels.slices) {
    if (role !== 'input') continue;
    const tensor = constantTensor(zeroed.initializers.get(constant) as Constant);
    const data = Float32Array.from(tensor.data as Float32Array);
    const inner = elementCount(tensor.shape.slice(axis + 1));
    for (let i = 0; i < data.length; i++) {
      if (removed.has(units[Math.floor(i / inner) % units.length] as number)) data[i] = 0;
    }
    zeroed.initializers.set(constant, constantOf({ dtype: 'float32', shape: tensor.shape, data }));
  }
  return zeroed;
}

/** Every third unit of each group, others in the next. */
function everyThird({ groups }: Channels): Set<number> {
  return new Set(groups.flatMap(({ units }, g) => units.filter((_, i) => (i + g) % 3 === 1)));
}

async function expectRemovable(model: Model, channels: Channels, feeds: Tensors): Promise<Graph> {
  const removed = everyThird(channels);
  const { graph } = withoutChannels(model, channels, removed);
  const run = (of: Graph) => runModel(writeModel({ ...model, graph: of }), feeds);
  const expected = await run(withZeros(model.graph, channels, removed));
  expect(worstError(Object.keys(expected), await run(graph), expected, largestError)).toBeLessThanOrEqual(1e-5);
  return graph;
}

const HEAD = 'in x [2,3,6,8]\nconst w1 [6,3,3,3]\nconst b1 [6]\na = Conv(x, w1, b1) pads=[1,1,1,1]';
const END = 'const w9 [4,6,1,1]\ny = Conv(z, w9)\nout y';

describe('channels that can be removed', () => {
  test.each([
    ['of a convolution, through activations', `${HEAD}\nr = Relu(a)\nz = HardSigmoid(r)\n${END}`, [6]],
    [
      'through batch normalisation',
      `${HEAD}\nconst s [6]\nconst t [6]\nconst m [6]\nconst v [6] = 1 2 3 4 5 6\nz = BatchNormalization(a, s, t, m, v)\n${END}`,
      [6],
    ],
    ['through a depthwise convolution', `${HEAD}\nconst w2 [6,1,3,3]\nz = Conv(a, w2) group=6\n${END}`, [6]],
    [
      'through one that makes two of each',
      `${HEAD}\nconst w2 [12,1,3,3]\nd = Conv(a, w2) group=6\nconst w9 [4,12,1,1]\ny = Conv(d, w9)\nout y`,
      [6],
    ],
    [
      'of a convolution in groups, the same of each',
      `${HEAD}\nconst w2 [6,3,3,3]\nz = Conv(a, w2) group=2\n${END}`,
      [3, 3],
    ],
    [
      'of a residual sum',
      `${HEAD}\nconst w2 [6,6,3,3]\nb = Conv(a, w2) pads=[1,1,1,1]\nc = Relu(b)\nz = Add(c, a)\n${END}`,
      [6],
    ],
    [
      'of a block that squeezes and excites',
      `${HEAD}\np = GlobalAveragePool(a)\nconst s1 [3,6,1,1]\nq = Conv(p, s1)\nr = Relu(q)\nconst s2 [6,3,1,1]\ns = Conv(r, s2)\ng = Sigmoid(s)\nz = Mul(a, g)\n${END}`,
      [6, 3],
    ],
    [
      'of what is concatenated, also with what is fixed',
      `${HEAD}\nconst w2 [5,3,3,3]\nb = Conv(x, w2) pads=[1,1,1,1]\nz = Concat(a, x, b) axis=1\nconst w9 [4,14,1,1]\ny = Conv(z, w9)\nout y`,
      [6, 5],
    ],
    [
      'of what is split, and multiplied',
      `${HEAD}\nc, d = Split(a) axis=1\ne = Sigmoid(d)\nz = Mul(c, e)\nconst w9 [4,3,1,1]\ny = Conv(z, w9)\nout y`,
      [3],
    ],
    [
      'of what is split unevenly',
      `${HEAD}\nc, d = Split(a, [2,4]) axis=1\nconst w8 [4,2,1,1]\nconst w9 [4,4,1,1]\ne = Conv(c, w8)\nf = Conv(d, w9)\ny = Add(e, f)\nout y`,
      [6],
    ],
    [
      'through flattening into a Gemm',
      `${HEAD}\np = MaxPool(a) kernel_shape=[3,4] strides=[3,4]\nf = Flatten(p)\nconst w2 [5,24]\nconst b2 [5]\ng = Gemm(f, w2, b2) transB=1\nconst w3 [5,2]\ny = MatMul(g, w3)\nout y`,
      [6, 5],
    ],
    [
      'through a shape with numbers, and a transposition',
      `${HEAD}\nq = Reshape(a, [2,6,-1])\nt = Transpose(q) perm=[0,2,1]\nconst w2 [6,5]\nconst b2 [5]\nm = MatMul(t, w2)\nh = Add(m, b2)\nconst w3 [5,2]\ny = MatMul(h, w3)\nout y`,
      [6, 5],
    ],
    [
      'through reductions and slices of space',
      `${HEAD}\nu = Slice(a, [1], [5], [2])\nz = ReduceMean(u) axes=[2,3]\n${END}`,
      [6],
    ],
    [
      'through what is made larger',
      `${HEAD}\nu = Resize(a, , , [2,6,12,16]) mode=nearest\nz = Pad(u, [0,0,1,1,0,0,1,1])\n${END}`,
      [6],
    ],
    [
      'through values of each channel, also where two share them',
      `${HEAD}\nconst k [6,1,1]\nconst w2 [6,3,1,1]\nb = Conv(x, w2)\nc = Mul(a, k)\nd = Mul(b, k)\nconst w8 [4,6,1,1]\ne = Conv(d, w8)\nz = Max(c, 0)\n${END.replace('out y', 's = Add(y, e)\nout s')}`,
      [6, 6],
    ],
    [
      'of a transposed convolution',
      `${HEAD}\nconst w2 [6,5,2,2]\nu = ConvTranspose(a, w2) strides=[2,2]\nconst w9 [4,5,1,1]\ny = Conv(u, w9)\nout y`,
      [6, 5],
    ],
    [
      'that a depthwise convolution of the input need not read',
      'in x [2,6,5,5]\nconst w1 [6,1,3,3]\nz = Conv(x, w1) group=6\nconst w9 [4,6,1,1]\ny = Conv(z, w9)\nout y',
      [6],
    ],
  ])('%s', async (_, text, sizes) => {
    const { model, channels, feeds } = await analysed(text);
    expect(channels.groups.map(({ units }) => units.length)).toEqual(sizes);
    const graph = await expectRemovable(model, channels, feeds);
    const parameters = (of: Graph) => [...of.initializers.values()].reduce((sum, { bytes }) => sum + bytes.length, 0);
    expect(parameters(graph)).toBeLessThan(parameters(model.graph));
  });

  test.each([
    ['an output', `${HEAD}\nz = Relu(a)\n${END}\nout z`, 'z is an output'],
    ['an operator that is not known', `${HEAD}\nz = LRN(a) size=3\n${END}`, 'LRN may need all of them'],
    ['a softmax over them', `${HEAD}\nz = Softmax(a) axis=1\n${END}`, 'Softmax is over all of them'],
    [
      'a reduction over them',
      `${HEAD}\nm = ReduceMean(a) axes=[1]\nz = Sub(a, m)\n${END}`,
      'ReduceMean is over all of them',
    ],
    [
      'a sum with the input',
      `in x [1,6,4,4]\nconst w1 [6,6,1,1]\na = Conv(x, w1)\nz = Add(a, x)\n${END}`,
      'Add combines them with x, which is fixed',
    ],
    [
      'a slice of them',
      `${HEAD}\nu = Slice(a, [0], [5], [1])\nconst w9 [4,5,1,1]\ny = Conv(u, w9)\nout y`,
      'Slice counts them',
    ],
    [
      'a product of two values',
      `${HEAD}\nt = Transpose(a) perm=[0,1,3,2]\nz = MatMul(a, t)\n${END}`,
      'MatMul multiplies them with no constant weight',
    ],
    [
      'a shape that parts them',
      `${HEAD}\nr = Reshape(a, [2,2,3,6,8])\nq = Relu(r)\nz = Reshape(q, [2,6,6,8])\n${END}`,
      'Reshape parts or mixes them',
    ],
  ])('are none where there is %s', async (_, text, reason) => {
    const { channels } = await analysed(text);
    expect(channels.groups).toEqual([]);
    expect(channels.fixed.find(({ name }) => name === 'a')?.reason).toBe(reason);
  });

  test('leave at least one on every axis', async () => {
    const { model, channels } = await analysed(`${HEAD}\nz = Relu(a)\n${END}`);
    const all = new Set(channels.groups.flatMap(({ units }) => units));
    expect(() => withoutChannels(model, channels, all)).toThrow(expect.objectContaining({ code: 'BAD_INPUT' }));
  });

  test('are known by their positions', async () => {
    const { channels } = await analysed(`${HEAD}\nz = Relu(a)\n${END}`);
    const [first] = channels.groups[0]?.units ?? [];
    const reading = channels.slices.find(({ role }) => role === 'input');
    expect(keptPositions(reading?.units as Int32Array, new Set([first as number]))).toEqual([1, 2, 3, 4, 5]);
  });

  test.each([
    [
      'ocr-line',
      [[16, 32, 64, 64, 128, 128, 240, 240], [240, 240], [60, 480, 120, 480, 480], [60, 240, 240, 480, 60], []],
    ],
    ['wake-word', [[257], [24, 24], [48, 48, 48, 48, 72, 72, 72, 72, ...Array<number>(8).fill(96)], []]],
  ])(
    'of the segments of %s',
    async (name, sizes) => {
      const recipe = await loadRecipe(name);
      const whole = await prepareModel(await readSourceBytes(recipe), recipe, literal);
      const { segments } = await buildProvenChain(whole, recipe.cuts, literal, [recipe.noise(recipe.size.min)]);
      let feeds = recipe.noise(recipe.size.min);
      const found: number[][] = [];
      for (const { float } of segments) {
        const model = readModel(float, name);
        const channels = await channelsWith(model, feeds);
        found.push(channels.groups.map(({ units }) => units.length));
        await expectRemovable(model, channels, feeds);
        feeds = await runModel(float, feeds);
      }
      expect(found).toEqual(sizes);
    },
    60_000,
  );
});
