import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { legalBoundaries } from '../../../compiler/cut/boundaries.ts';
import { type ExtractedChain, extractChain } from '../../../compiler/cut/extract.ts';
import { flowOf } from '../../../compiler/cut/flow.ts';
import { knownDims } from '../../../compiler/graph/dims.ts';
import type { Graph } from '../../../compiler/graph/graph.ts';
import { seededRandom } from '../../../shared/random.ts';
import type { Tensors } from '../../../shared/tensor.ts';
import { orRefusal } from '../../shared/tandem-error.ts';
import { expectClose, literal, modelOf, runGraph } from '../run-graph.ts';
import { graphOf, nodeLines, randomTensor, textOf } from '../text-graph.ts';
import { runChain } from './run-chain.ts';

const OPSET = 15;

async function chainOf(graph: Graph, cuts: readonly (readonly string[])[]): Promise<ExtractedChain> {
  return extractChain(graph, cuts, await knownDims(modelOf(graph, OPSET), literal));
}

/** A graph whose outputs may be of any type. */
function graphFrom(text: string): Graph {
  const graph = graphOf(text);
  graph.outputs = graph.outputs.map(({ name }) => ({ name, elementType: 'undefined', shape: null }));
  return graph;
}

function feedsOf(graph: Graph, sizes: Readonly<Record<string, number>>): Tensors {
  const random = seededRandom(5);
  const size = (dim: unknown) => (typeof dim === 'number' ? dim : (sizes[String(dim)] as number));
  return Object.fromEntries(
    graph.inputs.map(({ name, shape }) => [name, randomTensor((shape ?? []).map(size), random)]),
  );
}

/** The chain gives what the whole gives, at two sizes. */
async function expectSame(graph: Graph, chain: ExtractedChain): Promise<void> {
  for (const sizes of [
    { N: 2, M: 5 },
    { N: 3, M: 4 },
  ]) {
    const feeds = feedsOf(graph, sizes);
    expectClose(await runChain(chain, feeds, OPSET), await runGraph(graph, feeds, OPSET), 0);
  }
}

/** x -> a -> t, whose axes are turned, and `rest` of t and of the shape s of a; cut at t. */
const TURNED = 'in x [N,3,M,8]\na = Relu(x)\ns = Shape(a)\nt = Transpose(a) perm=[2,0,1,3]';

describe('a shape of what does not cross', () => {
  test.each([
    [
      'is that of a tensor of the same dimensions',
      'in x [N,3,M,8]\na = Relu(x)\ns = Shape(a)\nt = Exp(a)\nints f = -1\nu = Reshape(t, f)\ny = Reshape(u, s)',
      's = Shape(t)\nu = Reshape(t, f)\ny = Reshape(u, s)',
    ],
    [
      'is put together of numbers and of dimensions that cross',
      `${TURNED}\ny = Reshape(t, s)`,
      `s.part = Gather(s.shape, s.axes) axis=0
      s.part.1 = Constant() value={3}
      s.part.2 = Gather(s.shape, s.axes.1) axis=0
      s.part.3 = Constant() value={8}
      s = Concat(s.part, s.part.1, s.part.2, s.part.3) axis=0
      y = Reshape(t, s)`,
    ],
    [
      'has anything where nobody reads it',
      'in x [N,3,M,8]\na = Relu(x)\ns = Shape(a)\nt = ReduceMax(a) axes=[2] keepdims=0\nints i = 0 -1\nd = Cast(s) to=6\ng = Gather(d, i)\ne = Cast(g) to=7\nints three = 3\np = Concat(e, three) axis=0\ny = Reshape(t, p)',
      `s.part = Gather(s.shape, s.axes) axis=0
      s.part.1 = Constant() value={1 1 8}
      s = Concat(s.part, s.part.1) axis=0
      d = Cast(s) to=6
      g = Gather(d, i)
      e = Cast(g) to=7
      p = Concat(e, three) axis=0
      y = Reshape(t, p)`,
    ],
    [
      'is a constant where it is all numbers',
      'in x [N,3,M,8]\na = ReduceMax(x) axes=[0,2]\ns = Shape(a)\nb = Relu(a)\nints f = -1\nt = Reshape(b, f)\ny = Reshape(t, s)',
      's = Constant() value={1 3 1 8}\ny = Reshape(t, s)',
    ],
    [
      'is a part, where only that is asked for',
      `${TURNED.replace('Shape(a)', 'Shape(a) start=1 end=3')}\nr = ReduceMax(t) axes=[1,3] keepdims=0\ny = Reshape(r, s)`,
      `s.part = Constant() value={3}
      s.part.1 = Gather(s.shape, s.axes) axis=0
      s = Concat(s.part, s.part.1) axis=0
      r = ReduceMax(t) axes=[1,3] keepdims=0
      y = Reshape(r, s)`,
    ],
    [
      'is a count, where the counts are the same',
      'in x [N,3,M,8]\na = Relu(x)\ns = Size(a)\nt = Transpose(a)\nc = Cast(s) to=1\ny = Mul(t, c)',
      's = Size(t)\nc = Cast(s) to=1\ny = Mul(t, c)',
    ],
  ])('%s', async (_, text, expected) => {
    const graph = graphFrom(`${text}\nout y`);
    const chain = await chainOf(graph, [['t']]);
    expect(chain.boundaries[1]).toEqual(['t']);
    const tail = textOf(chain.segments[1]?.graph as Graph);
    expect(withoutAxes(tail)).toBe(nodeLines(expected));
    await expectSame(graph, chain);
  });
});

const FLAT = 'ints f = -1\nb = Reshape(a, f)\nc = Exp(b)';

test('a shape is put together of dimensions of several tensors', async () => {
  const graph = graphFrom(
    'in x [N,3]\nin z [M,3]\nt = ReduceMax(x) axes=[1]\nw = ReduceMax(z) axes=[1]\np = Transpose(z)\na = MatMul(x, p)\ns = Shape(a)\nv = Transpose(w)\nq = Mul(t, v)\ny = Reshape(q, s)\nout y',
  );
  const chain = await chainOf(graph, [['t', 'w']]);
  expect(chain.boundaries[1]).toEqual(['t', 'w']);
  expect(textOf(chain.segments[1]?.graph as Graph)).toMatch(/s\.shape = Shape\(t\)[\s\S]*s\.shape\.1 = Shape\(w\)/);
  await expectSame(graph, chain);
});

describe('shapes along a chain', () => {
  test('cross no boundary at which they are determined, however far they are from their tensor', async () => {
    const graph = graphFrom(`${TURNED}\nu = Exp(t)\nv = Neg(u)\ny = Reshape(v, s)\nout y`);
    const cuts = [['t'], ['u'], ['v']];
    expect(extractChain(graph, cuts).boundaries.slice(1, -1)).toEqual(cuts.map((cut) => [...cut, 's']));
    const chain = await chainOf(graph, cuts);
    expect(chain.boundaries.slice(1, -1)).toEqual(cuts);
    await expectSame(graph, chain);
  });

  test('are made where they are still determined, and sent from there on', async () => {
    const graph = graphFrom(
      `in x [N,3,M,8]\na0 = Relu(x)\ns = Shape(a0)\na = Neg(a0)\n${FLAT}\ny = Reshape(c, s)\nout y`,
    );
    const chain = await chainOf(graph, [['a'], ['b'], ['c']]);
    expect(chain.boundaries.slice(1, -1)).toEqual([['a'], ['b', 's'], ['c', 's']]);
    expect(chain.segments.map((segment) => textOf(segment.graph))).toEqual([
      'a0 = Relu(x)\na = Neg(a0)',
      's = Shape(a)\nb = Reshape(a, f)',
      'c = Exp(b)',
      'y = Reshape(c, s)',
    ]);
    expect(chain.segments.map(({ inputs, outputs }) => [inputs, outputs])).toEqual([
      [['x'], ['a']],
      [['a'], ['b', 's']],
      [['b'], ['c']],
      [['c', 's'], ['y']],
    ]);
    await expectSame(graph, chain);
  });

  test('are whole where another segment wants them, who may read what this one does not', async () => {
    const rest = 'ints i = 0\nn = Gather(s, i)\nk = Cast(n) to=1\nd = Mul(c, k)\ny = Reshape(d, s)';
    const graph = graphFrom(`in x [N,3,M,8]\na0 = Relu(x)\ns = Shape(a0)\na = Transpose(a0)\n${FLAT}\n${rest}\nout y`);
    const chain = await chainOf(graph, [['a'], ['d']]);
    expect(chain.boundaries.slice(1, -1)).toEqual([['a'], ['d', 's']]);
    await expectSame(graph, chain);
  });

  test('that are outputs are made at the end, or sent there', async () => {
    for (const [text, sent] of [
      [`${TURNED}\ny = Exp(t)`, []],
      [
        `in x [N,3,M,8]\na = Relu(x)\ns = Shape(a)\n${FLAT.replace('b =', 't =').replace('(b)', '(t)')}\ny = Neg(c)`,
        ['s'],
      ],
    ] as const) {
      const graph = graphFrom(`${text}\nout y\nout s`);
      const chain = await chainOf(graph, [['t']]);
      expect(chain.boundaries[1]).toEqual(['t', ...sent]);
      await expectSame(graph, chain);
    }
  });

  test('are sent as ever where a segment makes nothing else', async () => {
    const graph = graphFrom(
      'in x [N,3]\na = Relu(x)\nt = Transpose(a)\nb = Exp(a)\ny = Neg(b)\ns = Shape(t)\nout y\nout s',
    );
    expect((await chainOf(graph, [['b']])).boundaries[1]).toEqual(['b']);
    const chain = await chainOf(graph, [['a', 'b'], ['b']]);
    expect(chain.boundaries.slice(1, -1)).toEqual([
      ['a', 'b'],
      ['b', 's'],
    ]);
    await expectSame(graph, chain);
  });

  test('get names that nothing has, in bodies neither', async () => {
    const graph = graphFrom(`${TURNED}\ny0 = Reshape(t, s)\nint yes = 1\nc = Cast(yes) to=9\ny = If(c)\nout y`);
    for (const key of ['then_branch', 'else_branch']) {
      graph.nodes.at(-1)?.attributes.set(key, { type: 'graph', value: graphFrom('s.part = Neg(y0)\nout s.part') });
    }
    const chain = await chainOf(graph, [['t']]);
    expect(chain.boundaries[1]).toEqual(['t']);
    expect(textOf(chain.segments[1]?.graph as Graph)).not.toContain('s.part =');
    await expectSame(graph, chain);
  });

  test.each([
    [
      'a dimension is in a product only',
      `in x [N,3,M,8]\na = Relu(x)\ns = Shape(a)\nt = Flatten(a)\ny = Reshape(t, s)`,
    ],
    [
      'a count is of more than crosses',
      'in x [N,3,M,8]\na = Relu(x)\ns = Size(a)\nt = ReduceMax(a) axes=[2]\nc = Cast(s) to=1\ny = Mul(t, c)',
    ],
    [
      'entries are picked by what is computed',
      'in x [N,3,M,8]\na = Relu(x)\ns = Shape(a)\nt = ReduceMax(a) axes=[2] keepdims=0\nz = Shape(t)\nints i = 1\nj = Gather(z, i)\ng = Gather(s, j)\nk = Cast(g) to=1\ny = Mul(t, k)',
    ],
    [
      'an input is of the same size by its name only',
      'in x [N,3]\nin z [N,3]\na = Relu(x)\ns = Shape(a)\nt = Mul(z, z)\nb = Flatten(a) axis=0\nw = Reshape(b, s)\ny = Sub(w, t)',
    ],
  ])('are sent where %s', async (what, text) => {
    const graph = graphFrom(`${text}\nout y`);
    const cut = what.startsWith('an input') ? ['b', 'z'] : ['t'];
    const chain = await chainOf(graph, [cut]);
    expect(chain.boundaries[1]).toEqual([...cut, 's']);
    await expectSame(graph, chain);
  });
});

interface Step {
  readonly op: number;
  readonly of: number;
  readonly with: number;
}

/** Graphs of values of rank 3, made of one another with shapes that are taken apart, put together and gone back to. */
function graphText(steps: readonly Step[]): string {
  const lines = [
    'in x [N,3,M]',
    'ints i0 = 0',
    'ints i1 = 1',
    'ints i2 = 2',
    'ints i12 = -2 -1',
    'ints flat = -1',
    'v0 = Neg(x)',
  ];
  const one = 'const one [1] = 1';
  const shapes = ['N,3,M'];
  for (const [i, step] of steps.entries()) {
    const from = step.of % shapes.length;
    const v = `v${from}`;
    const shape = shapes[from] as string;
    const [out, p] = [`v${i + 1}`, `p${i + 1}`];
    const other = shapes.findIndex((known, at) => known === shape && at >= step.with % shapes.length);
    const ways: (() => [string, string[]])[] = [
      () => [shape, [`${out} = Relu(${v})`]],
      () => [shape, [`${out} = Add(${v}, v${Math.max(0, other === -1 ? from : other)})`]],
      () => [shape.split(',').reverse().join(), [`${out} = Transpose(${v})`]],
      () => [shape.replace(/[^,]+$/, '2($&)'), [`${out} = Concat(${v}, ${v}) axis=2`]],
      () => [
        shape,
        [`${p}s = Shape(${v})`, `${p}f = Reshape(${v}, flat)`, `${p}r = Neg(${p}f)`, `${out} = Reshape(${p}r, ${p}s)`],
      ],
      () => [
        shape,
        [
          `${p}s = Shape(${v})`,
          `${p}a = Gather(${p}s, i0)`,
          `${p}b = Slice(${p}s, i1, i2)`,
          `${p}h = Cast(${p}s) to=6`,
          `${p}j = Cast(${p}h) to=7`,
          `${p}c = Gather(${p}j, i2)`,
          `${p}d = Concat(${p}a, ${p}b, ${p}c) axis=0`,
          `${p}k = Expand(one, ${p}d)`,
          `${out} = Sub(${v}, ${p}k)`,
        ],
      ],
      () => {
        const [a, b, c] = shape.split(',');
        return [
          `${b},${c},${a}`,
          [
            `${p}s = Shape(${v})`,
            `${p}a = Gather(${p}s, i12)`,
            `${p}b = Gather(${p}s, i0)`,
            `${p}d = Concat(${p}a, ${p}b) axis=0`,
            `${p}t = Transpose(${v}) perm=[1,2,0]`,
            `${p}f = Reshape(${p}t, flat)`,
            `${out} = Reshape(${p}f, ${p}d)`,
          ],
        ];
      },
      () => [shape, [`${p}n = Size(${v})`, `${p}c = Cast(${p}n) to=1`, `${out} = Mul(${v}, ${p}c)`]],
    ];
    const [made, added] = (ways[step.op % ways.length] as () => [string, string[]])();
    shapes.push(made);
    lines.push(...added);
  }
  return [
    ...lines,
    one,
    `y = Neg(v${steps.length})`,
    'out y',
    ...(steps.length % 2 ? ['ends = Shape(v1)', 'out ends'] : []),
  ].join('\n');
}

test('any graph of shape chains, cut anywhere, gives at two sizes what the whole gives', async () => {
  const steps = fc.array(fc.record({ op: fc.nat(100), of: fc.nat(100), with: fc.nat(100) }), {
    minLength: 2,
    maxLength: 7,
  });
  const places = fc.array(fc.nat(1000), { minLength: 1, maxLength: 3 });
  let [spared, sent, run] = [0, 0, 0];
  await fc.assert(
    fc.asyncProperty(steps, places, async (list, picks) => {
      const graph = graphFrom(graphText(list));
      const { legal } = legalBoundaries(flowOf(graph), 2);
      const at = [...new Set(picks.map((pick) => pick % Math.max(1, legal.length)))].sort((a, b) => a - b);
      const cuts = at.flatMap((i) => (legal[i] ? [legal[i].tensors] : []));
      const plain = orRefusal(() => extractChain(graph, cuts), 'BAD_CUT');
      if (!plain || cuts.length === 0) return;
      const chain = await chainOf(graph, cuts);
      const count = ({ boundaries }: ExtractedChain) => boundaries.slice(1, -1).flat().length - cuts.flat().length;
      run++;
      spared += count(plain) - count(chain);
      sent += count(chain);
      await expectSame(graph, chain);
    }),
    { numRuns: 200 },
  );
  // Both ways were taken.
  expect(run).toBeGreaterThan(100);
  expect(spared).toBeGreaterThan(10);
  expect(sent).toBeGreaterThan(10);
}, 60_000);

function withoutAxes(text: string): string {
  return text
    .split('\n')
    .filter((line) => !/^\S+\.(axes|shape)\S* =/.test(line))
    .join('\n');
}
