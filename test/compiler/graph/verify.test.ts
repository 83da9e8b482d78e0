import { describe, expect, test } from 'vitest';
import type { Graph } from '../../../compiler/graph/graph.ts';
import { verifyGraph } from '../../../compiler/graph/verify.ts';
import { coded } from '../coded.ts';
import { graphOf } from '../text-graph.ts';

function withBranch(text: string, branch: Graph): Graph {
  const graph = graphOf(text);
  graph.nodes.find(({ op }) => op === 'If')?.attributes.set('then_branch', { type: 'graph', value: branch });
  return graph;
}

function expectIllegal(graph: Graph, message: string): void {
  expect(() => verifyGraph(graph, 'after the test')).toThrow(coded('BAD_MODEL', message));
}

describe('a legal graph', () => {
  test('reads inputs, initializers and earlier values, and may leave optional inputs out', () => {
    verifyGraph(
      graphOf(`
        in x [2]
        const w [2]
        a = Add(x, w)
        y = Clip(a, -, 3)
        out y`),
      'the test',
    );
  });

  test('may give an input or an initializer as its output', () => {
    verifyGraph(graphOf('in x [2]\nconst w [2]\nout x\nout w'), 'the test');
  });

  test('does not read a value before it is made', () => {
    expectIllegal(
      graphOf(`
        in x [2]
        a = Add(x, b)
        b = Relu(x)
        out a`),
      'after the test: Add a reads b, which nothing before it makes',
    );
  });

  test.each([
    ['two nodes', 'in x [2]\na = Relu(x)\na = Neg(x)\nout a', 'value a is defined twice, again by Neg a'],
    ['an input and a node', 'in x [2]\nx = Neg(x)\nout x', 'value x is defined twice, again by Neg x'],
    ['two outputs of a node', 'in x [2]\na, a = Split(x)\nout a', 'value a is defined twice, again by Split a'],
    ['an initializer and an input', 'in w [2]\nconst w [2]\nout w', 'value w is defined twice, again by a graph input'],
  ])('does not define a value twice: %s', (_, text, message) => {
    expectIllegal(graphOf(text), message);
  });

  test('makes every output', () => {
    expectIllegal(graphOf('in x [2]\na = Relu(x)\nout y'), 'output y is made by nothing');
  });

  test('names an operator in every node', () => {
    const graph = graphOf('in x [2]\na = Relu(x)\nout a');
    Object.assign(graph.nodes[0] ?? {}, { op: '' });
    expectIllegal(graph, 'node a has no operator');
  });
});

describe('a subgraph', () => {
  const outer = 'in x [2]\na = Relu(x)\ny = If(x)\nlate = Neg(x)\nout y';

  test('may read what was made around it so far', () => {
    verifyGraph(withBranch(outer, graphOf('b = Neg(a)\nout b')), 'the test');
  });

  test('does not read what is made after the node that holds it', () => {
    expectIllegal(
      withBranch(outer, graphOf('b = Neg(late)\nout b')),
      'after the test, in the body of If y: Neg b reads late, which nothing before it makes',
    );
  });

  test('keeps its values to itself', () => {
    expectIllegal(
      withBranch('in x [2]\ny = If(x)\nz = Neg(b)\nout z', graphOf('b = Neg(x)\nout b')),
      'Neg z reads b, which nothing before it makes',
    );
  });
});
