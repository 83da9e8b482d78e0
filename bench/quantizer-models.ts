/** The models that quantizing is measured on, each whole as one segment, with samples of its inputs. */
import type { Model } from '../compiler/graph/graph.ts';
import { simplify } from '../compiler/passes/index.ts';
import { upgradeOpset, withOpset } from '../compiler/passes/upgrade-opset.ts';
import { prepareModel, readSourceBytes } from '../compiler/prepare.ts';
import type { ModelRecipe } from '../compiler/recipe.ts';
import { literalRuntime } from '../compiler/runtimes.ts';
import { loadRecipe } from '../models/index.ts';
import { fitPicture } from '../shared/preprocess/picture.ts';
import { pictureTensor } from '../shared/preprocess/picture-tensor.ts';
import type { Picture } from '../shared/preprocess/resize.ts';
import type { Tensors } from '../shared/tensor.ts';
import { notNeeded } from './bundle.ts';

export interface BenchModel {
  readonly name: string;
  /** Simplified, of opset 13 at least. */
  readonly model: Model;
  readonly recipe: ModelRecipe;
  /** Inputs of one run each, with what they should give. */
  samples(split: 'calibration' | 'test', count: number): AsyncIterable<{ inputs: Tensors; truth: string }>;
}

const OPSET_MIN = 13;

/** @param round other samples for each, from 1 */
export async function benchModels(names: readonly string[], round = 1): Promise<BenchModel[]> {
  return Promise.all(names.map(async (name) => ofRecipe(await loadRecipe(name), round)));
}

async function ofRecipe(recipe: ModelRecipe, round: number): Promise<BenchModel> {
  const model = await segmentOf(recipe);
  const [input] = model.graph.inputs;
  return {
    ...{ name: recipe.name, model, recipe },
    async *samples(split, count) {
      const seed = 2 * round - (split === 'test' ? 0 : 1);
      for await (const { input: sample, truth } of recipe.samples(split, count, seed, notNeeded)) {
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
