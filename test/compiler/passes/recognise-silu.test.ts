import { describe, expect, test } from 'vitest';
import { recogniseSilu } from '../../../compiler/passes/recognise-silu.ts';
import { optimizedOperators } from '../optimized.ts';
import { graphOf } from '../text-graph.ts';
import { expectRefusal, expectRewrite } from './golden.ts';

const OPSET = 24;
const SWISH = 'in x [2,3,4]\ny = Swish(x)\nout y';
const GATED = 'in x [2,3,4]\ny.gate = Sigmoid(x)\ny = Mul(x, y.gate)\nout y';

describe('recognising SiLU', () => {
  test('writes the operator Swish out', async () => {
    await expectRewrite(recogniseSilu, SWISH, GATED, OPSET);
    await expectRewrite(recogniseSilu, SWISH.replace('(x)', '(x) alpha=1.0'), GATED, OPSET);
  });

  test('finds one after another', async () => {
    const text = 'in x [2]\na = Swish(x)\ny = Swish(a)\nout y';
    const after = 'a.gate = Sigmoid(x)\na = Mul(x, a.gate)\ny.gate = Sigmoid(a)\ny = Mul(a, y.gate)';
    await expectRewrite(recogniseSilu, text, after, OPSET);
  });

  test('gives what onnxruntime takes for one operator, as Swish is not', async () => {
    expect(await optimizedOperators(graphOf(SWISH), OPSET)).not.toContain('QuickGelu');
    expect(await optimizedOperators(graphOf(GATED), OPSET)).toEqual(['QuickGelu']);
  });

  test.each([
    ['x * Sigmoid(x)', GATED],
    ['what is written out by exponentials', 'in x [2]\nn = Neg(x)\ne = Exp(n)\ns = Add(e, 1)\ny = Div(x, s)\nout y'],
    ['a Swish of another slope', 'in x [2]\ny = Swish(x) alpha=1.702\nout y'],
  ])('leaves %s alone', (_, text) => {
    expectRefusal(recogniseSilu, text, OPSET);
  });
});
