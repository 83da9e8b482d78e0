import { describe, expect, test } from 'vitest';
import { cloneGraph, float } from '../../../compiler/graph/graph.ts';
import { verifyGraph } from '../../../compiler/graph/verify.ts';
import { shareCommon } from '../../../compiler/passes/share-common.ts';
import { graphOf, textOf } from '../text-graph.ts';
import { expectRefusal, expectRewrite } from './golden.ts';

describe('sharing common subexpressions', () => {
  test('computes the same thing once, and what is made of it too', async () => {
    await expectRewrite(
      shareCommon,
      `in x [2,3]
       a = Neg(x)
       b = Neg(x)
       c = Exp(a)
       d = Exp(b)
       y = Add(c, d)
       out y`,
      `a = Neg(x)
       c = Exp(a)
       y = Add(c, c)`,
    );
  });

  test('renames what a body captures', () => {
    const graph = graphOf('in x [2]\na = Neg(x)\nb = Neg(x)\ny = If(a)\nout y');
    graph.nodes[2]?.attributes.set('then_branch', { type: 'graph', value: graphOf('c = Exp(b)\nout c') });
    expect(shareCommon(graph)).toBe(true);
    verifyGraph(graph, 'shared');
    const body = graph.nodes[1]?.attributes.get('then_branch');
    expect(body?.type === 'graph' && textOf(body.value)).toBe('c = Exp(a)');
  });

  test('leaves a copied graph’s bodies as they were', () => {
    const graph = graphOf('in x [2]\na = Neg(x)\nb = Neg(x)\ny = If(a)\nout y');
    const body = graphOf('c = Exp(b)\nout c');
    graph.nodes[2]?.attributes.set('then_branch', { type: 'graph', value: body });
    shareCommon(cloneGraph(graph));
    expect(textOf(body)).toBe('c = Exp(b)');
  });

  test.each([
    [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY],
    [Number.NaN, Number.POSITIVE_INFINITY],
    [0, -0],
  ])('tells attributes of %d and %d apart', (one, other) => {
    const graph = graphOf('in x [2]\na = Pad(x)\nb = Pad(x)\ny = Sub(a, b)\nout y');
    graph.nodes[0]?.attributes.set('value', float(one));
    graph.nodes[1]?.attributes.set('value', float(other));
    expect(shareCommon(graph)).toBe(false);
    graph.nodes[1]?.attributes.set('value', float(one));
    expect(shareCommon(graph)).toBe(true);
  });

  test.each([
    ['other inputs', 'const k [2,3]\na = Neg(x)\nb = Neg(k)\ny = Add(a, b)\nout y'],
    ['inputs in another order', 'const k [2,3]\na = Sub(x, k)\nb = Sub(k, x)\ny = Add(a, b)\nout y'],
    ['other attributes', 'a = Softmax(x) axis=0\nb = Softmax(x) axis=1\ny = Add(a, b)\nout y'],
    ['outputs of the graph', 'a = Neg(x)\nb = Neg(x)\nout a\nout b'],
    ['dropout in training', 'a = Dropout(x, 0.5, 1)\nb = Dropout(x, 0.5, 1)\ny = Add(a, b)\nout y'],
    ['random values', 'a = RandomNormalLike(x)\nb = RandomNormalLike(x)\ny = Add(a, b)\nout y'],
  ])('leaves nodes of %s alone', (_, lines) => {
    expectRefusal(shareCommon, `in x [2,3]\n${lines}`);
  });
});
