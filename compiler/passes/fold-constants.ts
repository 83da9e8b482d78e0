/**
 * What is computed from constants alone is computed once, by the runtime itself, so that every operator is folded by the
 * rules that it runs by.
 */
import type { Runtime } from '../../shared/runtime.ts';
import { elementCount } from '../../shared/tensor.ts';
import { flowOf } from '../cut/flow.ts';
import { constantOf, type Model, makeGraph, type Node, subgraphs } from '../graph/graph.ts';
import { loadModel } from '../onnx/load.ts';

/** Larger results stay computed: a file is not to grow by what a few nodes can make. */
const ELEMENTS_MAX = 1 << 20;

/** @returns whether anything changed; nodes that the runtime cannot run by themselves stay */
export async function foldConstants(model: Model, runtime: Runtime): Promise<boolean> {
  const { graph } = model;
  const flow = flowOf(graph);
  const constant = (node: Node) => flow.kind.get(node) === 'constant';
  const nodes = graph.nodes.filter((node) => constant(node) && subgraphs(node).length === 0);
  if (nodes.length === 0) return false;
  const made = nodes.flatMap(({ outputs }) => outputs).filter((name) => name !== '');
  const outputs = made.map((name) => ({ name, elementType: 'undefined' as const, shape: null }));
  // Some operator may be unknown to this runtime, or make what is no tensor: then all stay as they are.
  const values = await evaluate(model, nodes, outputs, runtime).catch(() => ({}));
  const folded = new Set<string>();
  for (const [name, tensor] of Object.entries(values)) {
    if (elementCount(tensor.shape) > ELEMENTS_MAX) continue;
    graph.initializers.set(name, constantOf(tensor));
    folded.add(name);
  }
  const isDone = (node: Node) => constant(node) && node.outputs.every((name) => name === '' || folded.has(name));
  const rest = graph.nodes.filter((node) => !isDone(node));
  // A node of several outputs goes as a whole or stays as a whole.
  for (const node of rest) for (const name of node.outputs) if (folded.has(name)) graph.initializers.delete(name);
  const changed = rest.length !== graph.nodes.length;
  graph.nodes = rest;
  return changed;
}

async function evaluate(
  model: Model,
  nodes: Node[],
  outputs: Parameters<typeof makeGraph>[0]['outputs'],
  runtime: Runtime,
) {
  const { initializers, sparse } = model.graph;
  const graph = makeGraph({ name: 'constants', inputs: [], outputs, nodes, initializers, sparse });
  const session = await loadModel(runtime, { ...model, graph });
  try {
    return await session.run({});
  } finally {
    await session.release();
  }
}
