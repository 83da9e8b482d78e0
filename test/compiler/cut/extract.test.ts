import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type ExtractedSegment, extractChain } from '../../../compiler/cut/extract.ts';
import type { Graph } from '../../../compiler/graph/graph.ts';
import { verifyGraph } from '../../../compiler/graph/verify.ts';
import { readModel } from '../../../compiler/onnx/read.ts';
import { TandemError } from '../../../shared/errors.ts';
import type { Tensor, Tensors } from '../../../shared/tensor.ts';
import { TINY_CUTS, tinyModelBytes } from '../../helpers/tiny-model.ts';
import { coded } from '../coded.ts';
import { expectClose, randomFeeds, runGraph } from '../run-graph.ts';
import { graphOf, textOf } from '../text-graph.ts';

/** x -> a -> b -> y, where y reads a too. */
const SKIP = 'in x [2]\na = Neg(x)\nb = Relu(a)\ny = Add(b, a)\nout y';

const tiny = () => readModel(tinyModelBytes(), 'tiny.onnx').graph;

/** Runs the segments one after another, each on nothing but the boundary before it. */
async function runChain(segments: readonly ExtractedSegment[], cuts: readonly (readonly string[])[], feeds: Tensors) {
  let live = feeds;
  for (const [i, { graph, inputs, outputs }] of segments.entries()) {
    verifyGraph(graph, `segment ${i + 1}`);
    const made = await runGraph(graph, pick(live, inputs));
    live = pick({ ...live, ...made }, cuts[i] ?? outputs);
  }
  return live;
}

function pick(tensors: Tensors, names: readonly string[]): Tensors {
  return Object.fromEntries(names.map((name) => [name, tensors[name] as Tensor]));
}

describe('cutting a graph into a chain', () => {
  test('gives segments that together are the whole', async () => {
    const feeds = { x: randomFeeds(graphOf('in x [1,3,8,24]'))['x'] as Tensor };
    const segments = extractChain(tiny(), TINY_CUTS);
    expect(segments.map(({ inputs, outputs }) => [inputs, outputs])).toEqual([
      [['x'], ['stem']],
      [['stem'], ['pooled']],
      [['pooled'], ['deep']],
      [['pooled', 'deep'], ['scores']],
    ]);
    expectClose(await runChain(segments, TINY_CUTS, feeds), await runGraph(tiny(), feeds), 0);
  });

  test('without cuts gives the whole', () => {
    const [whole] = extractChain(tiny(), []);
    expect(textOf(whole?.graph as Graph)).toBe(textOf(tiny()));
    expect(whole?.graph.initializers).toEqual(tiny().initializers);
  });

  test('names in a segment only what it reads and makes, not what passes by', () => {
    const [, middle, last] = extractChain(graphOf(SKIP), [['a'], ['a', 'b']]);
    expect(middle).toMatchObject({ inputs: ['a'], outputs: ['b'] });
    expect(last).toMatchObject({ inputs: ['a', 'b'], outputs: ['y'] });
  });

  test('leaves the graph that was cut as it was', () => {
    const graph = graphOf(SKIP);
    const [head] = extractChain(graph, [['a']]);
    head?.graph.nodes[0]?.inputs.push('more');
    expect(graph).toEqual(graphOf(SKIP));
  });

  test('gives every segment the constants that it reads, shared ones too', () => {
    const graph = graphOf(
      'in x [2]\nconst both [2]\nconst late [2]\na = Add(x, both)\nb = Mul(a, both)\ny = Mul(b, late)\nout y',
    );
    const constants = extractChain(graph, [['a']]).map((segment) => [...segment.graph.initializers.keys()]);
    expect(constants).toEqual([['both'], ['both', 'late']]);
  });

  test('carries along what is computed from constants alone, into every segment that reads it', async () => {
    const text = 'in x [2]\nconst c [2]\nd = Neg(c)\ne = Add(d, c)\na = Add(x, e)\ny = Mul(a, e)\nout y';
    const segments = extractChain(graphOf(text), [['a']]);
    expect(segments.map(({ graph }) => textOf(graph))).toEqual([
      'd = Neg(c)\ne = Add(d, c)\na = Add(x, e)',
      'd = Neg(c)\ne = Add(d, c)\ny = Mul(a, e)',
    ]);
    const feeds = randomFeeds(graphOf(text));
    expectClose(await runChain(segments, [['a']], feeds), await runGraph(graphOf(text), feeds), 0);
  });

  test('follows what subgraphs capture', () => {
    const graph = graphOf('in x [2]\nconst w [2]\na = Neg(x)\nb = Relu(a)\ny = If(b)\nout y');
    graph.nodes[2]?.attributes.set('then_branch', { type: 'graph', value: graphOf('c = Add(a, w)\nout c') });
    const [, tail] = extractChain(graph, [['a', 'b']]);
    expect(tail).toMatchObject({ inputs: ['a', 'b'] });
    expect([...(tail?.graph.initializers.keys() ?? [])]).toEqual(['w']);
    expect(() => extractChain(graph, [['b']])).toThrow(coded('BAD_CUT', 'a is needed after it as well'));
  });

  test('lets an early output pass by, where the boundary carries it', async () => {
    const text = 'in x [2]\na = Neg(x)\nb = Relu(a)\ny = Neg(b)\nout y\nout a';
    const segments = extractChain(graphOf(text), [['a', 'b']]);
    expect(segments[1]).toMatchObject({ inputs: ['b'], outputs: ['y'] });
    const live = await runChain(
      segments,
      [
        ['a', 'b'],
        ['y', 'a'],
      ],
      randomFeeds(graphOf(text)),
    );
    expectClose(live, await runGraph(graphOf(text), randomFeeds(graphOf(text))), 0);
    expect(() => extractChain(graphOf(text), [['b']])).toThrow(coded('BAD_CUT', 'a is needed after it as well'));
  });

  test("takes types at a segment's edges from the file, and float32 where it is silent", () => {
    const graph = graphOf(SKIP);
    graph.values.set('a', { name: 'a', elementType: 'float16', shape: [2] });
    const [head, tail] = extractChain(graph, [['a', 'b']]);
    expect(head?.graph.inputs).toEqual(graph.inputs);
    expect(head?.graph.outputs).toEqual([graph.values.get('a'), { name: 'b', elementType: 'float32', shape: null }]);
    expect(tail?.graph.outputs).toEqual(graph.outputs);
  });
});

describe('a cut that is refused', () => {
  test.each([
    ['an unknown tensor', [['nowhere']], 'there is no inner value called nowhere to cut at'],
    ['an input of the graph', [['x']], 'there is no inner value called x'],
    ['an initializer', [['w0']], 'there is no inner value called w0'],
    [
      'a boundary that misses what skips over it',
      [['deep']],
      'boundary 1 does not separate the graph: pooled is needed',
    ],
    ['the same, further on', [['stem'], ['deep']], 'boundary 2 does not separate the graph: pooled is needed'],
    ['boundaries in the wrong order', [['pooled'], ['stem']], 'boundary 1 does not separate the graph'],
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
        const segments = chainOrRefusal(graphOf(text), cuts);
        // A segment that makes nothing: see "a cut that is refused".
        if (!segments || segments.some(({ outputs }) => outputs.length === 0)) return;
        run++;
        const feeds = randomFeeds(graphOf(text));
        const outputs = graphOf(text).outputs.map(({ name }) => name);
        expectClose(await runChain(segments, [...cuts, outputs], feeds), await runGraph(graphOf(text), feeds), 0);
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
        expect(extractChain(graph, [liveAfter(graph, at % last)])).toHaveLength(2);
      }),
    );
  });
});

function chainOrRefusal(graph: Graph, cuts: readonly (readonly string[])[]): ExtractedSegment[] | undefined {
  try {
    return extractChain(graph, cuts);
  } catch (error) {
    if (error instanceof TandemError && error.code === 'BAD_CUT') return undefined;
    throw error;
  }
}
