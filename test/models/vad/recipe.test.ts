import { readFile } from 'node:fs/promises';
import * as ort from 'onnxruntime-node';
import { describe, expect, test } from 'vitest';
import { loadModel } from '../../../compiler/onnx/load.ts';
import { prepareModel, withTaps } from '../../../compiler/prepare.ts';
import { SAMPLE_RATE, voiceClip } from '../../../models/vad/audio.ts';
import { vadRecipe } from '../../../models/vad/recipe.ts';
import { nodeRuntime } from '../../../runtimes/onnxruntime-node.ts';
import type { Tensors } from '../../../shared/tensor.ts';

const recipe = vadRecipe(undefined);
const runtime = nodeRuntime(ort, { threads: 1 });

async function scored(count: number) {
  const model = await prepareModel(await readFile(recipe.file), recipe, runtime);
  const session = await loadModel(runtime, withTaps(model, []));
  const rows: { truth: string; score: number; input: Tensors; outputs: Tensors }[] = [];
  for await (const { input, truth } of recipe.samples('test', count, 1, session.run)) {
    const outputs = await session.run(input as Tensors);
    rows.push({ truth, input: input as Tensors, outputs, score: Number(outputs['output']?.data[0]) });
  }
  return rows;
}

describe('the recipe of vad', () => {
  test('has samples in which the model hears a voice where there is one', async () => {
    const rows = await scored(240);
    const mean = (truth: string) => {
      const scores = rows.filter((row) => row.truth === truth).map(({ score }) => score);
      expect(scores.length).toBeGreaterThan(20);
      return scores.reduce((a, b) => a + b, 0) / scores.length;
    };
    expect(mean('voice')).toBeGreaterThan(2 * mean('no voice'));
  });

  test('hands the state on from window to window', async () => {
    const rows = await scored(4);
    expect(rows[0]?.input['state']?.data.every((value) => value === 0)).toBe(true);
    for (const i of [1, 2, 3]) expect(rows[i]?.input['state']).toEqual(rows[i - 1]?.outputs['stateN']);
  });

  test('judges by the decision and by the score', () => {
    const outputs = (score: number): Tensors => ({
      output: { dtype: 'float32', shape: [1, 1], data: Float32Array.of(score) },
    });
    const grades = [recipe.judge(outputs(0.75), '', outputs(0.25)), recipe.judge(outputs(0.75), '', outputs(0.75))];
    expect(recipe.score(grades)).toEqual({ agreement: 0.5, scoreError: 0.25 });
    expect(recipe.answer(outputs(0.75))).toBe('voice');
  });
});

test('clips are the same for the same seed, within range, and part voice', () => {
  const clip = voiceClip(7, 2);
  expect(clip).toEqual(voiceClip(7, 2));
  expect(clip.samples).not.toEqual(voiceClip(8, 2).samples);
  expect(clip.samples).toHaveLength(2 * SAMPLE_RATE);
  expect(Math.max(...clip.samples.map(Math.abs))).toBeLessThanOrEqual(1);
  const voiced = clip.isVoice.reduce((sum, one) => sum + one, 0) / clip.isVoice.length;
  expect(voiced).toBeGreaterThan(0.2);
  expect(voiced).toBeLessThan(1);
});
