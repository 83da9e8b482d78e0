/**
 * From the source model to the chain's files: read, reduce outputs, cut, simplify, write; and the compressed form of a
 * segment. Cutting comes before simplifying, so that no rewrite can reach across a boundary and change what it means.
 */
import { storeInt8 } from '../compress/store-int8.ts';
import { cloneGraph, type Model } from '../graph/graph.ts';
import { verifyGraph } from '../graph/verify.ts';
import { readModel } from '../onnx/read.ts';
import { writeModel } from '../onnx/write.ts';
import { simplify } from '../passes/index.ts';
import { liftConstants } from '../passes/lift-constants.ts';
import { reduceOutputs } from '../passes/reduce-outputs.ts';
import type { ModelRecipe } from '../recipe.ts';
import { extractChain } from './extract.ts';

export interface ChainSegment {
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** ONNX bytes in full precision. */
  readonly float: Uint8Array;
  /** ONNX bytes with weights stored in 8 bits. */
  readonly int8: Uint8Array;
}

export interface Chain {
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  readonly segments: readonly ChainSegment[];
}

/** @throws BAD_MODEL, UNSUPPORTED or BAD_CUT */
export function buildChain(source: Uint8Array, recipe: Pick<ModelRecipe, 'source' | 'outputs' | 'cuts'>): Chain {
  const model = preparedModel(source, recipe);
  const segments = extractChain(model.graph, recipe.cuts).segments.map(({ graph, inputs, outputs }) => {
    simplify(graph);
    const float = writeModel({ ...model, graph });
    const compressed = cloneGraph(graph);
    storeInt8(compressed);
    verifyGraph(compressed, 'after storing weights in 8 bits');
    return { inputs, outputs, float, int8: writeModel({ ...model, graph: compressed }) };
  });
  return {
    inputNames: model.graph.inputs.map(({ name }) => name),
    outputNames: model.graph.outputs.map(({ name }) => name),
    segments,
  };
}

/**
 * The whole model with its reduced outputs, uncut and not simplified: what a chain is compared with.
 * @param taps inner values that it should give as well
 */
export function wholeModel(
  source: Uint8Array,
  recipe: Pick<ModelRecipe, 'source' | 'outputs'>,
  taps: readonly string[],
): Uint8Array {
  const model = preparedModel(source, recipe);
  const tapped = taps.map((name) => ({ name, elementType: 'float32' as const, shape: null }));
  model.graph.outputs = [...model.graph.outputs, ...tapped];
  verifyGraph(model.graph, 'after tapping boundaries');
  return writeModel(model);
}

function preparedModel(source: Uint8Array, recipe: Pick<ModelRecipe, 'source' | 'outputs'>): Model {
  const model = readModel(source, recipe.source);
  verifyGraph(model.graph, recipe.source);
  liftConstants(model.graph);
  reduceOutputs(model.graph, recipe.outputs, model.opsets.get('') ?? 0);
  return model;
}
