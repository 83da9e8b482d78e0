/** From what a user names, a folder of models/ or an .onnx file, to a recipe. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { checkModel, type ModelRecipe } from '../compiler/index.ts';
import { loadRecipe, MODEL_NAMES } from '../models/index.ts';
import { messageOf, TandemError } from '../shared/errors.ts';

/**
 * @throws NOT_FOUND, BAD_MODEL for a file that is no model, UNKNOWN_MODEL where no recipe fits: without one there are
 *   no cuts, no samples and no metric to compile with
 */
export async function findRecipe(name: string): Promise<ModelRecipe> {
  if (!/[/\\.]/.test(name)) return loadRecipe(name);
  const bytes = await readFile(name).catch((error: unknown) => {
    throw new TandemError('NOT_FOUND', `cannot read ${name}: ${messageOf(error)}`, { cause: error });
  });
  checkModel(bytes, name);
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  for (const candidate of MODEL_NAMES) {
    const recipe = await loadRecipe(candidate);
    const source = await readFile(recipe.file).catch(() => undefined);
    if (source && createHash('sha256').update(source).digest('hex') === sha256) return { ...recipe, file: name };
  }
  throw new TandemError(
    'UNKNOWN_MODEL',
    `${name} is a model, but no folder of models/ (${MODEL_NAMES.join(', ')}) says how to cut and measure it`,
  );
}
