/**
 * Types and shapes of all values for given inputs, by running the graph with every value as an output: what inference
 * cannot know because it depends on data, a run does.
 */
import type { Runtime } from '../../shared/runtime.ts';
import { isDType, type Tensors } from '../../shared/tensor.ts';
import { loadModel } from '../onnx/load.ts';
import type { Types } from './cost.ts';
import type { Model, ValueInfo } from './graph.ts';

/**
 * @param model with its inner types inferred: values that are no plain tensors cannot be given out
 * @param runtime loads the model as it is, without rewriting it: onnxruntime 1.30 takes away a Range that becomes a Slice,
 *   also where it is an output, and crashes
 * @throws BAD_MODEL where it cannot be loaded; what the run throws
 */
export async function observeTypes(model: Model, runtime: Runtime, feeds: Tensors): Promise<Types> {
  const { graph } = model;
  const isTensor = (name: string) => isDType(graph.values.get(name)?.elementType ?? '');
  const inner = graph.nodes
    .flatMap(({ outputs }) => outputs)
    .filter((name) => name !== '' && isTensor(name))
    .map((name): ValueInfo => ({ name, elementType: graph.values.get(name)?.elementType ?? 'float32', shape: null }));
  const session = await loadModel(runtime, { ...model, graph: { ...graph, outputs: inner } });
  try {
    const types = new Map<string, ValueInfo>();
    for (const tensors of [feeds, await session.run(feeds)]) {
      for (const [name, { dtype, shape }] of Object.entries(tensors))
        types.set(name, { name, elementType: dtype, shape });
    }
    return types;
  } finally {
    await session.release();
  }
}
