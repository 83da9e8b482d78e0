/**
 * Silero VAD: does somebody speak in these 32 ms? A short-time Fourier transform, four convolutions, an LSTM. The file holds
 * a model for each sampling rate behind an If; here the rate is fixed, which opens the one that is meant. Its state is the
 * caller's: it comes in with every window and goes out with every answer.
 */
import { createRequire } from 'node:module';
import type { ModelRecipe, RunModel, Sample } from '../../compiler/recipe.ts';
import { seededRandom } from '../../shared/random.ts';
import { float32, type Tensor, type Tensors } from '../../shared/tensor.ts';
import { SAMPLE_RATE, voiceClip } from './audio.ts';

const PACKAGE = '@ricky0123/vad-web';
const MODEL = 'dist/silero_vad_v5.onnx';
const WINDOW = 512;
const WINDOWS_PER_CLIP = 24;
const THRESHOLD = 0.5;
const INNER = 'If_0_then_branch__Inline_0__';

export function vadRecipe(measured: unknown): ModelRecipe {
  return {
    ...{ name: 'vad', source: `${PACKAGE}/${MODEL}`, file: modelFile() },
    fixed: { sr: SAMPLE_RATE },
    outputs: [],
    // Behind the transform, and behind the convolutions: before the state is used.
    cuts: [
      ['state', `${INNER}/stft/Add_output_0`],
      ['state', `${INNER}/encoder/2/reparam_conv/Conv_output_0`],
    ],
    size: { name: 'n', unit: 'window', step: 1, min: 1, max: 1, typical: 1 },
    ...{ preprocess: null, pictures: [], bits: [8, 4], bottlenecks: [], raw: true, assets: {}, committed: measured },
    noise: () => ({ input: window(voiceClip(1, 1).samples, 0), state: silence() }),
    samples: vadSamples,
    answer: (outputs) => (scoreOf(outputs) > THRESHOLD ? 'voice' : 'no voice'),
    metrics: [
      { name: 'agreement', isHigherBetter: true },
      { name: 'scoreError', isHigherBetter: false },
    ],
    judge: (outputs, _truth, expected) => ({
      agrees: scoreOf(outputs) > THRESHOLD === scoreOf(expected) > THRESHOLD ? 1 : 0,
      error: Math.abs(scoreOf(outputs) - scoreOf(expected)),
    }),
    score(grades) {
      const mean = (name: string) =>
        grades.reduce((sum, grade) => sum + Number(grade[name]), 0) / Math.max(1, grades.length);
      return { agreement: mean('agrees'), scoreError: mean('error') };
    },
  };
}

/** Where the package is, or a path that says what is missing. */
function modelFile(): string {
  try {
    const { resolve } = createRequire(import.meta.url);
    return resolve(PACKAGE).replace(/dist\/.*$/, MODEL);
  } catch {
    return `node_modules/${PACKAGE}/${MODEL}`;
  }
}

/** Windows of clips in their order, each with the state that the model had come to. */
async function* vadSamples(
  split: 'calibration' | 'test',
  count: number,
  seed: number,
  run: RunModel,
): AsyncIterable<Sample> {
  const random = seededRandom(2 * seed + (split === 'test' ? 1 : 0));
  for (let done = 0; done < count; ) {
    const { samples, isVoice } = voiceClip(Math.floor(random() * 2 ** 31), (WINDOWS_PER_CLIP * WINDOW) / SAMPLE_RATE);
    let state: Tensor = silence();
    for (let i = 0; i < WINDOWS_PER_CLIP && done < count; i++, done++) {
      const input: Tensors = { input: window(samples, i), state };
      const voiced = isVoice.subarray(i * WINDOW, (i + 1) * WINDOW).reduce((sum, one) => sum + one, 0);
      yield { input, truth: voiced > WINDOW / 2 ? 'voice' : 'no voice' };
      state = (await run(input))['stateN'] ?? state;
    }
  }
}

function window(samples: Float32Array, index: number): Tensor {
  return float32([1, WINDOW], samples.slice(index * WINDOW, (index + 1) * WINDOW));
}

function silence(): Tensor {
  return float32([2, 1, 128], new Float32Array(256));
}

function scoreOf(outputs: Tensors): number {
  return Number(outputs['output']?.data[0] ?? 0);
}
