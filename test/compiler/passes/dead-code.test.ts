import { describe, expect, test } from 'vitest';
import { removeDeadCode } from '../../../compiler/passes/dead-code.ts';
import { graphOf } from '../text-graph.ts';
import { expectRefusal, expectRewrite } from './golden.ts';

describe('removing dead code', () => {
  test('drops nodes that lead to no output, and their constants', async () => {
    const text = `
      in x [2]
      in unused [2]
      const kept [2]
      const dropped [2]
      a = Neg(x)
      dead = Add(a, dropped)
      deader = Relu(dead)
      y = Mul(a, kept)
      out y`;
    await expectRewrite(removeDeadCode, text, 'a = Neg(x)\ny = Mul(a, kept)');
    const graph = graphOf(text);
    for (const name of ['a', 'dead']) graph.values.set(name, { name, elementType: 'float32', shape: [2] });
    removeDeadCode(graph);
    expect([...graph.initializers.keys()]).toEqual(['kept']);
    expect([...graph.values.keys()]).toEqual(['a']);
    expect(graph.inputs.map(({ name }) => name)).toEqual(['x', 'unused']);
  });

  test('drops an initializer alone', () => {
    const graph = graphOf('in x [2]\nconst w [2]\ny = Neg(x)\nout y');
    expect(removeDeadCode(graph)).toBe(true);
    expect(graph.initializers.size).toBe(0);
  });

  test('keeps a node of which any one output is read', () => {
    expectRefusal(removeDeadCode, 'in x [2]\na, b = Split(x)\ny = Neg(b)\nout y');
  });

  test('keeps what only a subgraph reads', () => {
    const graph = graphOf('in c [1]\nconst w [2]\na = Neg(w)\ny = If(c)\nout y');
    graph.nodes[1]?.attributes.set('then_branch', { type: 'graph', value: graphOf('b = Add(a, w)\nout b') });
    expect(removeDeadCode(graph)).toBe(false);
    expect(graph.nodes).toHaveLength(2);
    expect(graph.initializers.has('w')).toBe(true);
  });

  test('keeps an initializer that is an output', () => {
    expectRefusal(removeDeadCode, 'in x [2]\nconst w [2]\ny = Neg(x)\nout y\nout w');
  });
});
