/** From what a user names, a folder of models/ or an .onnx file, to a recipe. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import {
  type AnyModelOptions,
  anyModelRecipe,
  checkModelFile,
  type ModelRecipe,
  readSourceBytes,
} from '../compiler/index.ts';
import { loadRecipe, MODEL_NAMES } from '../models/index.ts';
import { TandemError } from '../shared/errors.ts';
import type { Plan } from '../shared/plan.ts';
import { unreadable } from './unreadable.ts';

/**
 * The recipe of models/ where the name or the file is one of theirs and nothing is to be otherwise, else one for any model.
 * @throws NOT_FOUND, UNKNOWN_MODEL, USAGE for options that a name's own recipe decides, or BAD_MODEL for a file that is no model
 */
export async function findRecipe(name: string, options: AnyModelOptions): Promise<ModelRecipe> {
  const isChanged = changesAnything(options);
  if (isModelName(name)) {
    if (isChanged) throw ownRecipe(name);
    return loadRecipe(name);
  }
  const bytes = await readFile(name).catch(unreadable(name));
  checkModelFile(name);
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  for (const candidate of isChanged ? [] : MODEL_NAMES) {
    const recipe = await loadRecipe(candidate);
    const source = await readSourceBytes(recipe).catch(() => undefined);
    if (source && createHash('sha256').update(source).digest('hex') === sha256) return { ...recipe, file: name };
  }
  return anyModelRecipe(resolve(name), options);
}

/** Files have a dot or a slash; what has neither is one of models/. */
export function isModelName(name: string): boolean {
  return !/[/\\.]/.test(name);
}

function changesAnything({ samples, dims, fixed }: AnyModelOptions): boolean {
  return samples !== undefined || [dims.sizes, dims.shapes, fixed ?? {}].some((given) => Object.keys(given).length > 0);
}

function ownRecipe(name: string): TandemError {
  return new TandemError(
    'USAGE',
    `${name} has samples, sizes and fixed inputs of its own, in models/${name}: name its .onnx file to give others`,
  );
}

/** The recipe that the bundle in a folder was compiled with, as far as its plan can tell. Throws NOT_FOUND. */
export async function recipeOf(dir: string, { name, model, boundaries }: Plan, samples?: string): Promise<ModelRecipe> {
  if (MODEL_NAMES.includes(name)) {
    if (samples !== undefined) throw ownRecipe(name);
    return loadRecipe(name);
  }
  const cuts = boundaries.slice(1, -1).map(({ tensors }) => tensors.map((tensor) => tensor.name));
  // Shapes were fixed when it was compiled: noise has to be of the same.
  const inputs = boundaries[0]?.tensors ?? [];
  const shapes = Object.fromEntries(inputs.map((input) => [input.name, input.shape.map((dim) => Number(dim) || 1)]));
  return anyModelRecipe(resolve(dir, model.source), { cuts, dims: { sizes: {}, shapes }, fixed: model.fixed, samples });
}
