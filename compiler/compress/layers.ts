/**
 * The nodes of a graph that multiply by a constant weight: what compression is about. Each is known by the name of its
 * output, which rewrites keep, and its weight can be seen as rows, one an output channel, whatever the operator's layout.
 */
import { elementCount } from '../../shared/tensor.ts';
import { floatConstant, type Graph, intAttribute, isStandard, type Node, subgraphs } from '../graph/graph.ts';

export interface Layer {
  readonly node: Node;
  /** Name of the node's output; of `recurrent` with `/W` or `/R`, for it has a weight for its input and one for its state. */
  readonly name: string;
  readonly kind: 'conv' | 'conv-transpose' | 'gemm' | 'matmul' | 'recurrent';
  /** Name of the initializer, of float32. */
  readonly weight: string;
  readonly shape: readonly number[];
  /** The axis of the weight that output channels run along; of `conv-transpose` within a group. */
  readonly axis: number;
  /** Of a convolution; 1 otherwise. */
  readonly groups: number;
}

/** In the graph's order. A weight that several nodes read is a layer of each. */
export function layersOf(graph: Graph): Layer[] {
  return graph.nodes.flatMap((node) => layerOf(graph, node) ?? []);
}

/**
 * And what can only be stored: weights of LSTM, GRU and RNN, and those of bodies (of If, Loop, Scan) whose weight the graph
 * around them holds.
 */
export function storedLayersOf(graph: Graph): Layer[] {
  const of = (node: Node) => [...[layerOf(graph, node) ?? []].flat(), ...recurrentLayersOf(graph, node)];
  const within = (body: Graph): Layer[] =>
    body.nodes.flatMap((node) => [
      ...of(node).filter(({ weight }) => !body.initializers.has(weight)),
      ...subgraphs(node).flatMap(within),
    ]);
  return [...graph.nodes.flatMap(of), ...graph.nodes.flatMap(subgraphs).flatMap(within)];
}

/** undefined for a node that has no constant weight of two dimensions or more. */
export function layerOf(graph: Graph, node: Node): Layer | undefined {
  const weight = node.inputs[1] ?? '';
  const shape = floatConstant(graph, weight)?.shape;
  const name = node.outputs[0];
  if (!shape || shape.length < 2 || name === undefined) return undefined;
  const base = { node, name, weight, shape, groups: 1 };
  if (isStandard(node, 'Conv')) return { ...base, kind: 'conv', axis: 0, groups: intAttribute(node, 'group', 1) };
  if (isStandard(node, 'ConvTranspose')) {
    return { ...base, kind: 'conv-transpose', axis: 1, groups: intAttribute(node, 'group', 1) };
  }
  if (isStandard(node, 'Gemm')) return { ...base, kind: 'gemm', axis: intAttribute(node, 'transB', 0) === 1 ? 0 : 1 };
  if (isStandard(node, 'MatMul')) return { ...base, kind: 'matmul', axis: shape.length - 1 };
  return undefined;
}

const RECURRENT = ['LSTM', 'GRU', 'RNN'];

/** Weights are [directions, gates x hidden, inputs]: rows are those of all directions side by side. */
function recurrentLayersOf(graph: Graph, node: Node): Layer[] {
  const name = node.outputs.find((output) => output !== '');
  if (name === undefined || !RECURRENT.some((op) => isStandard(node, op))) return [];
  return ['W', 'R'].flatMap((which, i): Layer[] => {
    const weight = node.inputs[i + 1] ?? '';
    const shape = floatConstant(graph, weight)?.shape;
    if (shape?.length !== 3) return [];
    return [{ node, name: `${name}/${which}`, kind: 'recurrent', weight, shape, axis: 1, groups: 1 }];
  });
}

/**
 * The weight as a matrix [output channels, inputs of one]. In a convolution's row the order is that of `inputRows`: channel of
 * the group, then kernel positions.
 */
export function weightRows({ shape, axis }: Layer, data: Float32Array): Float32Array {
  if (axis === 0) return data.slice();
  return transposed(data, shape, axis, (to, from, rows) => {
    rows[to] = data[from] as number;
  });
}

/** The inverse of `weightRows`. */
export function weightOfRows({ shape, axis }: Layer, rows: Float32Array): Float32Array {
  if (axis === 0) return rows.slice();
  return transposed(rows, shape, axis, (at, to, weight) => {
    weight[to] = rows[at] as number;
  });
}

/** Output channels that `weightRows` has: of all groups for a convolution, of one for a transposed one. */
export function rowCount({ shape, axis }: Layer): number {
  return shape[axis] ?? 1;
}

function transposed(
  like: Float32Array,
  shape: readonly number[],
  axis: number,
  move: (inRows: number, inWeight: number, result: Float32Array) => void,
): Float32Array {
  const result = new Float32Array(like.length);
  const rows = shape[axis] ?? 1;
  const inner = elementCount(shape.slice(axis + 1));
  const outer = elementCount(shape.slice(0, axis));
  for (let o = 0; o < outer; o++) {
    for (let r = 0; r < rows; r++) {
      for (let i = 0; i < inner; i++) move((r * outer + o) * inner + i, (o * rows + r) * inner + i, result);
    }
  }
  return result;
}
