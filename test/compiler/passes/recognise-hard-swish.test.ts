import { describe, test } from 'vitest';
import { recogniseHardSwish } from '../../../compiler/passes/recognise-hard-swish.ts';
import { expectSameOutputs } from '../run-graph.ts';
import { graphOf } from '../text-graph.ts';
import { expectRefusal, expectRewrite } from './golden.ts';

const GATE = 'y.gate = HardSigmoid(x) alpha=0.1667 beta=0.5';

/** Hard-swish with some of its parts replaced. */
function hardSwish(parts: Partial<Record<'add' | 'clip' | 'mul' | 'div' | 'end', string>> = {}): string {
  return `
    in x [2,3,4,4]
    s = ${parts.add ?? 'Add(x, 3)'}
    c = ${parts.clip ?? 'Clip(s) min=0.0 max=6.0'}
    m = ${parts.mul ?? 'Mul(x, c)'}
    y = ${parts.div ?? 'Div(m, 6)'}
    out y
    ${parts.end ?? ''}`;
}

describe('recognising hard-swish', () => {
  test('makes two nodes of the four it is written out in', async () => {
    await expectRewrite(recogniseHardSwish, hardSwish(), `${GATE}\ny = Mul(x, y.gate)`);
  });

  test('takes either order of what commutes', async () => {
    const swapped = hardSwish({ add: 'Add(3, x)', mul: 'Mul(c, x)' });
    await expectRewrite(recogniseHardSwish, swapped, `${GATE}\ny = Mul(x, y.gate)`);
  });

  test('reads the bounds where opset 11 has them, in the inputs', async () => {
    const modern = hardSwish({ clip: 'Clip(s, 0, 6)' });
    await expectRewrite(recogniseHardSwish, modern, `${GATE}\ny = Mul(x, y.gate)`, 13);
  });

  test('finds one after another', async () => {
    await expectRewrite(
      recogniseHardSwish,
      hardSwish({ end: 's2 = Add(y, 3)\nc2 = Clip(s2) min=0.0 max=6.0\nm2 = Mul(y, c2)\nz = Div(m2, 6)\nout z' }),
      `${GATE}
       y = Mul(x, y.gate)
       z.gate = HardSigmoid(y) alpha=0.1667 beta=0.5
       z = Mul(y, z.gate)`,
    );
  });

  test.each([
    ['another shift', { add: 'Add(x, 2)' }],
    ['a shift of another value', { add: 'Add(z, 3)', end: 'in z [2,3,4,4]' }],
    ['another divisor', { div: 'Div(m, 5)' }],
    ['an upper bound of another number', { clip: 'Clip(s) min=0.0 max=5.0' }],
    ['a lower bound of another number', { clip: 'Clip(s) min=-1.0 max=6.0' }],
    ['no upper bound', { clip: 'Clip(s, 0)' }],
    ['no lower bound', { clip: 'Clip(s) max=6.0' }],
    ['a product of another value', { mul: 'Mul(s, c)' }],
    ['a sum instead of the product', { mul: 'Add(x, c)' }],
    ['six divided by it', { div: 'Div(6, m)' }],
    ['a second reader of the shifted value', { end: 'z = Neg(s)\nout z' }],
    ['a second reader of the clipped value', { end: 'z = Neg(c)\nout z' }],
    ['a second reader of the product', { end: 'z = Neg(m)\nout z' }],
    ['an inner value that is an output of the graph', { end: 'out c' }],
  ])('leaves %s alone', (_, parts) => {
    expectRefusal(recogniseHardSwish, hardSwish(parts));
  });

  test('leaves constants that raise the rank alone', async () => {
    const text = hardSwish({ div: 'Div(m, six)', end: 'const six [1,1,1,1,1] = 6' });
    const graph = graphOf(text);
    recogniseHardSwish(graph);
    await expectSameOutputs(graphOf(text), graph);
  });
});
