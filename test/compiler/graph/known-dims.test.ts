import { describe, expect, test } from 'vitest';
import { knownDims } from '../../../compiler/graph/known-dims.ts';
import { randomFeeds, runGraph } from '../run-graph.ts';
import { graphOf } from '../text-graph.ts';

const X = 'in x [N,4,6,M]';

describe('dimensions that are known', () => {
  test.each([
    ['what keeps the shape', `${X}\ny = Relu(x)`, ['x:0', 4, 6, 'x:3']],
    ['a broadcast', `${X}\nin z [6,M]\ny = Add(x, z)`, ['x:0', 4, 6, 'y:3']],
    ['a broadcast of ones', `${X}\nin z [1,1,6,1]\ny = Add(z, x)`, ['x:0', 4, 6, 'x:3']],
    ['a broadcast to more axes', 'in x [N,3]\nin z [2,1,1]\ny = Mul(x, z)', [2, 'x:0', 3]],
    ['a Conv', 'in x [N,4,H,W]\nconst w [8,2,1,1]\ny = Conv(x, w) group=2', ['x:0', 8, 'y:2', 'y:3']],
    ['a pooling', 'in x [N,4,6,H]\ny = MaxPool(x) kernel_shape=[2,2]', ['x:0', 4, 'y:2', 'y:3']],
    ['a product with a matrix', 'in x [N,M,4]\nconst w [4,5]\ny = MatMul(x, w)', ['x:0', 'x:1', 5]],
    ['a product of stacks', 'in x [2,N,4]\nin z [1,4,5]\ny = MatMul(x, z)', [2, 'x:1', 5]],
    ['an order of axes', `${X}\ny = Transpose(x) perm=[0,2,3,1]`, ['x:0', 6, 'x:3', 4]],
    ['the reverse order', `${X}\ny = Transpose(x)`, ['x:3', 6, 4, 'x:0']],
    ['a Reshape', `${X}\ny = Reshape(x, [0,8,-1,3])`, ['x:0', 8, 'y:2', 3]],
    ['a Slice', `${X}\ny = Slice(x, [1], [3], [1])`, ['x:0', 'y:1', 6, 'x:3']],
    ['a Slice of the first axes', `${X}\ny = Slice(x, [0,1], [1,3])`, ['y:0', 'y:1', 6, 'x:3']],
    ['a Squeeze', 'in x [N,1,4]\ny = Squeeze(x, [-2])', ['x:0', 4]],
    ['an Unsqueeze', 'in x [N,4]\ny = Unsqueeze(x, [0,-1])', [1, 'x:0', 4, 1]],
    ['a reduction', `${X}\ny = ReduceMean(x) axes=[1,-1]`, ['x:0', 1, 6, 1]],
  ])('are those of %s, and those that it runs to', async (_, text, expected) => {
    const graph = graphOf(`${text}\nout y`);
    const dims = knownDims(graph).get('y');
    expect(dims).toEqual(expected);
    const feeds = randomFeeds(graph);
    const { shape } = (await runGraph(graph, feeds, 13))['y'] as { shape: readonly number[] };
    expect(shape).toHaveLength(expected.length);
    for (const [axis, dim] of expected.entries()) {
      const [input, place] = String(dim).split(':');
      if (typeof dim === 'number') expect(shape[axis]).toBe(dim);
      else if (input === 'x') expect(shape[axis]).toBe(feeds['x']?.shape[Number(place)]);
    }
  });

  test.each([
    ['an operator that is not listed', 'in x [2,3]\ny = NonZero(x)'],
    ['a broadcast with what is not known', 'in x [2,3]\na = NonZero(x)\ny = Add(x, a)'],
    ['a vector times a matrix', 'in x [4]\nconst w [4,5]\ny = MatMul(x, w)'],
    ['a Reshape to what is computed', 'in x [2,3]\nin z [2]\ny = Reshape(x, z)'],
    ['a Squeeze of all axes of one', 'in x [N,1]\ny = Squeeze(x)'],
    ['a reduction that drops axes', 'in x [N,2]\ny = ReduceMean(x) axes=[1] keepdims=0'],
    ['a reduction of all axes', 'in x [N,2]\ny = ReduceMean(x)'],
  ])('are none for %s', (_, text) => {
    expect(knownDims(graphOf(`${text}\nout y`)).has('y')).toBe(false);
  });

  test('are not taken from types of inner values', () => {
    const graph = graphOf('in x [2,3]\na = NonZero(x)\ny = Neg(a)\nout y');
    graph.values.set('a', { name: 'a', elementType: 'int64', shape: [2, 6] });
    expect(knownDims(graph).has('a')).toBe(false);
  });
});
