import * as ort from 'onnxruntime-node';
import { describe, expect, test } from 'vitest';
import type { Graph } from '../../../compiler/graph/graph.ts';
import { verifyGraph } from '../../../compiler/graph/verify.ts';
import { fixInputs } from '../../../compiler/passes/fix-inputs.ts';
import { foldConstants } from '../../../compiler/passes/fold-constants.ts';
import { inlineIf } from '../../../compiler/passes/inline-if.ts';
import { nodeRuntime } from '../../../runtimes/onnxruntime-node.ts';
import { float32 } from '../../../shared/tensor.ts';
import { coded } from '../coded.ts';
import { expectClose, modelOf, runGraph } from '../run-graph.ts';
import { graphOf, textOf } from '../text-graph.ts';

const runtime = nodeRuntime(ort, { threads: 1 });

/** y is x + 1 where mode is 7, else -x; both branches call their result r. */
function branching(): Graph {
  const graph = graphOf(
    'in x [2]\nin mode []\nconst seven [] = 7\nis = Equal(mode, seven)\ny = If(is)\nz = Neg(y)\nout z',
  );
  const branch = (text: string) => ({ type: 'graph' as const, value: graphOf(text) });
  graph.nodes[1]?.attributes.set('then_branch', branch('const one [1] = 1\nr = Add(x, one)\nout r'));
  graph.nodes[1]?.attributes.set('else_branch', branch('r = Neg(x)\nout r'));
  return graph;
}

const X = float32([2], Float32Array.of(1, -2));

describe('an input that is fixed', () => {
  test.each([
    [7, 'then'],
    [3, 'else'],
  ])('at %d leaves the %s branch alone, with the same results', async (mode) => {
    const graph = branching();
    const feeds = { x: X, mode: float32([], Float32Array.of(mode)) };
    const expected = await runGraph(branching(), feeds, 13);
    fixInputs(graph, { mode });
    expect(graph.inputs.map(({ name }) => name)).toEqual(['x']);
    expect(inlineIf(graph)).toBe(false);
    expect(await foldConstants(modelOf(graph, 13), runtime)).toBe(true);
    expect(inlineIf(graph)).toBe(true);
    verifyGraph(graph, 'inlined');
    expect(graph.nodes.map(({ op }) => op)).not.toContain('If');
    expectClose(await runGraph(graph, { x: X }, 13), expected, 0);
  });

  test.each([
    ['uint8', [], 300],
    ['int32', [], 1.5],
    ['int64', [], Number.NaN],
    ['bool', [], 2],
    ['float32', null, 1],
  ] as const)('of type %s and shape %j is refused (USAGE) at %d, which it cannot hold', (elementType, shape, value) => {
    const graph = graphOf('in n []\ny = Neg(n)\nout y');
    graph.inputs = [{ name: 'n', elementType, shape }];
    expect(() => fixInputs(graph, { n: value })).toThrow(coded('USAGE', 'cannot fix n'));
  });

  test('takes the ends of its type’s range, and dimensions of 1 where they are open', () => {
    const graph = graphOf('in n []\ny = Neg(n)\nout y');
    graph.inputs = [{ name: 'n', elementType: 'int8', shape: [2, 'N', -1] }];
    fixInputs(graph, { n: -128 });
    expect(graph.initializers.get('n')).toEqual({
      ...{ elementType: 'int8', shape: [2, 1, 1] },
      bytes: Uint8Array.of(128, 128),
    });
  });

  test('that is none of the model’s is refused (USAGE), naming those there are', () => {
    expect(() => fixInputs(branching(), { speed: 1 })).toThrow(coded('USAGE', 'one of the inputs x, mode'));
  });
});

test('names of an inlined branch give way to those that are taken', async () => {
  const graph = branching();
  fixInputs(graph, { mode: 7 });
  await foldConstants(modelOf(graph, 13), runtime);
  const taken = graphOf('in x [2]\nr = Exp(x)\nz = Neg(r)\nout z');
  graph.nodes.unshift(...(taken.nodes.slice(0, 1) as Graph['nodes']));
  inlineIf(graph);
  verifyGraph(graph, 'inlined');
  expect(textOf(graph)).toContain('r.1 = Add(x, one)');
});

describe('a branch is inlined where the runtime allows no name twice', () => {
  const body = (op: string, inner: string, out: string) =>
    graphOf(`${inner} = ${op}(x)\n${out} = Neg(${inner})\nout ${out}`);

  async function expectInlined(text: string, bodies: readonly (readonly [Graph, Graph])[]): Promise<Graph> {
    const graph = graphOf(text);
    graph.initializers.set('yes', { elementType: 'bool', shape: [], bytes: Uint8Array.of(1) });
    for (const [i, node] of graph.nodes.filter(({ op }) => op === 'If').entries()) {
      const [yes, no] = bodies[i] as readonly [Graph, Graph];
      node.attributes.set('then_branch', { type: 'graph', value: yes });
      node.attributes.set('else_branch', { type: 'graph', value: no });
    }
    const expected = await runGraph(graph, { x: X });
    expect(inlineIf(graph)).toBe(true);
    verifyGraph(graph, 'inlined');
    expectClose(await runGraph(graph, { x: X }), expected, 0);
    return graph;
  }

  test('nor that of a node', async () => {
    await expectInlined('in x [2]\na = If(yes)\nb = If(yes)\ny = Add(a, b)\nout y', [
      [body('Abs', 't', 'q'), body('Exp', 't', 'q')],
      [body('Abs', 't', 'q'), body('Exp', 't', 'q')],
    ]);
  });

  test('nor one of another body', async () => {
    const graph = await expectInlined(
      'in x [2]\na = If(yes)\ns = ReduceSum(x) keepdims=0\nc = Cast(s) to=9\nb = If(c)\ny = Add(a, b)\nout y',
      [
        [body('Abs', 't', 'q'), body('Exp', 't', 'q')],
        [body('Abs', 't', 'q'), body('Exp', 't', 'q')],
      ],
    );
    expect(textOf(graph)).toContain('t.1 = Abs(x)');
  });

  test('nor one of a body inside it, whose captures follow', async () => {
    const outer = () => {
      const graph = graphOf('t = Abs(x)\ns = ReduceSum(x) keepdims=0\nc = Cast(s) to=9\nq = If(c)\nout q');
      const inner = () => ({ type: 'graph' as const, value: graphOf('t.1 = Exp(x)\nr = Sub(t, t.1)\nout r') });
      graph.nodes.at(-1)?.attributes.set('then_branch', inner()).set('else_branch', inner());
      return graph;
    };
    await expectInlined('in x [2]\na = If(yes)\nb = If(yes)\ny = Add(a, b)\nout y', [
      [outer(), body('Neg', 'v', 'w')],
      [outer(), body('Neg', 'v', 'w')],
    ]);
  });
});

describe('folding constants', () => {
  test('computes what depends on constants alone, and leaves the rest', async () => {
    const graph = graphOf('in x [2]\nconst a [2] = 1 2\nb = Neg(a)\nc = Exp(b)\ny = Add(x, c)\nout y');
    const expected = await runGraph(graph, { x: X });
    expect(await foldConstants(modelOf(graph), runtime)).toBe(true);
    expect(textOf(graph)).toBe('y = Add(x, c)');
    expectClose(await runGraph(graph, { x: X }), expected, 0);
    expect(await foldConstants(modelOf(graph), runtime)).toBe(false);
  });

  test('leaves what is random, and what the runtime does not know', async () => {
    const random = graphOf('in x [2]\nr = RandomNormal() shape=[2]\ny = Add(x, r)\nout y');
    expect(await foldConstants(modelOf(random), runtime)).toBe(false);
    const unknown = graphOf('in x [2]\nconst a [2]\nb = Frobnicate(a)\ny = Add(x, b)\nout y');
    expect(await foldConstants(modelOf(unknown), runtime)).toBe(false);
    expect(textOf(unknown)).toContain('Frobnicate');
  });
});
