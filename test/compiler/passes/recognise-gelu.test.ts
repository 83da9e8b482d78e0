import { describe, expect, test } from 'vitest';
import { recogniseGelu } from '../../../compiler/passes/recognise-gelu.ts';
import { optimizedOperators } from '../optimized.ts';
import { graphOf } from '../text-graph.ts';
import { expectRefusal, expectRewrite } from './golden.ts';

const ERF = 'in x [2,3,4]\na = Div(x, 1.4142135)\ne = Erf(a)\ns = Add(e, 1)';
/** Spellings of the exact form: those that onnxruntime fuses by itself, and those that it does not. */
const FUSED = [
  ['PyTorch', `${ERF}\np = Mul(x, s)\ny = Mul(p, 0.5)`],
  ['x halved first', `${ERF}\nh = Mul(x, 0.5)\ny = Mul(h, s)`],
  [
    'what commutes turned round',
    'in x [2,3,4]\na = Div(x, 1.4142135)\ne = Erf(a)\ns = Add(1, e)\np = Mul(s, x)\ny = Mul(0.5, p)',
  ],
] as const;
const UNFUSED = [
  [
    'a product in the erf',
    'in x [2,3,4]\na = Mul(x, 0.70710678)\ne = Erf(a)\ns = Add(e, 1)\np = Mul(x, s)\ny = Mul(p, 0.5)',
  ],
  ['the sum halved', `${ERF}\nh = Mul(s, 0.5)\ny = Mul(x, h)`],
  ['a division by 2', `${ERF}\np = Mul(x, s)\ny = Div(p, 2)`],
] as const;

const CUBE =
  'in x [2,3,4]\nc = Pow(x, 3)\nd = Mul(c, 0.044715)\nb = Add(x, d)\nt = Mul(b, 0.79788456)\nu = Tanh(t)\ns = Add(u, 1)';
const TANH = [
  ['PyTorch', `${CUBE}\nh = Mul(x, 0.5)\ny = Mul(h, s)`],
  ['the sum halved', `${CUBE}\nh = Mul(s, 0.5)\ny = Mul(h, x)`],
  ['the product halved', `${CUBE}\nh = Mul(x, s)\ny = Mul(h, 0.5)`],
  [
    'a product of three for the cube',
    `${CUBE.replace('Pow(x, 3)', 'Mul(x, q)').replace('c =', 'q = Mul(x, x)\nc =')}\nh = Mul(x, 0.5)\ny = Mul(h, s)`,
  ],
  [
    'x taken out of the bracket',
    'in x [2,3,4]\na = Mul(x, 0.044715)\nb = Mul(a, x)\nc = Add(b, 1)\nz = Mul(x, 0.79788456)\nd = Mul(z, c)\nu = Tanh(d)\ns = Add(u, 1)\nh = Mul(x, 0.5)\ny = Mul(h, s)',
  ],
] as const;

const SPELLED = `
  y.scaled = Div(x, 1.414)
  y.erf = Erf(y.scaled)
  y.sum = Add(y.erf, 1)
  y.product = Mul(x, y.sum)
  y = Mul(y.product, 0.5)`;

describe('recognising GELU', () => {
  test.each([...FUSED, ...UNFUSED])('makes one node of the exact form from opset 20 on: %s', async (_, text) => {
    await expectRewrite(recogniseGelu, `${text}\nout y`, 'y = Gelu(x)', 20);
  });

  test.each(UNFUSED)('writes the exact form as onnxruntime takes it before opset 20: %s', async (_, text) => {
    await expectRewrite(recogniseGelu, `${text}\nout y`, SPELLED, 13);
    const before = graphOf(`${text}\nout y`);
    expect(await optimizedOperators(before, 13)).not.toContain('Gelu');
    recogniseGelu(before, 13);
    expect(await optimizedOperators(before, 13)).toEqual(['Gelu']);
  });

  test.each(FUSED)('leaves alone before opset 20 what onnxruntime fuses as it is: %s', async (_, text) => {
    expectRefusal(recogniseGelu, `${text}\nout y`, 13);
    expect(await optimizedOperators(graphOf(`${text}\nout y`), 13)).toEqual(['Gelu']);
  });

  test.each(TANH)('leaves the approximation by tanh alone: %s', (_, text) => {
    for (const opset of [13, 20]) expectRefusal(recogniseGelu, `${text}\nout y`, opset);
  });

  test('finds one after another', async () => {
    const text = `${FUSED[0][1]}\na2 = Div(y, 1.4142135)\ne2 = Erf(a2)\ns2 = Add(e2, 1)\np2 = Mul(y, s2)\nz = Mul(p2, 0.5)\nout z`;
    await expectRewrite(recogniseGelu, text, 'y = Gelu(x)\nz = Gelu(y)', 20);
  });

  const exact = FUSED[0][1];
  test.each([
    ['another divisor in the erf', exact.replace('1.4142135', '1.5')],
    ['another sum', exact.replace('Add(e, 1)', 'Add(e, 2)')],
    ['another factor', exact.replace('0.5', '0.4')],
    ['a product with another value', `${exact.replace('Mul(x, s)', 'Mul(z, s)')}\nin z [2,3,4]`],
    ['another curve', exact.replace('Erf', 'Tanh')],
    ['a second reader of the erf', `${exact}\nz = Neg(e)\nout z`],
    ['a second reader of the product', `${exact}\nz = Neg(p)\nout z`],
    ['an inner value that is an output of the graph', `${exact}\nout s`],
    ['a constant that raises the rank', `${exact.replace('Mul(p, 0.5)', 'Mul(p, half)')}\nconst half [1,1,1,1] = 0.5`],
  ])('refuses %s', (_, text) => {
    expectRefusal(recogniseGelu, `${text}\nout y`, 20);
  });
});
