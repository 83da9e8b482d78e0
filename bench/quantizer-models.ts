/** The models that quantizing is measured on, each whole as one segment, with samples of its inputs. */
import type { Model } from '../compiler/graph/graph.ts';
import { simplify } from '../compiler/passes/index.ts';
import { upgradeOpset, withOpset } from '../compiler/passes/upgrade-opset.ts';
import { prepareModel, readSourceBytes } from '../compiler/prepare.ts';
import type { ModelRecipe } from '../compiler/recipe.ts';
import { literalRuntime } from '../compiler/runtimes.ts';
import { ocrLineRecipe } from '../models/ocr-line/recipe.ts';
import { wakeWordRecipe } from '../models/wake-word/recipe.ts';
import { fitPicture } from '../shared/preprocess/picture.ts';
import { pictureTensor } from '../shared/preprocess/picture-tensor.ts';
import type { Picture } from '../shared/preprocess/resize.ts';
import type { Tensor, Tensors } from '../shared/tensor.ts';
import { realModels } from './real-models.ts';

export interface BenchModel {
  readonly name: string;
  /** Simplified, of opset 13 at least. */
  readonly model: Model;
  readonly recipe: ModelRecipe | undefined;
  /** Inputs of one run each, with what they should give. */
  samples(split: 'calibration' | 'test', count: number): AsyncIterable<{ inputs: Tensors; truth: string }>;
}

const OPSET_MIN = 13;

/** @param round other samples for each, from 1 */
export async function benchModels(names: readonly string[], round = 1): Promise<BenchModel[]> {
  const makers: Readonly<Record<string, () => Promise<BenchModel>>> = {
    'ocr-line': () => ofRecipe(ocrLineRecipe(undefined), round),
    'wake-word': () => ofRecipe(wakeWordRecipe(undefined), round),
    'text-detector': () => textDetector(round),
  };
  return Promise.all(names.map((name) => makers[name]?.() ?? Promise.reject(new Error(`there is no model ${name}`))));
}

async function ofRecipe(recipe: ModelRecipe, round: number): Promise<BenchModel> {
  const model = await segmentOf(recipe);
  const [input] = model.graph.inputs;
  return {
    ...{ name: recipe.name, model, recipe },
    async *samples(split, count) {
      const seed = 2 * round - (split === 'test' ? 0 : 1);
      const run = () => Promise.reject(new Error('these samples depend on no run'));
      for await (const { input: sample, truth } of recipe.samples(split, count, seed, run)) {
        yield { inputs: tensorsOf(recipe, input?.name ?? '', sample), truth };
      }
    },
  };
}

async function segmentOf(recipe: ModelRecipe): Promise<Model> {
  const model = await prepareModel(await readSourceBytes(recipe), recipe, literalRuntime());
  const opset = simplify(model.graph, model.opsets.get(''));
  if (opset < OPSET_MIN && !upgradeOpset(model.graph, opset, OPSET_MIN)) {
    throw new Error(`${recipe.name} cannot be raised from opset ${opset} to ${OPSET_MIN}`);
  }
  return withOpset(model, Math.max(opset, OPSET_MIN));
}

function tensorsOf({ preprocess, size }: ModelRecipe, name: string, sample: Picture | Tensors): Tensors {
  if (!preprocess) return sample as Tensors;
  return { [name]: pictureTensor(fitPicture(sample as Picture, preprocess, size), preprocess) };
}

/** Text in noise, at 320 by 320: nothing but how far outputs are apart can be said of it. */
async function textDetector(round: number): Promise<BenchModel> {
  const found = realModels().find(({ path }) => path.endsWith('det_infer.onnx'));
  if (!found) throw new Error('there is no text detector among the real models');
  const base = ocrLineRecipe(undefined);
  const recipe = { ...base, name: 'text-detector', file: found.path, outputs: [], preprocess: null };
  const lines = await ofRecipe(base, round);
  return {
    ...{ name: 'text-detector', model: await segmentOf(recipe), recipe: undefined },
    async *samples(split, count) {
      for await (const { inputs, truth } of lines.samples(split, count)) {
        const [line] = Object.values(inputs);
        if (line) yield { inputs: { x: pageOf(line) }, truth };
      }
    },
  };
}

/** The line over and over down a page of 320 by 320, cut off where it is longer. */
function pageOf({ data, shape }: Tensor): Tensor {
  const [, channels = 3, height = 48, width = 1] = shape;
  const side = 320;
  const page = new Float32Array(channels * side * side).fill(1);
  for (let c = 0; c < channels; c++) {
    for (let y = 0; y < side; y++) {
      if (y % 80 >= height) continue;
      for (let x = 0; x < Math.min(side, width); x++) {
        page[(c * side + y) * side + x] = Number(data[(c * height + (y % 80)) * width + x]);
      }
    }
  }
  return { dtype: 'float32', shape: [1, channels, side, side], data: page };
}
