import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { sortNodes } from '../../../compiler/graph/sort.ts';
import { verifyGraph } from '../../../compiler/graph/verify.ts';
import { coded } from '../coded.ts';
import { graphOf, textOf } from '../text-graph.ts';

describe('sorting nodes', () => {
  test('leaves a sorted graph as it is', () => {
    const text = 'in x [2]\nb = Neg(x)\na = Relu(x)\ny = Add(a, b)\nout y';
    const graph = graphOf(text);
    sortNodes(graph, 'm');
    expect(textOf(graph)).toBe(textOf(graphOf(text)));
  });

  test('puts every node after those it reads, whatever the order was, and deep graphs too', () => {
    const length = 5000;
    const lines = Array.from({ length }, (_, i) => `v${i + 1} = Neg(v${i})`);
    const shuffled = fc.sample(fc.shuffledSubarray(lines, { minLength: length, maxLength: length }), 1)[0] as string[];
    const graph = graphOf(['in v0 [2]', ...shuffled, `out v${length}`].join('\n'));
    sortNodes(graph, 'm');
    expect(graph.nodes.map(({ outputs }) => outputs[0])).toEqual(lines.map((_, i) => `v${i + 1}`));
    verifyGraph(graph, 'sorted');
  });

  test('looks into what bodies capture', () => {
    const graph = graphOf('in x [2]\ny = If(x)\na = Neg(x)\nout y');
    graph.nodes[0]?.attributes.set('then_branch', { type: 'graph', value: graphOf('c = Relu(a)\nout c') });
    sortNodes(graph, 'm');
    expect(graph.nodes.map(({ op }) => op)).toEqual(['Neg', 'If']);
  });

  test('names a value of a cycle (BAD_MODEL)', () => {
    const graph = graphOf('in x [2]\na = Add(x, c)\nb = Neg(a)\nc = Relu(b)\nout c');
    expect(() => sortNodes(graph, 'm.onnx')).toThrow(coded('BAD_MODEL', 'is made of itself'));
  });
});
