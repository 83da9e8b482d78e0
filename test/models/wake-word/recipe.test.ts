import { readFile } from 'node:fs/promises';
import * as ort from 'onnxruntime-node';
import { beforeAll, describe, expect, test } from 'vitest';
import { loadModel } from '../../../compiler/onnx/load.ts';
import { prepareModel, readSourceBytes, withTaps } from '../../../compiler/prepare.ts';
import type { JoinedFiles } from '../../../compiler/recipe.ts';
import { CLIP_SAMPLES, type Clip, spokenClips } from '../../../models/wake-word/clips.ts';
import { wakeWordRecipe } from '../../../models/wake-word/recipe.ts';
import { loadSpeech, type Speak } from '../../../models/wake-word/speech.ts';
import { nodeRuntime } from '../../../runtimes/onnxruntime-node.ts';
import type { Session } from '../../../shared/runtime.ts';
import { asFloat32, float32, type Tensor, type Tensors } from '../../../shared/tensor.ts';

const recipe = wakeWordRecipe(undefined);
const runtime = nodeRuntime(ort, { threads: 1 });
let whole: Session;
let speak: Speak;

beforeAll(async () => {
  const model = await prepareModel(await readSourceBytes(recipe), recipe, runtime);
  whole = await loadModel(runtime, withTaps(model, []));
  speak = await loadSpeech();
});

/** Fails where the model has not one input and one output. */
async function runFile(index: number, input: Tensor): Promise<Tensor> {
  const { file } = (recipe.joined as JoinedFiles).parts[index] as { file: string };
  const session = await runtime.load(await readFile(file));
  const [output] = Object.values(await session.run({ [session.inputNames[0] as string]: input }));
  return output as Tensor;
}

/** What openWakeWord does with a clip, step by step in its three files. */
async function scoreByHand(audio: Tensor): Promise<number> {
  const mel = await runFile(
    0,
    float32(
      audio.shape,
      asFloat32(audio).map((value) => value * 32_768),
    ),
  );
  expect(mel.shape).toEqual([1, 1, 196, 32]);
  const frames = asFloat32(mel).map((value) => value / 10 + 2);
  const embeddings = new Float32Array(16 * 96);
  for (let i = 0; i < 16; i++) {
    const window = frames.slice(8 * i * 32, (8 * i + 76) * 32);
    embeddings.set(asFloat32(await runFile(1, float32([1, 76, 32, 1], window))), i * 96);
  }
  return Number((await runFile(2, float32([1, 16, 96], embeddings))).data[0]);
}

describe('the recipe of wake-word', () => {
  test('is one model that does what its three files do in a row', async () => {
    for await (const { input } of recipe.samples('test', 3, 5, whole.run)) {
      const { score } = await whole.run(input as Tensors);
      expect(score?.shape).toEqual([1, 1]);
      expect(score?.data[0]).toBeCloseTo(await scoreByHand((input as Tensors)['audio'] as Tensor), 5);
    }
  });

  test('has clips in which the model hears the wake word where it is said', async () => {
    const grades = [];
    for await (const { input, truth } of recipe.samples('test', 40, 1, whole.run)) {
      const outputs = await whole.run(input as Tensors);
      grades.push(recipe.judge(outputs, truth, outputs));
    }
    const { accuracy, agreement, scoreError } = recipe.score(grades);
    expect(accuracy).toBeGreaterThan(0.85);
    expect([agreement, scoreError]).toEqual([1, 0]);
  }, 20_000);

  test('judges by the truth, by the whole model and by the score', () => {
    const outputs = (score: number): Tensors => ({ score: float32([1, 1], Float32Array.of(score)) });
    const grades = [
      recipe.judge(outputs(0.75), 'other', outputs(0.5)),
      recipe.judge(outputs(0.75), 'wake', outputs(0.75)),
    ];
    expect(recipe.score(grades)).toEqual({ accuracy: 0.5, agreement: 0.5, scoreError: 0.125 });
  });
});

async function clipsOf(split: 'calibration' | 'test', count: number, seed: number): Promise<Clip[]> {
  const clips = [];
  for await (const clip of spokenClips(split, count, seed, speak)) clips.push(clip);
  return clips;
}

test('clips are the same for the same seed, within range, and half of them with the wake word', async () => {
  const clips = await clipsOf('test', 40, 3);
  expect(await clipsOf('test', 2, 3)).toEqual(clips.slice(0, 2));
  expect((await clipsOf('test', 1, 4))[0]).not.toEqual(clips[0]);
  for (const { samples } of clips) {
    expect(samples).toHaveLength(CLIP_SAMPLES);
    expect(samples.every((value) => Math.abs(value) <= 1)).toBe(true);
  }
  const share = clips.filter(({ isWake }) => isWake).length / clips.length;
  expect(share).toBeGreaterThan(0.3);
  expect(share).toBeLessThan(0.7);
});
