import { describe, expect, test } from 'vitest';
import { verifyGraph } from '../../../compiler/graph/verify.ts';
import { removeIdentity } from '../../../compiler/passes/remove-identity.ts';
import { expectSameOutputs } from '../run-graph.ts';
import { graphOf } from '../text-graph.ts';
import { expectRefusal, expectRewrite } from './golden.ts';

describe('removing identities', () => {
  test.each(['Identity(x)', 'Mul(x, 1)', 'Mul(1, x)', 'Div(x, 1)', 'Add(x, 0)', 'Add(0, x)', 'Sub(x, 0)'])(
    'drops %s',
    async (identity) => {
      await expectRewrite(
        removeIdentity,
        `in x [2,3]
         a = ${identity}
         y = Neg(a)
         out y`,
        'y = Neg(x)',
      );
    },
  );

  test('drops a chain of them, whoever reads its middle', async () => {
    await expectRewrite(
      removeIdentity,
      `in x [2,3]
       a = Identity(x)
       b = Mul(a, 1)
       c = Add(b, a)
       d = Identity(c)
       y = Neg(d)
       out y`,
      `c = Add(x, x)
       y = Neg(c)`,
    );
  });

  test.each([
    ['an output of the graph', 'a = Identity(x)\nout a'],
    ['another number', 'a = Mul(x, 2)\ny = Neg(a)\nout y'],
    ["the other operation's number", 'a = Mul(x, 0)\nb = Add(x, 1)\ny = Add(a, b)\nout y'],
    ['a number from which x is taken, or which is divided by it', 'a = Sub(0, x)\nb = Div(1, x)\ny = Add(a, b)\nout y'],
    ['a constant of more elements', 'const ones [3] = 1 1 1\na = Mul(x, ones)\ny = Neg(a)\nout y'],
    ['a constant that raises the rank', 'const one [1,1,1,1] = 1\na = Mul(x, one)\ny = Neg(a)\nout y'],
    ['two values', 'a = Mul(x, x)\ny = Neg(a)\nout y'],
  ])('leaves %s alone', (_, lines) => {
    expectRefusal(removeIdentity, `in x [2,3]\n${lines}`);
  });

  test('leaves another domain alone', () => {
    const graph = graphOf('in x [2]\na = Mul(x, 1)\nb = Identity(x)\ny = Add(a, b)\nout y');
    for (const node of graph.nodes) node.domain = 'com.custom';
    expect(removeIdentity(graph)).toBe(false);
  });

  test('keeps a graph legal where a subgraph captures what an identity makes', () => {
    const graph = graphOf('in x [2]\nin c [1]\na = Identity(x)\ny = If(c)\nout y');
    graph.nodes[1]?.attributes.set('then_branch', { type: 'graph', value: graphOf('b = Neg(a)\nout b') });
    verifyGraph(graph, 'before');
    removeIdentity(graph);
    verifyGraph(graph, 'after');
  });

  test('leaves a constant of one dimension alone where it gives a scalar one', async () => {
    const text = 'in x []\nconst one [1] = 1\na = Mul(x, one)\ny = Neg(a)\nout y';
    const graph = graphOf(text);
    removeIdentity(graph);
    await expectSameOutputs(graphOf(text), graph);
  });
});
