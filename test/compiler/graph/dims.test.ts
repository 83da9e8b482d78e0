import { describe, expect, test } from 'vitest';
import { knownDims } from '../../../compiler/graph/dims.ts';
import type { Graph, Model } from '../../../compiler/graph/graph.ts';
import { writeModel } from '../../../compiler/onnx/write.ts';
import { withTaps } from '../../../compiler/prepare.ts';
import { seededRandom } from '../../../shared/random.ts';
import type { Runtime } from '../../../shared/runtime.ts';
import type { Tensors } from '../../../shared/tensor.ts';
import { literal, modelOf, runModel } from '../run-graph.ts';
import { graphOf, randomTensor } from '../text-graph.ts';

/** Rules alone: the runtime says nothing. */
const silent: Runtime = { name: 'silent', load: () => Promise.reject(new Error('nothing to say')) };

/** Dimensions of the last value, symbols by the input dimension that they are, or `?` and a number for new ones. */
async function lastDims(graph: Graph, opset: number, runtime: Runtime): Promise<string> {
  const dims = await knownDims(modelOf(graph, opset), runtime);
  const names = new Map<unknown, string>();
  for (const { name, shape } of graph.inputs) {
    for (const [axis, dim] of (dims.get(name) ?? []).entries()) {
      if (typeof dim === 'string') names.set(dim, String(shape?.[axis]));
    }
  }
  let fresh = 0;
  const text = (dim: unknown) => {
    if (typeof dim === 'string' && !names.has(dim)) names.set(dim, `?${++fresh}`);
    return names.get(dim) ?? String(dim);
  };
  const last = dims.get(graph.nodes.at(-1)?.outputs[0] ?? '');
  return last ? `[${last.map(text)}]` : 'unknown';
}

/** Inputs whose symbolic dimensions are as given. */
function feedsOf(graph: Graph, sizes: Readonly<Record<string, number>>): Tensors {
  const random = seededRandom(3);
  return Object.fromEntries(
    graph.inputs.map(({ name, shape }) => [
      name,
      randomTensor(
        (shape ?? []).map((dim) => (typeof dim === 'number' ? dim : (sizes[dim as string] ?? 4))),
        random,
      ),
    ]),
  );
}

/** What is known is what comes out, at three sizes; one symbol is one number. */
async function expectTrue(model: Model): Promise<void> {
  const { graph } = model;
  const dims = await knownDims(model, literal);
  const names = graph.nodes.flatMap(({ outputs }) => outputs).filter((name) => name !== '' && dims.has(name));
  for (const sizes of [
    { N: 4, M: 4 },
    { N: 2, M: 6 },
    { N: 1, M: 8 },
  ]) {
    const feeds = feedsOf(graph, sizes);
    const made = { ...feeds, ...(await runModel(writeModel(withTaps(model, names)), feeds)) };
    const numbers = new Map<string, number>();
    for (const [name, { shape }] of Object.entries(made)) {
      const said = dims.get(name);
      if (!said) continue;
      expect(shape, name).toHaveLength(said.length);
      for (const [axis, dim] of said.entries()) {
        const number = typeof dim === 'number' ? dim : (numbers.get(dim) ?? shape[axis]);
        expect(shape[axis], `${name}, axis ${axis}`).toBe(number);
        if (typeof dim === 'string') numbers.set(dim, shape[axis] as number);
      }
    }
  }
}

/** [what, dimensions of y by rules alone, graph behind `in x [N,3,M,8]`, operator set if not 9] */
const RULES: [what: string, expected: string, text: string, opset?: number][] = [
  ['elementwise', '[N,3,M,8]', 'y = Relu(x)'],
  ['softmax', '[N,3,M,8]', 'y = Softmax(x)', 13],
  ['broadcasting a number over a symbol', '[N,3,M,8]', 'const c [1,3,1,8]\ny = Add(x, c)'],
  ['broadcasting one dimension with itself', '[N,3,M,8]', 'a = Neg(x)\ny = Mul(a, x)'],
  ['broadcasting a lower rank', '[N,3,M,8]', 'const c [8]\ny = Add(c, x)'],
  ['MatMul', '[N,3,M,5]', 'const w [8,5]\ny = MatMul(x, w)'],
  ['MatMul of both', '[N,3,M,M]', 't = Transpose(x) perm=[0,1,3,2]\ny = MatMul(x, t)'],
  ['Gemm', '[N,5]', 'r = ReduceMean(x) axes=[1,2] keepdims=0\nconst w [5,8]\ny = Gemm(r, w) transB=1', 11],
  ['Transpose', '[8,M,3,N]', 'y = Transpose(x)'],
  ['Conv that keeps the size', '[N,4,M,8]', 'const w [4,3,3,3]\ny = Conv(x, w) pads=[1,1,1,1]'],
  ['Conv with a step', '[N,4,?1,4]', 'const w [4,3,3,3]\ny = Conv(x, w) pads=[1,1,1,1] strides=[2,2]'],
  [
    'two windows of one step and reach',
    '[N,3,?1,4]',
    'const w [3,3,3,3]\nconst v [3,3,1,1]\na = Conv(x, w) pads=[1,1,1,1] strides=[2,2]\nb = Conv(x, v) strides=[2,2]\ny = Add(a, b)',
  ],
  ['Conv with pads of its own', '[N,4,M,8]', 'const w [4,3,3,3]\ny = Conv(x, w) auto_pad=SAME_UPPER'],
  [
    'Conv with a step and pads of its own',
    '[N,4,?1,4]',
    'const w [4,3,3,3]\ny = Conv(x, w) auto_pad=SAME_LOWER strides=[2,2]',
  ],
  ['pooling that rounds up', '[N,3,?1,?2]', 'y = MaxPool(x) kernel_shape=[3,3] strides=[2,2] ceil_mode=1', 10],
  ['pooling', '[N,3,M,7]', 'y = AveragePool(x) kernel_shape=[1,2]'],
  ['global pooling', '[N,3,1,1]', 'y = GlobalAveragePool(x)'],
  ['reducing', '[N,1,M,1]', 'y = ReduceSum(x) axes=[1,-1]'],
  ['reducing to fewer axes', '[N,M]', 'y = ReduceMax(x) axes=[1,3] keepdims=0'],
  ['reducing by an input', '[N,1,M,8]', 'ints a = 1\ny = ReduceSum(x, a)', 13],
  ['reducing all', '[1,1,1,1]', 'y = ReduceMean(x)'],
  ['ArgMax', '[N,3,M]', 'y = ArgMax(x) axis=-1 keepdims=0'],
  ['Unsqueeze', '[N,3,M,1,8]', 'y = Unsqueeze(x) axes=[3]'],
  ['Unsqueeze by an input', '[1,N,3,M,8,1]', 'ints a = 0 -1\ny = Unsqueeze(x, a)', 13],
  ['Squeeze', '[N,M,8]', 'r = ReduceMean(x) axes=[1]\ny = Squeeze(r) axes=[1]'],
  ['Squeeze of who knows which', 'unknown', 'r = ReduceMean(x) axes=[1]\ny = Squeeze(r)'],
  ['Flatten to a product of two', '[N,?1]', 'y = Flatten(x)'],
  ['Flatten', '[N,24]', 'r = ReduceMax(x) axes=[2]\ny = Flatten(r)'],
  ['Concat', '[N,6,M,8]', 'a = Neg(x)\ny = Concat(x, a) axis=1'],
  ['Concat along a symbol', '[N,3,?1,8]', 'y = Concat(x, x) axis=-2'],
  ['Split', '[N,1,M,8]', 'y, y2, y3 = Split(x) axis=1'],
  ['Split along a symbol', '[?1,3,M,8]', 'a = Concat(x, x) axis=0\ny, y2 = Split(a) axis=0'],
  ['Slice', '[N,3,?1,4]', 'y = Slice(x) axes=[2,3] starts=[1,-4] ends=[3,100]'],
  ['Slice backwards', '[N,3,M,4]', 'ints s = -1\nints e = -9\nints a = 3\nints p = -2\ny = Slice(x, s, e, a, p)', 10],
  ['Slice of all', '[N,3,M,8]', 'y = Slice(x) axes=[2] starts=[0] ends=[2147483647]'],
  ['Gather', '[N,2,M,8]', 'ints i = 2 0\ny = Gather(x, i) axis=1'],
  ['Gather of one', '[N,M,8]', 'int i = 2\ny = Gather(x, i) axis=1'],
  ['Reshape that copies', '[N,?1,8]', 'ints s = 0 -1 8\ny = Reshape(x, s)'],
  ['Reshape of what is left over', '[N,24,M]', 't = Transpose(x) perm=[0,1,3,2]\nints s = 0 24 -1\ny = Reshape(t, s)'],
  ['Reshape to a number', '[N,24]', 'r = ReduceMax(x) axes=[2]\nints s = 0 -1\ny = Reshape(r, s)'],
  ['Reshape to another shape', '[N,3,M,8]', 's = Shape(x)\nints f = 0 -1\na = Reshape(x, f)\ny = Reshape(a, s)'],
  [
    'Reshape to a shape put together',
    '[N,24,M]',
    's = Shape(x)\nints i = 0\nints j = 2\nints k = 24\nn = Gather(s, i)\nm = Slice(s) starts=[2] ends=[3]\nc = Cast(m) to=6\nd = Cast(c) to=7\np = Concat(n, k, d) axis=0\ny = Reshape(x, p)',
  ],
  [
    'Reshape to a shape of scalars',
    '[N,24,M]',
    's = Shape(x)\nint i = 0\nint j = 2\nints k = 24\nn0 = Gather(s, i)\nm0 = Gather(s, j)\nn = Unsqueeze(n0) axes=[0]\nm = Unsqueeze(m0) axes=[0]\np = Concat(n, k, m) axis=0\ny = Reshape(x, p)',
  ],
  [
    'Reshape to what was counted',
    '[N,M,24]',
    's = Shape(x)\nints i = 0 2\nints j = 1\nints l = 3\nh = Gather(s, i)\na = Gather(s, j)\nb = Gather(s, l)\nc = Mul(a, b)\np = Concat(h, c) axis=0\nt = Transpose(x) perm=[0,2,1,3]\ny = Reshape(t, p)',
  ],
  [
    'Reshape to rows and back',
    '[N,M,3,5]',
    `const w [8,5]\nt = Transpose(x) perm=[0,2,1,3]\ns = Shape(t)\nints i = 0 1 2\nh = Gather(s, i)\nints f = -1 8\nr = Reshape(t, f)\nm = MatMul(r, w)\nints o = 5\np = Concat(h, o) axis=0\ny = Reshape(m, p)`,
  ],
  [
    'Reshape to a size counted and taken apart',
    '[M,24,N]',
    's = Shape(x)\nints i = 0\nints j = 2\nn = Gather(s, i)\nm = Gather(s, j)\nc = Mul(n, m)\nd = Div(c, n)\nints k = 24\np = Concat(d, k, n) axis=0\ny = Reshape(x, p)',
  ],
  ['Expand', '[N,3,M,8]', 'const c [3,1,1]\ns = Shape(x)\ny = Expand(c, s)'],
  ['ConstantOfShape', '[N,3,M,8]', 's = Shape(x)\ny = ConstantOfShape(s)'],
  ['Shape', '[4]', 'y = Shape(x)'],
  ['part of a Shape', '[2]', 'y = Shape(x) start=-3 end=-1', 15],
  ['Size', '[]', 'y = Size(x)'],
  ['an operator without a rule', 'unknown', 'y = GlobalLpPool(x)'],
];

/** Behind inputs x [N,3,M,8], z [K,3,L,8] and one [J]: what must not be said, though it holds more often than not. */
const DOUBTS: typeof RULES = [
  ['broadcasting two that may be 1', '[?1,3,?2,8]', 'y = Add(x, z)'],
  ['broadcasting a number over what may be 1', '[N,3,4,8]', 'const c [4,1]\ny = Add(x, c)'],
  ['Concat of what has to agree', '[?1,6,?2,8]', 'y = Concat(x, z) axis=1'],
  [
    'windows of other reach',
    '[N,3,?1,4]',
    'const w [3,3,1,1]\na = Conv(x, w) strides=[2,2]\nb = MaxPool(x) kernel_shape=[2,2] strides=[2,2]\ny = Add(a, b)',
  ],
  [
    'a computed size beside one that is left over',
    '[?1,?2]',
    `${gathered('x', '2')}\nints o = -1\np = Concat(o, g) axis=0\ny = Reshape(x, p)`,
  ],
  [
    'a computed size that comes from elsewhere',
    '[?1,24]',
    `${gathered('one', '0')}\nints o = 24\np = Concat(g, o) axis=0\na = ReduceMax(x) axes=[2]\ny = Reshape(a, p)`,
  ],
  [
    'a size computed of two',
    '[?1,?2,8]',
    `${gathered('x', '0')}\nh = Mul(g, g)\nints o = -1 8\np = Concat(h, o) axis=0\ny = Reshape(x, p)`,
  ],
  [
    'a size divided',
    '[?1,?2,8]',
    `${gathered('x', '0')}\nints two = 2\nh = Div(g, two)\nints o = -1 8\np = Concat(h, o) axis=0\ny = Reshape(x, p)`,
  ],
  [
    'pads of its own under a stretched window',
    '[N,4,?1,?2]',
    'const w [4,3,3,3]\ny = Conv(x, w) auto_pad=SAME_UPPER dilations=[2,2]',
  ],
  [
    'a shape laid out in two axes',
    'unknown',
    's = Shape(x)\nu = Unsqueeze(s) axes=[1]\nc = Concat(u, u) axis=1\nints o = -1\nf = Reshape(c, o)\ny = ConstantOfShape(f)',
  ],
  [
    'a half that is doubled',
    '[?1]',
    `${gathered('x', '2')}\nints two = 2\nh = Div(g, two)\nk = Mul(h, two)\ny = ConstantOfShape(k)`,
  ],
  ['axes that are computed', '[?1,?2,?3,?4]', 's = Shape(one)\ny = ReduceSum(x, s)', 13],
  ['a Slice that is computed', '[?1,3,M,8]', 's = Shape(one)\nints b = 0\nints a = 0\ny = Slice(x, b, s, a)', 10],
  ['an old operator set', 'unknown', 'y = Relu(x)', 6],
];

function gathered(of: string, entry: string): string {
  return `s = Shape(${of})\nints i = ${entry}\ng = Gather(s, i)`;
}

describe('dimensions that are known of values', () => {
  test.each(RULES)('follow the rule for %s', async (_, expected, text, opset = 9) => {
    const graph = graphOf(`in x [N,3,M,8]\n${text}\nout y`);
    graph.outputs = [{ name: 'y', elementType: 'undefined', shape: null }];
    expect(await lastDims(graph, opset, silent)).toBe(expected);
    await expectTrue(modelOf(graph, opset));
  });

  test.each(DOUBTS)('are new ones after %s', async (_, expected, text, opset = 9) => {
    const graph = graphOf(`in x [N,3,M,8]\nin z [K,3,L,8]\nin one [J]\n${text}\nout y`);
    expect(await lastDims(graph, opset, silent)).toBe(expected);
  });

  test('are not equal after windows of other reach', async () => {
    const graph = graphOf(
      'in x [N,3,M,8]\nconst w [3,3,1,1]\na = Conv(x, w) strides=[2,2]\nb = MaxPool(x) kernel_shape=[2,2] strides=[2,2]\nout a\nout b',
    );
    const dims = await knownDims(modelOf(graph), silent);
    expect(dims.get('a')?.[2]).not.toBe(dims.get('b')?.[2]);
  });

  test('are those that the runtime infers, where no rule knows the operator', async () => {
    const graph = graphOf('in x [N,3,M,8]\na = GlobalLpPool(x)\ny = Neg(a)\nout y');
    expect(await lastDims(graph, 9, silent)).toBe('unknown');
    expect(await lastDims(graph, 9, literal)).toBe('[N,3,1,1]');
  });

  test('of inputs are not equal because the file calls them so', async () => {
    const graph = graphOf('in x [N,8]\nin z [N,8]\ny = Add(x, z)\nout y');
    const dims = await knownDims(modelOf(graph), literal);
    expect(new Set(['x', 'z', 'y'].map((name) => dims.get(name)?.[0])).size).toBe(3);
  });

  test('are not what the file says of inner values and outputs, nor of those in bodies', async () => {
    const graph = graphOf('in x [N,8]\na = GlobalLpPool(x)\nc = Cast(x) to=9\ny = If(c)\nout y');
    const body = () => graphOf('b = Identity(x)\nout b');
    const [, , choice] = graph.nodes;
    for (const key of ['then_branch', 'else_branch']) {
      const value = body();
      value.outputs = [{ name: 'b', elementType: 'float32', shape: [7, 'N'] }];
      choice?.attributes.set(key, { type: 'graph', value });
    }
    graph.nodes.shift();
    graph.values.set('c', { name: 'c', elementType: 'bool', shape: [3, 'N'] });
    graph.outputs = [{ name: 'y', elementType: 'float32', shape: [5, 5] }];
    graph.values.set('y', { name: 'y', elementType: 'float32', shape: [6, 6] });
    const dims = await knownDims(modelOf(graph), literal);
    expect(dims.get('c')).toEqual(dims.get('x'));
    expect(dims.has('y')).toBe(false);
  });

  test('of values whose shape depends on data have names of their own, and go on', async () => {
    const graph = graphOf('in x [N,8]\na = NonZero(x)\nb = NonZero(x)\nc = Neg(b)\ny = Add(a, c)\nout y');
    const dims = await knownDims(modelOf(graph), literal);
    expect(dims.get('a')?.[0]).toBe(2);
    expect(dims.get('a')?.[1]).not.toBe(dims.get('b')?.[1]);
    expect(dims.get('c')).toEqual(dims.get('b'));
    expect(dims.get('y')?.[1]).not.toBe(dims.get('b')?.[1]);
  });

  test('are unknown where rule and runtime contradict each other', async () => {
    const liar: Runtime = {
      name: 'liar',
      load: async () => ({
        ...{ inputNames: [], outputNames: [], run: async () => ({}), release: async () => {} },
        outputTypes: [
          { name: 'a', elementType: 'float32', shape: [1, 2, 3] },
          { name: 'b', elementType: 'float32', shape: [2, 7] },
        ],
      }),
    };
    const graph = graphOf('in x [N,8]\na = Neg(x)\nb = Neg(x)\nout a\nout b');
    const dims = await knownDims(modelOf(graph), liar);
    expect(dims.has('a')).toBe(false);
    expect(dims.get('b')).toEqual([2, expect.any(String)]);
  });
});
