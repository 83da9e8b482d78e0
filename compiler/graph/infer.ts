/**
 * Types of inner values, by asking the runtime: it is given the graph with every value as an output and says what it
 * inferred, by ONNX's own rules for every operator it has. What depends on data it cannot know.
 */
import type { Runtime } from '../../shared/runtime.ts';
import { loadModel } from '../onnx/load.ts';
import { ELEMENT_TYPES, type ElementType, type Graph, type Model, type ValueInfo } from './graph.ts';

/**
 * Adds to `graph.values` what can be inferred of values whose type is not known.
 * @param withShapes also shapes. They say more than is safe to write down again: a symbol that two dimensions share may
 *   bind what a cut has parted
 * @param runtime loads the model as it is, without rewriting it
 * @throws BAD_MODEL where the runtime cannot load the model at all
 */
export async function inferTypes(model: Model, runtime: Runtime, withShapes = false): Promise<void> {
  const { graph } = model;
  const session = await loadModel(runtime, { ...model, graph: tapped(graph) });
  for (const { name, elementType, shape } of session.outputTypes ?? []) {
    const known = graph.values.get(name);
    if (known?.opaque || (known && known.elementType !== 'undefined' && !withShapes)) continue;
    const isTensor = isElementType(elementType);
    // A scalar and a value of unknown rank look the same here. What is no tensor is put down as such: it cannot be cut at.
    const isKnown = withShapes && isTensor && shape.length > 0;
    graph.values.set(name, {
      ...{ name, elementType: isTensor ? elementType : 'undefined', shape: isKnown ? shape : null },
      extra: known?.extra,
    });
  }
  await session.release();
}

/** The graph with all its values as outputs, of types that the file does not say again. */
function tapped(graph: Graph): Graph {
  const outputs = new Map<string, ValueInfo>(graph.outputs.map((output) => [output.name, output]));
  for (const name of graph.nodes.flatMap((node) => node.outputs)) {
    if (name !== '' && !outputs.has(name)) outputs.set(name, { name, elementType: 'undefined', shape: null });
  }
  return { ...graph, outputs: [...outputs.values()] };
}

function isElementType(name: string | undefined): name is ElementType {
  return name !== 'undefined' && ELEMENT_TYPES.includes(name as ElementType);
}
