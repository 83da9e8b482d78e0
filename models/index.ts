/** The models that Tandem knows by name: one folder each. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ModelRecipe } from '../compiler/recipe.ts';
import { TandemError } from '../shared/errors.ts';
import { parseJson } from '../shared/parse.ts';
import { ocrLineRecipe } from './ocr-line/recipe.ts';
import { textDetectorRecipe } from './text-detector/recipe.ts';
import { vadRecipe } from './vad/recipe.ts';
import { wakeWordRecipe } from './wake-word/recipe.ts';

const RECIPES = {
  'ocr-line': ocrLineRecipe,
  'text-detector': textDetectorRecipe,
  vad: vadRecipe,
  'wake-word': wakeWordRecipe,
} satisfies Record<string, (measured: unknown) => ModelRecipe>;

export const MODEL_NAMES = Object.keys(RECIPES);

/** Throws UNKNOWN_MODEL naming those there are. */
export async function loadRecipe(name: string): Promise<ModelRecipe> {
  if (!Object.hasOwn(RECIPES, name)) {
    throw new TandemError('UNKNOWN_MODEL', `expected a model of models/ (${MODEL_NAMES.join(', ')}), got ${name}`);
  }
  return RECIPES[name as keyof typeof RECIPES](await readMeasured(name));
}

/** models/NAME/measured.json, beside the sources or beside what was built of them; undefined where there is none. */
async function readMeasured(name: string): Promise<unknown> {
  const path = join(fileURLToPath(import.meta.url), '..', name, 'measured.json');
  const fallback = join(fileURLToPath(import.meta.url), '../../../models', name, 'measured.json');
  for (const candidate of [path, fallback]) {
    const text = await readFile(candidate, 'utf8').catch(() => undefined);
    if (text !== undefined) return parseJson(text, 'BAD_CONFIG', candidate);
  }
  return undefined;
}
