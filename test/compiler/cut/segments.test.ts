import { describe, expect, test } from 'vitest';
import { buildChain, type Chain } from '../../../compiler/cut/segments.ts';
import { readModel } from '../../../compiler/onnx/read.ts';
import { weightBytes } from '../../../compiler/onnx/size.ts';
import { writeModel } from '../../../compiler/onnx/write.ts';
import { readSource, withTaps } from '../../../compiler/prepare.ts';
import type { ModelRecipe } from '../../../compiler/recipe.ts';
import { seededRandom } from '../../../shared/random.ts';
import type { Tensors } from '../../../shared/tensor.ts';
import { TINY_CUTS, tinyModelBytes } from '../../helpers/tiny-model.ts';
import { coded } from '../coded.ts';
import { expectClose, runModel } from '../run-graph.ts';
import { randomTensor } from '../text-graph.ts';

const RECIPE: Pick<ModelRecipe, 'source' | 'outputs' | 'cuts'> = {
  source: 'tiny.onnx',
  outputs: [
    { name: 'indices', of: 'scores', op: 'argmax', axis: 2 },
    { name: 'probabilities', of: 'scores', op: 'max', axis: 2 },
  ],
  cuts: TINY_CUTS,
};
const input: Tensors = { x: randomTensor([1, 3, 8, 40], seededRandom(11)) };
const BOUNDARIES = ['stem', 'pooled', 'deep', 'indices', 'probabilities'];

/** Every tensor that the chain makes on the way. */
async function runChain({ segments }: Chain): Promise<Tensors> {
  let live = input;
  for (const { float } of segments) live = { ...live, ...(await runModel(float, live)) };
  const { x: _given, ...made } = live;
  return made;
}

describe("the chain's files", () => {
  test('in full precision give the boundaries and outputs of the whole model', async () => {
    const chain = buildChain(readSource(tinyModelBytes(), RECIPE), RECIPE.cuts);
    expect(chain.boundaries).toEqual([['x'], ...RECIPE.cuts, ['indices', 'probabilities']]);
    const whole = await runModel(
      writeModel(withTaps(readSource(tinyModelBytes(), RECIPE), ['stem', 'pooled', 'deep'])),
      input,
    );
    expect(Object.keys(whole).sort()).toEqual([...BOUNDARIES].sort());
    expectClose(await runChain(chain), whole, 1e-5);
  });

  test('are simplified', () => {
    const ops = buildChain(readSource(tinyModelBytes(), RECIPE), RECIPE.cuts).segments.map(({ float }) =>
      readModel(float, 'segment').graph.nodes.map(({ op }) => op),
    );
    expect(ops[0]).toEqual(['Conv', 'HardSigmoid', 'Mul', 'Mul', 'Add']);
    expect(ops.flat()).not.toContain('Constant');
  });

  test('keep what a boundary means, even between a Conv and the layer that would fold into it', async () => {
    const recipe = { ...RECIPE, cuts: [['conv0'], ['swish0.shifted', 'norm0']] };
    const made = await runChain(buildChain(readSource(tinyModelBytes(), recipe), recipe.cuts));
    expectClose(
      made,
      await runModel(writeModel(withTaps(readSource(tinyModelBytes(), recipe), recipe.cuts.flat())), input),
      1e-5,
    );
  });

  test('are the same for the same source', () => {
    expect(buildChain(readSource(tinyModelBytes(), RECIPE), RECIPE.cuts)).toEqual(
      buildChain(readSource(tinyModelBytes(), RECIPE), RECIPE.cuts),
    );
  });

  test('are not made of a segment whose weights one file cannot hold', () => {
    const model = readSource(tinyModelBytes(), RECIPE);
    expect(() => buildChain(model, RECIPE.cuts, undefined, 100)).toThrow(
      coded('UNSUPPORTED', 'bytes of weights, one file holds 100 bytes: cut it more finely'),
    );
    expect(() => buildChain(model, RECIPE.cuts, undefined, 100)).toThrow(/^segment 1 has \d{3,} bytes/);
    const bytes = weightBytes(model.graph);
    expect(buildChain(model, RECIPE.cuts, undefined, bytes).segments).toHaveLength(4);
  });

  test('are not made of a source that is no model, of a cut that is none, or of an output that is not there', () => {
    expect(() => readSource(new Uint8Array(9), RECIPE)).toThrow(coded('BAD_MODEL', 'tiny.onnx'));
    expect(() => buildChain(readSource(tinyModelBytes(), RECIPE), [['deep']])).toThrow(coded('BAD_CUT', 'pooled'));
    const outputs = [{ name: 'best', of: 'nothing', op: 'max', axis: 1 }] as const;
    expect(() => readSource(tinyModelBytes(), { ...RECIPE, outputs })).toThrow(coded('BAD_MODEL', 'no output nothing'));
    expect(() => withTaps(readSource(tinyModelBytes(), RECIPE), ['nothing'])).toThrow(coded('BAD_MODEL', 'nothing'));
  });
});
