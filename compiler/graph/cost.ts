/** What each node costs, where shapes are known: multiply-accumulates and parameters; and what all hold in memory at once. */
import { elementCount } from '../../shared/tensor.ts';
import { byteLengthOf, type Graph, intAttribute, type Node, subgraphs, type ValueInfo } from './graph.ts';

export interface NodeCost {
  /** Multiply-accumulates; 0 for nodes that only move or transform single values. */
  readonly macs: number;
  /** Elements of constants that this node is the first to read. */
  readonly parameters: number;
}

export interface GraphCost {
  readonly byNode: ReadonlyMap<Node, NodeCost>;
  readonly macs: number;
  readonly parameters: number;
  /** Most bytes of values that are live at once, running the nodes in order; constants are not counted. */
  readonly peakBytes: number;
  /** Values whose shape is not known: their costs are counted as 0. */
  readonly unknown: readonly string[];
}

/** Types with concrete shapes, by value: as `observeTypes` finds them. */
export type Types = ReadonlyMap<string, ValueInfo>;

export function costOf(graph: Graph, types: Types): GraphCost {
  const counted = new Set<string>();
  const byNode = new Map<Node, NodeCost>();
  const unknown: string[] = [];
  for (const node of graph.nodes) {
    unknown.push(...node.outputs.filter((name) => name !== '' && bytesOf(types, name) === undefined));
    byNode.set(node, { macs: macsOf(graph, node, types), parameters: newParameters(graph, node, counted) });
  }
  const sum = (of: (cost: NodeCost) => number) => [...byNode.values()].reduce((total, cost) => total + of(cost), 0);
  return {
    ...{ byNode, unknown, peakBytes: peakBytes(graph, types) },
    ...{ macs: sum(({ macs }) => macs), parameters: sum(({ parameters }) => parameters) },
  };
}

/** Bytes of a value, or undefined where its shape or type is not known. */
export function bytesOf(types: Types, name: string): number | undefined {
  const info = types.get(name);
  const shape = concrete(info);
  return info && shape && byteLengthOf(info.elementType, shape);
}

function concrete(info: ValueInfo | undefined): readonly number[] | undefined {
  const { shape } = info ?? { shape: null };
  return shape?.every((dim): dim is number => typeof dim === 'number') ? (shape as readonly number[]) : undefined;
}

function newParameters(graph: Graph, node: Node, counted: Set<string>): number {
  let sum = 0;
  for (const name of node.inputs) {
    const constant = graph.initializers.get(name);
    if (!constant || counted.has(name)) continue;
    counted.add(name);
    sum += elementCount(constant.shape);
  }
  return sum + bodyParameters(node);
}

function bodyParameters(node: Node): number {
  let sum = 0;
  for (const { initializers, nodes } of subgraphs(node)) {
    for (const { shape } of initializers.values()) sum += elementCount(shape);
    for (const inner of nodes) sum += bodyParameters(inner);
  }
  return sum;
}

function macsOf(graph: Graph, node: Node, types: Types): number {
  const shapeOf = (name: string | undefined) =>
    name === undefined ? undefined : (graph.initializers.get(name)?.shape ?? concrete(types.get(name)));
  const [first, second] = [shapeOf(node.inputs[0]), shapeOf(node.inputs[1])];
  const output = shapeOf(node.outputs[0]);
  if (!output) return 0;
  switch (node.op) {
    case 'Conv':
    case 'ConvInteger':
      return second ? elementCount(output) * elementCount(second.slice(1)) : 0;
    case 'QLinearConv':
      return elementCount(output) * elementCount((shapeOf(node.inputs[3]) ?? []).slice(1));
    case 'ConvTranspose':
      return first && second ? elementCount(first) * elementCount(second.slice(1)) : 0;
    case 'Gemm':
      return first ? elementCount(output) * (first[intAttribute(node, 'transA', 0) ? 0 : 1] ?? 0) : 0;
    case 'MatMul':
    case 'MatMulInteger':
    case 'QLinearMatMul':
      return first ? elementCount(output) * (first.at(-1) ?? 0) : 0;
    case 'LSTM':
    case 'GRU':
    case 'RNN':
      return recurrentMacs(first, second, shapeOf(node.inputs[2]));
    default:
      return 0;
  }
}

/** X [steps, batch, in], W [directions, gates * hidden, in], R [directions, gates * hidden, hidden]. */
function recurrentMacs(x: Shape, w: Shape, r: Shape): number {
  if (!x || !w || !r) return 0;
  return (x[0] ?? 0) * (x[1] ?? 0) * (elementCount(w) + elementCount(r));
}

type Shape = readonly number[] | undefined;

/** Walks the nodes in order, freeing each value after its last reader. */
function peakBytes(graph: Graph, types: Types): number {
  const lastUse = new Map<string, number>();
  for (const [i, node] of graph.nodes.entries()) for (const name of node.inputs) lastUse.set(name, i);
  for (const { name } of graph.outputs) lastUse.set(name, graph.nodes.length);
  const freedAt = Array.from({ length: graph.nodes.length + 1 }, (): string[] => []);
  for (const [name, i] of lastUse) freedAt[i]?.push(name);
  let live = graph.inputs.reduce((sum, { name }) => sum + (bytesOf(types, name) ?? 0), 0);
  let peak = live;
  const isValue = (name: string) => name !== '' && !graph.initializers.has(name);
  for (const [i, node] of graph.nodes.entries()) {
    for (const name of node.outputs) if (isValue(name)) live += bytesOf(types, name) ?? 0;
    peak = Math.max(peak, live);
    for (const name of freedAt[i] ?? []) if (isValue(name)) live -= bytesOf(types, name) ?? 0;
    for (const name of node.outputs) if (isValue(name) && !lastUse.has(name)) live -= bytesOf(types, name) ?? 0;
  }
  return peak;
}
