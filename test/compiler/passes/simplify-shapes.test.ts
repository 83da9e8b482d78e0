import { describe, expect, test } from 'vitest';
import type { Graph } from '../../../compiler/graph/graph.ts';
import { simplifyShapes } from '../../../compiler/passes/simplify-shapes.ts';
import { seededRandom } from '../../../shared/random.ts';
import { expectClose, runGraph } from '../run-graph.ts';
import { graphOf, nameIntegers, randomTensor, textOf } from '../text-graph.ts';
import { expectRefusal, expectRewrite } from './golden.ts';

const OPSET = 13;
const rewrites = (before: string, after: string, opset = OPSET) => expectRewrite(simplified, before, after, opset);
const refuses = (text: string) => expectRefusal(simplifyShapes, text, OPSET);
function simplified(graph: Graph): boolean {
  const changed = simplifyShapes(graph);
  nameIntegers(graph);
  return changed;
}

const RESHAPE = 'y = Reshape(x, r)\nout y';

test('the largest int64, at which slices end, stays what it is beside a known dimension', async () => {
  const text =
    'in x [2,3,4]\ns = Shape(x)\nd = Gather(s, [1])\nends = Concat([9223372036854775807], d) axis=0\ny = Slice(x, [0,0], ends, [0,1])\nout y';
  const graph = graphOf(text);
  simplifyShapes(graph);
  const feeds = { x: randomTensor([2, 3, 4], seededRandom(1)) };
  const [before, after] = [await runGraph(graphOf(text), feeds, OPSET), await runGraph(graph, feeds, OPSET)];
  expect(before['y']?.shape).toEqual([2, 3, 4]);
  expectClose(after, before, 0);
});

describe('a dimension that is known becomes a constant', () => {
  test.each([
    ['of an input, by Gather', 'in x [2,3,4]', 'd = Gather(s, [1])'],
    ['of an input, counted from the back', 'in x [2,3,4]', 'd = Gather(s, [-2])'],
    ['of an input, by Slice', 'in x [2,3,4]', 'd = Slice(s, [1], [2])'],
    ['of an input, by Slice to the end', 'in x [2,4,3]', 'd = Slice(s, [-1], [9223372036854775807], [0])'],
    ['as a scalar that becomes a vector', 'in x [N,3,4]', 'g = Gather(s, 1n)\nd = Unsqueeze(g, [0])'],
    [
      'as a vector that becomes a scalar and a vector again',
      'in x [N,3]',
      'a = Gather(s, [1])\nb = Squeeze(a, [0])\nd = Unsqueeze(b, [0])',
    ],
    ['by way of int32', 'in x [N,3]', 'a = Cast(s) to=6\nb = Gather(a, [1])\nd = Cast(b) to=7'],
  ])('%s', async (_, input, chain) => {
    const graph = graphOf(
      `${input}\nin z [3,5]\ns = Shape(x)\n${chain}\nr = Concat(d, [-1]) axis=0\ny = Reshape(z, r)\nout y`,
    );
    simplified(graph);
    expect(textOf(graph).split('\n').at(-1)).toBe('y = Reshape(z, [3,-1])');
  });

  test('of the channels of a Conv, however open its input is', async () => {
    await rewrites(
      'in x [N,3,H,W]\nconst w [6,3,1,1]\nc = Conv(x, w)\ns = Shape(c)\nd = Gather(s, [1])\nr = Concat([0], d, [-1]) axis=0\ny = Reshape(c, r)\nout y',
      'c = Conv(x, w)\ns = Shape(c)\ny = Reshape(c, [0,6,-1])',
    );
  });

  test('but stays where it is an output of the graph', async () => {
    await rewrites(
      'in x [2,3]\na = Neg(x)\nt = Transpose(a) perm=[1,0]\ny = Transpose(t) perm=[1,0]\nout y',
      'a = Neg(x)\nt = Transpose(a) perm=[1,0]\ny = Identity(a)',
    );
    const graph = graphOf('in x [2,3]\ns = Shape(x)\nout s');
    expect(simplifyShapes(graph)).toBe(false);
  });
});

describe('a Reshape whose shape is made of dimensions', () => {
  test('copies those that are in the same place of its input', async () => {
    await rewrites(
      `in x [N,M,6]\ns = Shape(x)\nd = Gather(s, [0,1])\nr = Concat(d, [2,3]) axis=0\n${RESHAPE}`,
      's = Shape(x)\nd = Gather(s, [0,1])\nr = Concat(d, [2,3]) axis=0\ny = Reshape(x, [0,0,2,3])',
    );
  });

  test('copies those that its input has from where they were read', async () => {
    await rewrites(
      'in x [N,M,4]\nconst w [4,6]\nconst b [6]\ns = Shape(x)\nd = Gather(s, [0,1])\nm = MatMul(x, w)\na = Add(m, b)\nr = Concat(d, [2,3]) axis=0\ny = Reshape(a, r)\nout y',
      's = Shape(x)\nd = Gather(s, [0,1])\nm = MatMul(x, w)\na = Add(m, b)\nr = Concat(d, [2,3]) axis=0\ny = Reshape(a, [0,0,2,3])',
    );
  });

  test('tells of the dimensions of those behind it', async () => {
    await rewrites(
      'in x [N,6]\ns = Shape(x)\nd = Gather(s, [0])\nr = Concat(d, [2,3]) axis=0\na = Reshape(x, r)\nb = Neg(a)\nt = Shape(b)\ne = Gather(t, [1])\nq = Concat([0], [-1], e) axis=0\ny = Reshape(b, q)\nout y',
      's = Shape(x)\nd = Gather(s, [0])\nr = Concat(d, [2,3]) axis=0\na = Reshape(x, [0,2,3])\nb = Neg(a)\nt = Shape(b)\ny = Reshape(b, [0,-1,2])',
    );
  });

  test('of an input of unknown rank copies what was counted from its front', () => {
    const graph = graphOf(
      `in x []\nt = Foo(x)\ns = Shape(t)\nd = Gather(s, [0])\nr = Concat(d, [6]) axis=0\ny = Reshape(t, r)\nout y`,
    );
    simplified(graph);
    expect(textOf(graph).split('\n').at(-1)).toBe('y = Reshape(t, [0,6])');
  });

  test('says -1 for one that is open', async () => {
    await rewrites(
      `in x [2,N,6]\ns = Shape(x)\nd = Gather(s, [1])\nr = Concat(d, [6], [2]) axis=0\n${RESHAPE}`,
      's = Shape(x)\nd = Gather(s, [1])\nr = Concat(d, [6], [2]) axis=0\ny = Reshape(x, [-1,6,2])',
    );
  });

  test('keeps the -1 that it has beside what is copied', async () => {
    await rewrites(
      `in x [N,2,6]\ns = Shape(x)\nd = Gather(s, [0])\nr = Concat(d, [-1]) axis=0\n${RESHAPE}`,
      's = Shape(x)\nd = Gather(s, [0])\nr = Concat(d, [-1]) axis=0\ny = Reshape(x, [0,-1])',
    );
  });

  test('gives the same for no elements at all', async () => {
    const text = `in x [N,6]\nin z [N,2]\ns = Shape(z)\nd = Gather(s, [0])\nr = Concat(d, [2], [3]) axis=0\n${RESHAPE}`;
    const graph = graphOf(text);
    simplified(graph);
    expect(textOf(graph)).toContain('y = Reshape(x, [-1,2,3])');
    const random = seededRandom(1);
    const feeds = { x: randomTensor([0, 6], random), z: randomTensor([0, 2], random) };
    expectClose(await runGraph(graph, feeds, OPSET), await runGraph(graphOf(text), feeds, OPSET), 0);
  });

  const parts = 'in x [N,M,6]\ns = Shape(x)';
  test.each([
    ['two open dimensions', `${parts}\nr = Gather(s, [1,0,2])\n${RESHAPE}`],
    [
      'an open dimension beside one that is copied: of no elements -1 has no meaning',
      `${parts}\nd = Gather(s, [0])\ne = Gather(s, [1])\nr = Concat(d, [1], e, [6]) axis=0\n${RESHAPE}`,
    ],
    ['an open dimension beside a -1', `${parts}\nd = Gather(s, [1])\nr = Concat(d, [-1]) axis=0\n${RESHAPE}`],
    ['an open dimension beside a 0', `${parts}\nd = Gather(s, [1])\nr = Concat([0], [1], d, [6]) axis=0\n${RESHAPE}`],
    ['a shape that is given', 'in x [2,3]\nin z [2]\nr = Cast(z) to=7\ny = Reshape(x, r)\nout y'],
    [
      'a 0 that stands for itself',
      `${parts}\nd = Gather(s, [0])\nr = Concat(d, [6], [-1]) axis=0\ny = Reshape(x, r) allowzero=1\nout y`,
    ],
    [
      'a slice of a shape of unknown rank',
      'in x []\nt = Foo(x)\ns = Shape(t)\nd = Slice(s, [0], [1])\nr = Concat(d, [6]) axis=0\ny = Reshape(t, r)\nout y',
    ],
    [
      'an element counted from the back of a shape of unknown rank',
      'in x []\nt = Foo(x)\ns = Shape(t)\nd = Gather(s, [-1])\nr = Concat(d, [6]) axis=0\ny = Reshape(t, r)\nout y',
    ],
  ])('is left alone for %s', (_, text) => {
    refuses(text);
  });

  test('says -1, and no 0, where only a symbol of the file equates dimensions of two inputs', async () => {
    await rewrites(
      'in x [N,6]\nin z [N,2]\ns = Shape(z)\nd = Gather(s, [0])\nr = Concat(d, [6]) axis=0\ny = Reshape(x, r)\nq = Neg(z)\nout y\nout q',
      's = Shape(z)\nd = Gather(s, [0])\nr = Concat(d, [6]) axis=0\ny = Reshape(x, [-1,6])\nq = Neg(z)',
    );
  });
});

describe('a pair', () => {
  test.each([
    [
      'Reshape of Reshape',
      'a = Reshape(x, [6,4])\ny = Reshape(a, [3,-1])',
      'a = Reshape(x, [6,4])\ny = Reshape(x, [3,-1])',
    ],
    [
      'Transpose of Transpose',
      'a = Transpose(x) perm=[1,2,0]\ny = Transpose(a) perm=[1,0,2]',
      'a = Transpose(x) perm=[1,2,0]\ny = Transpose(x) perm=[2,1,0]',
    ],
    [
      'Transpose that undoes another',
      'a = Transpose(x) perm=[1,2,0]\ny = Transpose(a) perm=[2,0,1]',
      'a = Transpose(x) perm=[1,2,0]\ny = Identity(x)',
    ],
    [
      'Transpose that reverses what one reversed',
      'a = Transpose(x)\ny = Transpose(a)',
      'a = Transpose(x)\ny = Identity(x)',
    ],
    [
      'Squeeze of Unsqueeze',
      'a = Unsqueeze(x, [0,-1])\ny = Squeeze(a, [0,-1])',
      'a = Unsqueeze(x, [0,-1])\ny = Identity(x)',
    ],
    [
      'Unsqueeze of Squeeze',
      'b = Unsqueeze(x, [1])\nz = Neg(b)\na = Squeeze(z, [1])\ny = Unsqueeze(a, [1])',
      'b = Unsqueeze(x, [1])\nz = Neg(b)\na = Squeeze(z, [1])\ny = Identity(z)',
    ],
    ['Cast of the same Cast', 'a = Cast(x) to=1\ny = Cast(a) to=1', 'a = Cast(x) to=1\ny = Identity(a)'],
  ])('%s becomes one or none', async (_, before, after) => {
    await rewrites(`in x [2,3,4]\n${before}\nout y`, after);
  });

  test('of axes that are attributes, as up to opset 12, goes as well', async () => {
    const text = 'in x [2,3]\na = Unsqueeze(x) axes=[1]\ny = Squeeze(a) axes=[1]\nout y';
    await rewrites(text, 'a = Unsqueeze(x) axes=[1]\ny = Identity(x)', 9);
  });

  test.each([
    ['a Reshape that copies of the one before', 'a = Reshape(x, [6,4])\ny = Reshape(a, [0,2,2])'],
    ['a Reshape of a shape that is computed', 'a = Reshape(x, [6,4])\nin z [2]\nr = Cast(z) to=7\ny = Reshape(a, r)'],
    ['Transposes of which one says no order', 'a = Transpose(x) perm=[1,2,0]\ny = Transpose(a)'],
    ['a Squeeze of another axis', 'a = Unsqueeze(x, [0,1])\ny = Squeeze(a, [0])'],
    ['a Squeeze of all axes', 'a = Unsqueeze(x, [0])\ny = Squeeze(a)'],
    ['a Cast to another type', 'a = Cast(x) to=6\ny = Cast(a) to=1'],
    ['a Cast from a wider type', 'a = Cast(x) to=11\ny = Cast(a) to=1'],
  ])('is left alone: %s', (_, text) => {
    refuses(`in x [2,3,4]\n${text}\nout y`);
  });
});
