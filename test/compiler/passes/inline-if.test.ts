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
