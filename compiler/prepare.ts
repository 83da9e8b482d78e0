/** A source model as the compiler works on it: constants lifted, inputs fixed, what is constant then computed and inlined. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { asTandemError, TandemError } from '../shared/errors.ts';
import type { Runtime } from '../shared/runtime.ts';
import { isDType } from '../shared/tensor.ts';
import type { Model, ValueInfo } from './graph/graph.ts';
import { inferTypes } from './graph/infer.ts';
import { joinModels } from './graph/join.ts';
import { verifyGraph } from './graph/verify.ts';
import { externalReader, readModelFile } from './onnx/files.ts';
import { readModel } from './onnx/read.ts';
import { writeModel } from './onnx/write.ts';
import { removeDeadCode } from './passes/dead-code.ts';
import { fixInputs } from './passes/fix-inputs.ts';
import { foldConstants } from './passes/fold-constants.ts';
import { hasIf, inlineIf } from './passes/inline-if.ts';
import { liftConstants } from './passes/lift-constants.ts';
import { reduceOutputs } from './passes/reduce-outputs.ts';
import type { ModelRecipe } from './recipe.ts';

/** What is needed of a recipe to read its model: weights may lie beside the file. */
export type SourceRecipe = Pick<ModelRecipe, 'source' | 'outputs'> & Partial<Pick<ModelRecipe, 'file' | 'fixed'>>;

/** The model's file, or those it is made of as one. Throws NOT_FOUND; BAD_MODEL or UNSUPPORTED for files that do not join. */
export async function readSourceBytes(recipe: Pick<ModelRecipe, 'file' | 'joined' | 'source'>): Promise<Uint8Array> {
  const { file, joined, source } = recipe;
  try {
    if (joined === undefined) return await readFile(file);
    const parts = joined.parts.map((part) => ({ ...part, model: readModelFile(part.file) }));
    return writeModel(joinModels(parts, joined));
  } catch (error) {
    throw asTandemError(error, 'NOT_FOUND', `cannot read ${source}`);
  }
}

/** Of the model's file and of the weights beside it: what says whether it is still the same model. */
export function sourceSha256(source: Uint8Array, { source: name, file, joined }: ModelRecipe): string {
  const hash = createHash('sha256').update(source);
  if (joined === undefined) {
    const read = externalReader(file);
    readModel(source, name, (reference) => {
      const bytes = read(reference);
      hash.update(bytes);
      return bytes;
    });
  }
  return hash.digest('hex');
}

/**
 * @param runtime computes constants and infers types
 * @throws BAD_MODEL; USAGE for inputs that cannot be fixed
 */
export async function prepareModel(source: Uint8Array, recipe: SourceRecipe, runtime: Runtime): Promise<Model> {
  const model = readSource(source, recipe);
  const { graph } = model;
  // Bodies within bodies: each round may open the next.
  while (hasIf(graph)) {
    liftConstants(graph);
    await foldConstants(model, runtime);
    if (!inlineIf(graph)) break;
    verifyGraph(graph, 'after inlining an If');
  }
  removeDeadCode(graph);
  await inferTypes(model, runtime);
  return model;
}

/** The model as its file has it, but for fixed inputs, lifted constants and reduced outputs: what others are compared with. */
export function readSource(source: Uint8Array, recipe: SourceRecipe): Model {
  const model = readModel(source, recipe.source, recipe.file === undefined ? undefined : externalReader(recipe.file));
  const { graph } = model;
  verifyGraph(graph, recipe.source);
  // What has a default is fixed at it: no client will give it.
  graph.overridable = [];
  // Before IR version 4 every initializer was listed as an input.
  model.irVersion = Math.max(model.irVersion, 4);
  liftConstants(graph);
  fixInputs(graph, recipe.fixed ?? {});
  reduceOutputs(graph, recipe.outputs, model.opsets.get('') ?? 0);
  removeDeadCode(graph);
  return model;
}

/** The model. Throws UNSUPPORTED where what goes in or comes out is no tensor, or one of a type that no plan carries. */
export function assertSendable(model: Model, { source }: Pick<ModelRecipe, 'source'>): Model {
  for (const { name, elementType, opaque } of [...model.graph.inputs, ...model.graph.outputs]) {
    // A tensor with a denotation is opaque too, and one.
    if (isDType(elementType) || (elementType === 'undefined' && !opaque)) continue;
    const what = elementType === 'undefined' ? 'no tensor' : `of type ${elementType}`;
    throw new TandemError('UNSUPPORTED', `${source} has ${name}, which is ${what} and cannot be sent`);
  }
  return model;
}

/** What a run that failed means to who brought the model. */
export function notRunning({ source }: Pick<ModelRecipe, 'source'>): (error: unknown) => never {
  return (error) => {
    const remedy = 'sizes: --dim, --shape; or --samples; or --fix';
    throw asTandemError(error, 'BAD_INPUT', `${source} does not run on its samples (${remedy})`);
  };
}

/** A model with inner values as further outputs. */
export function withTaps(model: Model, taps: readonly string[]): Model {
  const { graph } = model;
  const known = new Set([...graph.inputs, ...graph.outputs].map(({ name }) => name));
  const tapped = taps
    .filter((name) => !known.has(name))
    .map((name): ValueInfo => ({ name, elementType: 'undefined', shape: null }));
  const whole = { ...graph, outputs: [...graph.outputs, ...tapped] };
  verifyGraph(whole, 'after tapping boundaries');
  return { ...model, graph: whole };
}
