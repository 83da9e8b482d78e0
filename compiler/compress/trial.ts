/** What a change of weights does to a segment's outputs, tried on a few samples: a price that layers can be compared by. */

import type { Tensor, Tensors } from '../../shared/tensor.ts';
import { cloneGraph, type Model } from '../graph/graph.ts';
import { loadModel } from '../onnx/load.ts';
import { elementsOf } from './float16.ts';
import { type LayerWeights, writeWeights } from './layer-weights.ts';
import { layersOf } from './layers.ts';
import type { SegmentData } from './segment-data.ts';

/** Squared error of outputs over their squared size; whoever knows what follows can say it better. */
export type OutputError = (actual: Tensors, expected: Tensors) => number | Promise<number>;

/** Mean error of the original with other weights in some layers, by their names. */
export type Trial = (weights: ReadonlyMap<string, LayerWeights>) => Promise<number>;

/** The original is run once. Samples are kept in memory: ask for few. */
export async function newTrial(
  { model, samples, runtime }: SegmentData,
  count: number,
  errorOf: OutputError,
): Promise<Trial> {
  const kept: { readonly sample: Tensors; readonly expected: Tensors }[] = [];
  const session = await loadModel(runtime, model);
  for await (const sample of samples()) {
    if (kept.length >= count) break;
    kept.push({ sample, expected: await session.run(sample) });
  }
  await session.release();
  return async (weights) => {
    const changed = await loadModel(runtime, withWeights(model, weights));
    let sum = 0;
    for (const { sample, expected } of kept) sum += await errorOf(await changed.run(sample), expected);
    await changed.release();
    return sum / kept.length;
  };
}

/** Of all outputs of floats together. */
export function squaredError(actual: Tensors, expected: Tensors): number {
  let [difference, power] = [0, 1e-30];
  for (const [name, tensor] of Object.entries(expected)) {
    if (!tensor.dtype.startsWith('float')) continue;
    const [made, wanted] = [elementsOf(actual[name] as Tensor), elementsOf(tensor)];
    for (let i = 0; i < wanted.length; i++) {
      difference += (Number(made[i]) - Number(wanted[i])) ** 2;
      power += Number(wanted[i]) ** 2;
    }
  }
  return difference / power;
}

function withWeights(model: Model, weights: ReadonlyMap<string, LayerWeights>): Model {
  const graph = cloneGraph(model.graph);
  for (const layer of layersOf(graph)) {
    const own = weights.get(layer.name);
    if (own) writeWeights(graph, layer, own);
  }
  return { ...model, graph };
}
