import { describe, test } from 'vitest';
import { lowerBatchNorm } from '../../../compiler/passes/lower-batch-norm.ts';
import { expectSameOutputs } from '../run-graph.ts';
import { graphOf } from '../text-graph.ts';
import { expectRefusal, expectRewrite } from './golden.ts';

const STATISTICS = `
  const scale [4] = 1 -2 0.5 3
  const b [4] = 0 1 -1 2
  const mean [4] = 0.5 0 -2 1
  const var [4] = 1 0.25 2 0.001`;

function norm({ shape = '[2,3,5,5]', weight = '[4,3,3,3]', source = 'Conv(x, w)', node = '' } = {}): string {
  return `
    in x ${shape}
    const w ${weight}
    ${STATISTICS}
    c = ${source}
    y = ${node || 'BatchNormalization(c, scale, b, mean, var) epsilon=0.001'}
    out y`;
}

describe('lowering batch normalization', () => {
  test('spells it as a factor and an offset a channel', async () => {
    await expectRewrite(
      lowerBatchNorm,
      norm(),
      `c = Conv(x, w)
       y.scaled = Mul(c, y.factor)
       y = Add(y.scaled, y.offset)`,
    );
  });

  test('takes an epsilon that is not given to be 1e-5', async () => {
    await expectRewrite(
      lowerBatchNorm,
      norm({ node: 'BatchNormalization(c, scale, b, mean, var)' }),
      `c = Conv(x, w)
       y.scaled = Mul(c, y.factor)
       y = Add(y.scaled, y.offset)`,
    );
  });

  test('keeps names that the graph has already', async () => {
    await expectRewrite(
      lowerBatchNorm,
      `${norm()}
       const y.factor [1]
       z = Neg(y)
       y.scaled = Add(z, y.factor)
       out y.scaled`,
      `c = Conv(x, w)
       y.scaled.1 = Mul(c, y.factor.1)
       y = Add(y.scaled.1, y.offset)
       z = Neg(y)
       y.scaled = Add(z, y.factor)`,
    );
  });

  test.each([
    ['one that is not behind a Conv: its rank is unknown', norm({ shape: '[2,4,5,5]', source: 'Relu(x)' })],
    [
      'one of an input of the graph',
      `in c [2,4]\n${STATISTICS}\ny = BatchNormalization(c, scale, b, mean, var)\nout y`,
    ],
    ['one whose statistics are computed', `${norm()}`.replace('const mean [4] = 0.5 0 -2 1', 'mean = Neg(b)')],
    [
      'one that gives its statistics, as in training',
      norm({ node: 'BatchNormalization(c, scale, b, mean, var)' }).replace('y =', 'y, m ='),
    ],
  ])('leaves %s alone', (_, text) => {
    expectRefusal(lowerBatchNorm, text);
  });

  test.each([
    ['one dimension', norm({ shape: '[1,3,8]', weight: '[4,3,3]' })],
    ['three dimensions', norm({ shape: '[1,3,5,5,5]', weight: '[4,3,3,3,3]' })],
  ])('gives the same outputs behind a Conv of %s', async (_, text) => {
    const graph = graphOf(text);
    lowerBatchNorm(graph);
    await expectSameOutputs(graphOf(text), graph);
  });
});
