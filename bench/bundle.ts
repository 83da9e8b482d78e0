/** The demo's bundle, compiled if it is not there, and what benches take from it. */
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { compile, isCurrent, type ModelRecipe } from '../compiler/index.ts';
import { loadRecipe } from '../models/index.ts';
import { folderSource } from '../runtimes/bundle-folder.ts';
import { readPlan } from '../shared/bundle.ts';
import { unpackModel } from '../shared/codec/weights.ts';
import type { Plan } from '../shared/plan.ts';

export const ROOT = resolve(fileURLToPath(import.meta.url), '../../..');
export const BUNDLE_DIR = join(ROOT, '.tandem/ocr-line');

export async function demoBundle(): Promise<{ plan: Plan; recipe: ModelRecipe }> {
  const recipe = await loadRecipe('ocr-line');
  if (!(await isCurrent(recipe, BUNDLE_DIR))) await compile(recipe, BUNDLE_DIR);
  return { plan: await readPlan(folderSource(BUNDLE_DIR)), recipe };
}

/** A segment's model, however it is stored. */
export async function bundleFile(file: string): Promise<Uint8Array> {
  return unpackModel(await readFile(join(BUNDLE_DIR, file)));
}

/** For samples of a model without a state. */
export const notNeeded = (): never => {
  throw new Error('the samples of this model do not depend on what it gave before');
};
