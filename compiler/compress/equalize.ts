/**
 * Cross-layer equalization: between two convolutions a channel can be made smaller before and larger behind without changing
 * what comes out, so the ranges of a weight's channels can be evened out before they have to share one scale. Never across a
 * segment's boundary: only values that one node alone reads are scaled. Source: Nagel et al., "Data-free quantization through
 * weight equalization and bias correction" (arXiv 1906.04721), 4.1.
 */
import { elementCount } from '../../shared/tensor.ts';
import {
  cloneGraph,
  constantOf,
  floatConstant,
  type Graph,
  type GraphIndex,
  indexGraph,
  isStandard,
  type Model,
  type Node,
} from '../graph/graph.ts';
import { isPrivate } from '../passes/match.ts';
import { type Layer, layerOf, layersOf } from './layers.ts';

/** Three layers in a row settle after some rounds of their two pairs. */
const ROUNDS_MAX = 30;
/** Factors closer to 1 than this change nothing that codes could show. */
const SETTLED = 1e-3;

interface Pair {
  readonly before: Layer;
  readonly behind: Layer;
}

/**
 * Evens out in place what can be. Activations on the way are linear for positive factors: ReLU, LeakyReLU, PReLU. A depthwise
 * convolution is the second of one pair and the first of the next.
 * @returns how many pairs of layers were scaled
 */
export function equalize(graph: Graph): number {
  const index = indexGraph(graph);
  const pairs = layersOf(graph).flatMap((before) => pairOf(graph, index, before) ?? []);
  for (let round = 0; round < ROUNDS_MAX; round++) {
    const farthest = Math.max(0, ...pairs.map((pair) => scalePair(graph, pair)));
    if (farthest < SETTLED) break;
  }
  return pairs.length;
}

/** A copy of the model, evened out; undefined where there is no pair of layers to do that between. */
export function equalizedModel(model: Model): Model | undefined {
  const graph = cloneGraph(model.graph);
  return equalize(graph) > 0 ? { ...model, graph } : undefined;
}

function pairOf(graph: Graph, index: GraphIndex, before: Layer): Pair | undefined {
  if (before.kind !== 'conv' || !ownsConstants(graph, index, before.node)) return undefined;
  let last = before.node;
  let next = onlyReader(index, last);
  while (next && ['Relu', 'LeakyRelu', 'PRelu'].some((op) => isStandard(next as Node, op))) {
    if (next.inputs[0] !== last.outputs[0]) return undefined;
    last = next;
    next = onlyReader(index, last);
  }
  const behind = next && layerOf(graph, next);
  if (behind?.kind !== 'conv' || behind.node.inputs[0] !== last.outputs[0]) return undefined;
  if (!ownsConstants(graph, index, behind.node)) return undefined;
  const isDepthwise = behind.groups === behind.shape[0] && behind.shape[1] === 1;
  return behind.groups === 1 || isDepthwise ? { before, behind } : undefined;
}

function onlyReader(index: GraphIndex, node: Node): Node | undefined {
  return isPrivate(index, node) ? index.consumers.get(node.outputs[0] ?? '')?.[0] : undefined;
}

/** Whether its weight and bias are constants that no other node reads. */
function ownsConstants(graph: Graph, index: GraphIndex, { inputs }: Node): boolean {
  return inputs
    .slice(1)
    .every((name) => name === '' || (floatConstant(graph, name) && index.consumers.get(name)?.length === 1));
}

/** Gives how far the factor that is farthest from 1 is from it. */
function scalePair(graph: Graph, { before, behind }: Pair): number {
  const [first, second] = [before, behind].map(({ weight }) => floatConstant(graph, weight)?.data.slice()) as [
    Float32Array,
    Float32Array,
  ];
  const bias = floatConstant(graph, before.node.inputs[2] ?? '')?.data.slice();
  const channels = before.shape[0] ?? 1;
  const firstStride = first.length / channels;
  // Along which axis the second layer's weight has the channels: of its own for a depthwise one.
  const axis = behind.groups === 1 ? 1 : 0;
  const secondStride = elementCount(behind.shape.slice(axis + 1));
  const channelOf = (i: number) => Math.floor(i / secondStride) % channels;
  const [firstRange, secondRange] = [new Float64Array(channels), new Float64Array(channels)];
  for (const [i, value] of first.entries()) widen(firstRange, Math.floor(i / firstStride), value);
  for (const [i, value] of second.entries()) widen(secondRange, channelOf(i), value);
  const factors = firstRange.map((range, c) => {
    const factor = Math.sqrt(range / (secondRange[c] as number));
    return Number.isFinite(factor) && factor > 0 ? factor : 1;
  });
  for (const [i, value] of first.entries()) first[i] = value / (factors[Math.floor(i / firstStride)] as number);
  for (const [i, value] of second.entries()) second[i] = value * (factors[channelOf(i)] as number);
  if (bias) {
    for (const [c, value] of bias.entries()) bias[c] = value / (factors[c] as number);
    put(graph, before.node.inputs[2] ?? '', bias);
  }
  put(graph, before.weight, first);
  put(graph, behind.weight, second);
  return Math.max(...factors.map((factor) => Math.abs(Math.log(factor))));
}

function widen(ranges: Float64Array, at: number, value: number): void {
  ranges[at] = Math.max(ranges[at] as number, Math.abs(value));
}

function put(graph: Graph, name: string, data: Float32Array): void {
  const shape = graph.initializers.get(name)?.shape ?? [data.length];
  graph.initializers.set(name, constantOf({ dtype: 'float32', shape, data }));
}
