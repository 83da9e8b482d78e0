import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { extractChain } from '../../../compiler/cut/extract.ts';
import type { Graph } from '../../../compiler/graph/graph.ts';
import { readModel } from '../../../compiler/onnx/read.ts';
import { removeDeadCode } from '../../../compiler/passes/dead-code.ts';
import { float32, type Tensor } from '../../../shared/tensor.ts';
import { TINY_CUTS, tinyModelBytes } from '../../helpers/tiny-model.ts';
import { orRefusal } from '../../shared/tandem-error.ts';
import { coded } from '../coded.ts';
import { expectClose, randomFeeds, runGraph } from '../run-graph.ts';
import { graphOf, textOf } from '../text-graph.ts';
import { runChain } from './run-chain.ts';

/** x -> a -> b -> y, where y reads a too. */
const SKIP = 'in x [2]\na = Neg(x)\nb = Relu(a)\ny = Add(b, a)\nout y';

const tiny = () => readModel(tinyModelBytes(), 'tiny.onnx').graph;

const segmentsOf = (graph: Graph, cuts: readonly (readonly string[])[]) => extractChain(graph, cuts).segments;

describe('cutting a graph into a chain', () => {
  test('gives segments that together are the whole', async () => {
    const feeds = { x: randomFeeds(graphOf('in x [1,3,8,24]'))['x'] as Tensor };
    const chain = extractChain(tiny(), TINY_CUTS);
    expect(chain.segments.map(({ inputs, outputs }) => [inputs, outputs])).toEqual([
      [['x'], ['stem']],
      [['stem'], ['pooled']],
      [['pooled'], ['deep']],
      [['pooled', 'deep'], ['scores']],
    ]);
    expectClose(await runChain(chain, feeds), await runGraph(tiny(), feeds), 0);
  });

  test('without cuts gives the whole', () => {
    const [whole] = segmentsOf(tiny(), []);
    expect(textOf(whole?.graph as Graph)).toBe(textOf(tiny()));
    expect(whole?.graph.initializers).toEqual(tiny().initializers);
  });

  test('names in a segment only what it reads and makes, not what passes by', () => {
    const [, middle, last] = segmentsOf(graphOf(SKIP), [['a'], ['a', 'b']]);
    expect(middle).toMatchObject({ inputs: ['a'], outputs: ['b'] });
    expect(last).toMatchObject({ inputs: ['a', 'b'], outputs: ['y'] });
  });

  test('leaves the graph that was cut as it was', () => {
    const graph = graphOf(SKIP);
    const [head] = segmentsOf(graph, [['a']]);
    head?.graph.nodes[0]?.inputs.push('more');
    expect(graph).toEqual(graphOf(SKIP));
  });

  test('gives every segment the constants that it reads, shared ones too', () => {
    const graph = graphOf(
      'in x [2]\nconst both [2]\nconst late [2]\na = Add(x, both)\nb = Mul(a, both)\ny = Mul(b, late)\nout y',
    );
    const constants = segmentsOf(graph, [['a']]).map((segment) => [...segment.graph.initializers.keys()]);
    expect(constants).toEqual([['both'], ['both', 'late']]);
  });

  test('carries along what is computed from constants alone, into every segment that reads it', async () => {
    const text = 'in x [2]\nconst c [2]\nd = Neg(c)\ne = Add(d, c)\na = Add(x, e)\ny = Mul(a, e)\nout y';
    const chain = extractChain(graphOf(text), [['a']]);
    expect(chain.segments.map(({ graph }) => textOf(graph))).toEqual([
      'd = Neg(c)\ne = Add(d, c)\na = Add(x, e)',
      'd = Neg(c)\ne = Add(d, c)\ny = Mul(a, e)',
    ]);
    const feeds = randomFeeds(graphOf(text));
    expectClose(await runChain(chain, feeds), await runGraph(graphOf(text), feeds), 0);
  });

  test('follows what subgraphs capture', () => {
    const graph = graphOf('in x [2]\nconst w [2]\na = Neg(x)\nb = Relu(a)\ny = If(b)\nout y');
    graph.nodes[2]?.attributes.set('then_branch', { type: 'graph', value: graphOf('c = Add(a, w)\nout c') });
    const [, tail] = segmentsOf(graph, [['a', 'b']]);
    expect(tail).toMatchObject({ inputs: ['a', 'b'] });
    expect([...(tail?.graph.initializers.keys() ?? [])]).toEqual(['w']);
    expect(() => extractChain(graph, [['b']])).toThrow(coded('BAD_CUT', 'a is needed after it as well'));
  });

  test('gives an output where it is made, whether the boundary carries it or not', async () => {
    const text = 'in x [2]\na = Neg(x)\nb = Relu(a)\ny = Neg(b)\nz = Exp(a)\nout y\nout a\nout z';
    const chain = extractChain(graphOf(text), [['b']]);
    expect(chain.segments.map(({ outputs }) => outputs)).toEqual([['b', 'a', 'z'], ['y']]);
    const feeds = randomFeeds(graphOf(text));
    expectClose(await runChain(chain, feeds), await runGraph(graphOf(text), feeds), 0);
  });

  test('lets an input that is read late pass by, where the boundary carries it', async () => {
    const text = 'in x [2]\nin s [2]\na = Neg(x)\nb = Relu(a)\ny = Add(b, s)\nout y';
    const chain = extractChain(graphOf(text), [['b', 's']]);
    expect(chain.segments.map(({ inputs }) => inputs)).toEqual([['x'], ['b', 's']]);
    const feeds = randomFeeds(graphOf(text));
    expectClose(await runChain(chain, feeds), await runGraph(graphOf(text), feeds), 0);
    expect(() => extractChain(graphOf(text), [['b']])).toThrow(coded('BAD_CUT', 's is needed after it as well'));
  });

  test('carries a shape of what does not cross as integers, and computes the rest of the chain again', async () => {
    const text = [
      'in x [2,6]\nconst first [1] = 0',
      'a = Neg(x)\ns = Shape(a)\nb = Reshape(a, flat)\nc = Relu(b)\nd = Exp(c)\ny = Reshape(d, s)\nout y',
    ].join('\n');
    const graph = graphOf(text);
    const flat = { elementType: 'int64', shape: [1], bytes: new Uint8Array(BigInt64Array.of(-1n).buffer) } as const;
    graph.initializers.set('flat', flat);
    const chain = extractChain(graph, [['b'], ['d']]);
    expect(chain.boundaries).toEqual([['x'], ['b', 's'], ['d', 's'], ['y']]);
    expect(chain.segments.map((segment) => textOf(segment.graph))).toEqual([
      'a = Neg(x)\ns = Shape(a)\nb = Reshape(a, flat)',
      'c = Relu(b)\nd = Exp(c)',
      'y = Reshape(d, s)',
    ]);
    const feeds = randomFeeds(graph);
    expectClose(await runChain(chain, feeds), await runGraph(graph, feeds), 0);
  });

  test('never computes a random value twice', () => {
    const graph = graphOf('in x [2]\nr = RandomNormal() shape=[2]\na = Add(x, r)\nb = Neg(a)\ny = Mul(b, r)\nout y');
    expect(() => extractChain(graph, [['b']])).toThrow(coded('BAD_CUT', 'r is needed after it as well'));
    const [, tail] = segmentsOf(graph, [['b', 'r']]);
    expect(textOf(tail?.graph as Graph)).toBe('y = Mul(b, r)');
  });

  test("takes types at a segment's edges from the file, and float32 where it is silent", () => {
    const graph = graphOf(SKIP);
    graph.values.set('a', { name: 'a', elementType: 'float16', shape: null });
    const [head, tail] = segmentsOf(graph, [['a', 'b']]);
    expect(head?.graph.inputs).toEqual(graph.inputs);
    expect(head?.graph.outputs).toEqual([graph.values.get('a'), { name: 'b', elementType: 'float32', shape: null }]);
    expect(tail?.graph.outputs).toEqual(graph.outputs);
  });

  test('takes no shapes of inner values from the file, which may be those of another batch', async () => {
    const graph = graphOf('in x [N,4]\na = Neg(x)\nb = Relu(a)\nout b');
    graph.values.set('a', { name: 'a', elementType: 'float32', shape: [1, 4] });
    const feeds = { x: float32([3, 4], new Float32Array(12).fill(-1)) };
    expectClose(await runChain(extractChain(graph, [['a']]), feeds), await runGraph(graph, feeds), 0);
  });

  test('never computes again what drops out, or what a function of the model makes', () => {
    const drop = `in x [2]\nconst r [] = 0.5\nconst t [] = 1\ns = Shape(x)\nk = ConstantOfShape(s)\nd = Dropout(k, r, t)`;
    const noise = 'in x [2]\ns = Shape(x)\nk = ConstantOfShape(s)\nd = Noise(k)';
    for (const start of [drop, noise]) {
      const graph = graphOf(`${start}\na = Add(x, d)\ny = Sub(a, d)\nout y`);
      for (const node of graph.nodes) if (node.op === 'Noise') node.domain = 'model.own';
      expect(() => extractChain(graph, [['a']])).toThrow(coded('BAD_CUT', 'd is needed after it as well'));
    }
  });
});

describe('a cut that is refused', () => {
  test.each([
    ['an unknown tensor', [['nowhere']], 'there is no inner value called nowhere to cut at'],
    ['the input, behind which there is everything', [['x']], 'segment 1 would have nothing to do'],
    ['an initializer', [['w0']], 'there is no inner value called w0'],
    [
      'a boundary that misses what skips over it',
      [['deep']],
      'boundary 1 does not separate the graph: pooled is needed',
    ],
    ['the same, further on', [['stem'], ['deep']], 'boundary 2 does not separate the graph: pooled is needed'],
    ['boundaries in the wrong order', [['pooled'], ['stem']], 'boundary 2 [stem] is not behind boundary 1 [pooled]'],
    ['a boundary that carries nothing', [[]], ''],
  ])('is %s', (_, cuts, message) => {
    expect(() => extractChain(tiny(), cuts)).toThrow(coded('BAD_CUT', message));
  });

  test.each([
    ['the boundary before it', [['stem'], ['stem']]],
    ['the outputs', [['scores']]],
  ])('is %s again, which leaves a segment nothing to do', (_, cuts) => {
    expect(() => extractChain(tiny(), cuts)).toThrow(coded('BAD_CUT'));
  });
});

test('cutting looks at each constant of a deep ladder a few times, not once a path', () => {
  const rungs = Array.from(
    { length: 12 },
    (_, i) => `a${i} = Relu(c${i})\nb${i} = Neg(c${i})\nc${i + 1} = Add(a${i}, b${i})`,
  );
  const graph = graphOf(
    `in x [1]\nconst k [1]\nc0 = Neg(k)\n${rungs.join('\n')}\nu = Add(x, c12)\nv = Add(u, c12)\nout v`,
  );
  const [lowest] = graph.nodes;
  let reads = 0;
  Object.defineProperty(lowest, 'inputs', {
    get() {
      reads++;
      return ['k'];
    },
  });
  extractChain(graph, [['u']]);
  expect(reads).toBeLessThan(100);
});

/** A graph of nodes over earlier values; only the first reads x, so that everything behind it can be cut. */
const dags = fc
  .array(
    fc.record({
      op: fc.constantFrom('Add', 'Mul', 'Relu', 'Neg'),
      a: fc.nat(100),
      b: fc.nat(100),
      constant: fc.boolean(),
    }),
    {
      minLength: 1,
      maxLength: 10,
    },
  )
  .map((nodes) => {
    const lines = nodes.map(({ op, a, b, constant }, i) => {
      const second = constant ? `c${b % 2}` : `v${b % (i + 1)}`;
      return `v${i + 1} = ${op}(v${a % (i + 1)}${op === 'Add' || op === 'Mul' ? `, ${second}` : ''})`;
    });
    return ['in x [3]', 'const k [3]', 'const c0 [3]', 'c1 = Neg(k)', 'v0 = Neg(x)', ...lines];
  });

/** Which values to cut at, given how many there are: any, or all that are live behind one of them. */
const cutChoices = fc.array(
  fc.oneof(
    fc.record({ type: fc.constant('any' as const), picks: fc.array(fc.nat(100), { minLength: 1, maxLength: 3 }) }),
    fc.record({ type: fc.constant('live' as const), at: fc.nat(100) }),
  ),
  { minLength: 1, maxLength: 3 },
);

/** v0..v(at) that something behind v(at) reads. */
function liveAfter(graph: Graph, at: number): string[] {
  const indexOf = (name: string) => (/^v\d+$/.test(name) ? Number(name.slice(1)) : -1);
  const later = graph.nodes.filter(({ outputs }) => indexOf(outputs[0] as string) > at);
  const read = new Set([...later.flatMap(({ inputs }) => inputs), ...graph.outputs.map(({ name }) => name)]);
  return [...read].filter((name) => indexOf(name) >= 0 && indexOf(name) <= at);
}

describe('any graph cut at any values', () => {
  test('is refused as a bad cut, or its chain gives exactly what the whole gives', async () => {
    let run = 0;
    await fc.assert(
      fc.asyncProperty(dags, cutChoices, fc.boolean(), async (lines, choices, hasTwoOutputs) => {
        const last = lines.length - 5;
        const text = [...lines, `out v${last}`, ...(hasTwoOutputs ? [`out v${last - 1}`] : [])].join('\n');
        const cuts = choices.map((choice) =>
          choice.type === 'any'
            ? [...new Set(choice.picks.map((index) => `v${index % (last + 1)}`))]
            : liveAfter(graphOf(text), choice.at % last),
        );
        const chain = orRefusal(() => extractChain(graphOf(text), cuts), 'BAD_CUT');
        // A segment that makes nothing: see "a cut that is refused".
        if (!chain || chain.segments.some(({ outputs }) => outputs.length === 0)) return;
        run++;
        const feeds = randomFeeds(graphOf(text));
        expectClose(await runChain(chain, feeds), await runGraph(graphOf(text), feeds), 0);
      }),
      { numRuns: 400 },
    );
    expect(run).toBeGreaterThan(40);
  });

  test('is not refused where it is cut once, at all that is live', () => {
    fc.assert(
      fc.property(dags, fc.nat(100), (lines, at) => {
        const last = lines.length - 5;
        const graph = graphOf([...lines, `out v${last}`].join('\n'));
        removeDeadCode(graph);
        expect(segmentsOf(graph, [liveAfter(graph, at % last)])).toHaveLength(2);
      }),
    );
  });
});
