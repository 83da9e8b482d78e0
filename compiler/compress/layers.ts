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
  const within = (body: Graph): Layer[] =>
    body.nodes.flatMap((node) => {
      const layer = body.initializers.has(node.inputs[1] ?? '') ? undefined : layerOf(graph, node);
      return [...(layer ? [layer] : []), ...subgraphs(node).flatMap(within)];
    });
  return [...layersOf(graph), ...graph.nodes.flatMap(subgraphs).flatMap(within), ...recurrentLayersOf(graph)];
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
/** What hands values on as they are, in another order or shape: exporters bring gates into ONNX's order with them. */
const MOVES: ReadonlySet<string> = new Set([
  'Unsqueeze',
  'Squeeze',
  'Slice',
  'Concat',
  'Transpose',
  'Reshape',
  'Identity',
]);

/**
 * Constants that weights of recurrent nodes are made of, wherever the nodes are; each once, for whoever reads it first. Rows are
 * those of [gates x hidden, inputs], of all directions side by side where these are the first dimension.
 */
function recurrentLayersOf(graph: Graph): Layer[] {
  const nodes: Node[] = [];
  const collect = (of: Graph) => {
    for (const node of of.nodes) {
      nodes.push(node);
      for (const body of subgraphs(node)) collect(body);
    }
  };
  collect(graph);
  const makers = new Map(nodes.flatMap((node) => node.outputs.map((output) => [output, node] as const)));
  const constantsBehind = (name: string): string[] => {
    if (floatConstant(graph, name)) return [name];
    const maker = makers.get(name);
    return maker && MOVES.has(maker.op) ? [...new Set(maker.inputs.flatMap(constantsBehind))] : [];
  };
  const found = new Map<string, Layer>();
  for (const node of nodes.filter((each) => RECURRENT.some((op) => isStandard(each, op)))) {
    const output = node.outputs.find((name) => name !== '') ?? '';
    for (const [i, which] of ['W', 'R'].entries()) {
      for (const [j, weight] of constantsBehind(node.inputs[i + 1] ?? '').entries()) {
        const shape = floatConstant(graph, weight)?.shape ?? [];
        const name = `${output}/${which}${j > 0 ? j + 1 : ''}`;
        if (shape.length < 2 || found.has(weight)) continue;
        found.set(weight, {
          node,
          name,
          kind: 'recurrent',
          weight,
          shape,
          axis: shape.length === 3 ? 1 : 0,
          groups: 1,
        });
      }
    }
  }
  return [...found.values()];
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
