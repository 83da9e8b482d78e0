/** A sample of what `npm run conformance` goes through. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { checkModelFile } from '../../bench/check-model.ts';
import { realModels } from '../../bench/real-models.ts';

const DATA = '/usr/share/libonnx-testdata/data';
const isThere = existsSync(DATA);
if (!isThere) {
  const message = `no ONNX test data at ${DATA}: install Debian's libonnx-testdata to run these tests`;
  if (process.env['CI'] === 'true') throw new Error(message);
  process.stderr.write(`${message}\n`);
}

/** Of each kind that is hard: shapes, bodies, sequences, strings, recurrence, several inputs and outputs, many nodes. */
const SAMPLE = [
  'node/test_layer_normalization_4d_axis1_expanded',
  'node/test_nllloss_NCd1d2d3d4d5_mean_weight_expanded',
  'node/test_range_float_type_positive_delta_expanded',
  'node/test_blackmanwindow_expanded',
  'node/test_if',
  'node/test_loop11',
  'node/test_scan9_sum',
  'node/test_lstm_with_peepholes',
  'node/test_split_variable_parts_1d',
  'node/test_strnormalizer_nostopwords_nochangecase',
  'node/test_qlinearconv',
  'node/test_cast_FLOAT_to_FLOAT16',
  'node/test_sce_mean_log_prob_expanded',
  'simple/test_sequence_model1',
  'simple/test_shrink',
  'pytorch-operator/test_operator_reduced_mean',
];

describe.runIf(isThere)('ONNX’s own models', () => {
  test.each(SAMPLE)('%s gives the same bits written anew, and cut anywhere', async (name) => {
    const check = await checkModelFile(join(DATA, name, 'model.onnx'), name, { tensorsMax: 2, errorMax: 0, step: 1 });
    expect(check).toMatchObject({ unrunnable: null, failures: [], partsCutShort: 0 });
  });
});

describe('real networks', () => {
  test.each(realModels())(
    '$name gives the same bits written anew, and cut anywhere',
    async ({ name, path, feeds }) => {
      const step = /rec_infer|det_infer|cls_infer/.test(name) ? 40 : 4;
      const check = await checkModelFile(path, name, { tensorsMax: 2, errorMax: 0, step, feeds: await feeds() });
      expect(check).toMatchObject({ unrunnable: null, failures: [], partsCutShort: 0 });
    },
    60_000,
  );
});
