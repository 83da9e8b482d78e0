import { describe, expect, test } from 'vitest';
import { recogniseLayerNorm } from '../../../compiler/passes/recognise-layer-norm.ts';
import { optimizedOperators } from '../optimized.ts';
import { graphOf } from '../text-graph.ts';
import { expectRefusal, expectRewrite } from './golden.ts';

type Parts = Readonly<Record<string, string>>;
type Case = readonly [title: string, parts: Parts];

/** A layer normalisation of the last axis with some of its parts replaced. */
function layerNorm(parts: Parts = {}, opset = 13): string {
  const mean = (x: string) => (opset < 18 ? `ReduceMean(${x}) axes=[-1]` : `ReduceMean(${x}, [-1])`);
  const lines: Readonly<Record<string, string>> = {
    x: 'in x [2,3,4]',
    scale: 'const w [4] = 1 2 0.5 -1',
    bias: 'const b [4] = 0 1 2 3',
    m: `m = ${mean('x')}`,
    d: 'd = Sub(x, m)',
    q: 'q = Pow(d, 2)',
    v: `v = ${mean('q')}`,
    e: 'e = Add(v, 0.00001)',
    r: 'r = Sqrt(e)',
    n: 'n = Div(d, r)',
    g: 'g = Mul(n, w)',
    y: 'y = Add(g, b)',
    out: 'out y',
  };
  return Object.values({ ...lines, ...parts }).join('\n');
}

const ONE_NODE = 'y = LayerNormalization(x, w, b) axis=-1 epsilon=0.00001';
/** What onnxruntime 1.30 does not take for one operator, and is not made one here. */
const UNFUSED: readonly Case[] = [
  ['a square by Mul', { q: 'q = Mul(d, d)' }],
  ['a reciprocal', { n: 'i = Reciprocal(r)\nn = Mul(d, i)' }],
  ['a scale and a bias with axes of one before the last', { scale: 'const w [1,1,4]', bias: 'const b [1,1,4]' }],
  ['no bias', { bias: '', y: 'y = Relu(g)' }],
  [
    'the last two axes',
    {
      ...{ scale: 'const w [3,4]', bias: 'const b [3,4]' },
      ...{ m: 'm = ReduceMean(x) axes=[-2,-1]', v: 'v = ReduceMean(q) axes=[-2,-1]' },
    },
  ],
];

describe('recognising layer normalisation', () => {
  test.each<Case>([
    ['as PyTorch writes it', {}],
    ['with what commutes turned round', { e: 'e = Add(0.00001, v)', g: 'g = Mul(w, n)', y: 'y = Add(b, g)' }],
    ['with axes counted from the front, where the rank is known', { m: 'm = ReduceMean(x) axes=[2]' }],
  ])('makes one node from opset 17 on of what onnxruntime fuses, %s', async (_, parts) => {
    await expectRewrite(recogniseLayerNorm, layerNorm(parts), ONE_NODE, 17);
    expect(await optimizedOperators(graphOf(layerNorm(parts)), 17)).toEqual(['LayerNormalization']);
  });

  test('reads axes where opset 18 has them, in the inputs', async () => {
    await expectRewrite(recogniseLayerNorm, layerNorm({}, 18), ONE_NODE, 18);
  });

  test('finds one after another', async () => {
    const again = ['m', 'd', 'q', 'v', 'e', 'r', 'n', 'g'];
    const rename = (name: string) => (name === 'x' ? 'y' : name === 'y' || again.includes(name) ? `${name}2` : name);
    const lines = layerNorm().split('\n').slice(3, -1);
    const more = lines.join('\n').replace(/\b[a-z]\b/g, rename);
    await expectRewrite(
      recogniseLayerNorm,
      `${layerNorm()}\n${more}\nout y2`,
      `${ONE_NODE}\n${ONE_NODE.replace('y =', 'y2 =').replace('(x', '(y')}`,
      17,
    );
  });

  test('leaves it to the runtime before opset 17, and where the version is not known', () => {
    expectRefusal(recogniseLayerNorm, layerNorm(), 16);
    expectRefusal(recogniseLayerNorm, layerNorm(), 0);
  });

  test.each(UNFUSED)('leaves %s alone, which onnxruntime does not fuse', async (_, parts) => {
    expectRefusal(recogniseLayerNorm, layerNorm(parts), 17);
    expect(await optimizedOperators(graphOf(layerNorm(parts)), 17)).not.toContain('LayerNormalization');
  });

  test.each<Case>([
    ['a mean over another axis', { m: 'm = ReduceMean(x) axes=[-2]' }],
    ['a variance over another axis', { v: 'v = ReduceMean(q) axes=[1]' }],
    ['a mean over all axes', { m: 'm = ReduceMean(x)' }],
    ['a mean that drops the axis', { m: 'm = ReduceMean(x) axes=[-1] keepdims=0' }],
    ['a mean of another value', { m: 'in z [2,3,4]\nm = ReduceMean(z) axes=[-1]' }],
    [
      'axes counted from the front of an unknown rank',
      { x: 'in u [2]\nx = NonZero(u)', m: 'm = ReduceMean(x) axes=[2]' },
    ],
    ['the mean less x', { d: 'd = Sub(m, x)' }],
    ['a cube', { q: 'q = Pow(d, 3)' }],
    ['a square of another value', { q: 'q = Pow(x, 2)' }],
    ['the deviation over the difference', { n: 'n = Div(r, d)' }],
    ['another root', { r: 'r = Exp(e)' }],
    ['a scale of one element, which could stand for more', { scale: 'const w [1] = 2', bias: 'const b [1] = 1' }],
    ['a scale and a bias of different shapes', { x: 'in x [2,4,4]', bias: 'const b [4,4]' }],
    ['a scale that is computed', { scale: 'in u [4]\nw = Neg(u)' }],
    ['a second reader of the variance', { out: 'out y\nz = Neg(v)\nout z' }],
    ['an inner value that is an output of the graph', { out: 'out y\nout n' }],
    ['a second reader of what the bias is added to', { out: 'out y\nz = Neg(g)\nout z' }],
  ])('refuses %s', (_, parts) => {
    expectRefusal(recogniseLayerNorm, layerNorm(parts), 17);
  });
});
