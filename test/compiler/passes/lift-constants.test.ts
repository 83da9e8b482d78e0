import { describe, expect, test } from 'vitest';
import { liftConstants } from '../../../compiler/passes/lift-constants.ts';
import { floats, graphOf, textOf } from '../text-graph.ts';
import { expectRefusal, expectRewrite } from './golden.ts';

const int64 = (shape: number[], values: bigint[]) => ({
  elementType: 'int64',
  shape,
  bytes: new Uint8Array(BigInt64Array.from(values).buffer),
});

describe('lifting constants', () => {
  test('turns a Constant node into an initializer of its name', async () => {
    await expectRewrite(
      liftConstants,
      `in x [1,2]
       c = Constant() value={3 4}
       y = Mul(x, c)
       out y`,
      'y = Mul(x, c)',
    );
  });

  test('reads every spelling of a numeric constant', () => {
    const graph = graphOf(`
      a = Constant() value={3}
      b = Constant() value_float=2.5
      c = Constant() value_int=7
      d = Constant() value_ints=[1,2]
      e = Constant()`);
    graph.nodes[4]?.attributes.set('value_floats', { type: 'floats', value: [1, 2, 3] });
    expect(liftConstants(graph)).toBe(true);
    expect(Object.fromEntries(graph.initializers)).toEqual({
      a: floats([], [3]),
      b: floats([], [2.5]),
      c: int64([], [7n]),
      d: int64([2], [1n, 2n]),
      e: floats([3], [1, 2, 3]),
    });
    expect(textOf(graph)).toBe('');
  });

  test('keeps a constant that is an output of the graph', async () => {
    await expectRewrite(
      liftConstants,
      `in x [2]
       c = Constant() value={3 4}
       y = Mul(x, c)
       out y
       out c`,
      'y = Mul(x, c)',
    );
  });

  test('leaves constants that are strings, and Constants of another domain, alone', () => {
    expectRefusal(liftConstants, 'c = Constant() value_string=text\nout c');
    const graph = graphOf('c = Constant() value={1}\nout c');
    Object.assign(graph.nodes[0] ?? {}, { domain: 'com.custom' });
    expect(liftConstants(graph)).toBe(false);
    expect(graph.nodes).toHaveLength(1);
  });
});
