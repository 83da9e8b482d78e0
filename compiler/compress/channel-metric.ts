/**
 * What errors in a boundary's channels matter to the layers that read them: an error that they multiply by little is hardly
 * seen. It is what GPTQ does with inputs, seen from the other side: the sum over readers W of |W e|^2 is eᵀ G e with
 * G = sum of WᵀW, and so the square of an error measured by the root of G is what it does.
 */
import { elementCount } from '../../shared/tensor.ts';
import { floatConstant, type Graph, intAttribute, isStandard, type Node } from '../graph/graph.ts';
import { EIGEN_MAX, symmetricEigen } from '../linalg/eigen.ts';
import { layerOf } from './layers.ts';

export interface ChannelMetric {
  /** Symmetric, [channels][channels]: an error is measured by its square after this. Root mean square about 1. */
  readonly root: Float64Array;
  readonly inverse: Float64Array;
}

/** Of the mean over all directions, added to each: what lies behind the readers is not looked at. */
const FLOOR = 0.1;

/**
 * @param graphs that may read the tensor: the tail's segments
 * @param tensor [batch, channels, ...]
 * @returns undefined where anything but convolutions, directly or behind one Concat, reads the tensor: what that makes of it
 * is not known
 */
export function channelMetric(graphs: readonly Graph[], tensor: string, channels: number): ChannelMetric | undefined {
  if (channels > EIGEN_MAX) return undefined;
  const gram = new Float64Array(channels * channels);
  for (const graph of graphs) {
    for (const node of readersOf(graph, tensor)) if (!addReader(gram, graph, node, tensor, channels)) return undefined;
  }
  let trace = 0;
  for (let c = 0; c < channels; c++) trace += gram[c * channels + c] as number;
  if (trace <= 0) return undefined;
  const { values, vectors } = symmetricEigen(
    gram.map((value) => (value * channels) / trace),
    channels,
  );
  const roots = values.map((value) => Math.sqrt(Math.max(0, value) + FLOOR));
  const scaled = (factor: (root: number) => number) =>
    times(
      transposed(vectors, channels),
      vectors.map((value, i) => value * factor(roots[Math.floor(i / channels)] as number)),
      channels,
    );
  return { root: scaled((root) => root), inverse: scaled((root) => 1 / root) };
}

/** @param rows [any][n] @param square [n][n] */
export function times(rows: Float64Array, square: Float64Array, n: number): Float64Array {
  const product = new Float64Array(rows.length);
  for (let at = 0; at < rows.length; at += n) {
    for (let k = 0; k < n; k++) {
      const factor = rows[at + k] as number;
      if (factor === 0) continue;
      for (let j = 0; j < n; j++)
        product[at + j] = (product[at + j] as number) + factor * (square[k * n + j] as number);
    }
  }
  return product;
}

function transposed(square: Float64Array, n: number): Float64Array {
  return square.map((_, i) => square[(i % n) * n + Math.floor(i / n)] as number);
}

function readersOf({ nodes }: Graph, tensor: string): Node[] {
  return nodes.filter(({ inputs }) => inputs.includes(tensor));
}

/** Adds what a node does with the tensor; false where that is not known. */
function addReader(gram: Float64Array, graph: Graph, node: Node, tensor: string, channels: number): boolean {
  if (!isStandard(node, 'Concat')) return addConvolution(gram, graph, node, tensor, channels, () => 0);
  const [joined = ''] = node.outputs;
  const { inputs } = node;
  const isFirst = inputs[0] === tensor;
  const isOnce = inputs.filter((input) => input === tensor).length === 1;
  if (intAttribute(node, 'axis', 0) !== 1 || !isOnce || !(isFirst || inputs.at(-1) === tensor)) return false;
  const firstOf = (all: number) => (isFirst ? 0 : all - channels);
  return readersOf(graph, joined).every((reader) => addConvolution(gram, graph, reader, joined, channels, firstOf));
}

/** @param firstOf where the channels begin among all that the convolution reads */
function addConvolution(
  gram: Float64Array,
  graph: Graph,
  node: Node,
  input: string,
  channels: number,
  firstOf: (all: number) => number,
): boolean {
  const layer = layerOf(graph, node);
  if (layer?.kind !== 'conv' || node.inputs[0] !== input) return false;
  const { shape, groups } = layer;
  const data = floatConstant(graph, layer.weight)?.data ?? new Float32Array();
  const [outputs = 1, perGroup = 1] = shape;
  const positions = elementCount(shape.slice(2));
  const first = firstOf(perGroup * groups);
  for (let o = 0; o < outputs; o++) {
    // What this output reads lies from here on, counted in the tensor's own channels.
    const from = Math.floor((o * groups) / outputs) * perGroup - first;
    const low = Math.max(0, -from);
    const high = Math.min(perGroup, channels - from);
    for (let p = 0; p < positions; p++) {
      const weight = (c: number) => data[(o * perGroup + c) * positions + p] as number;
      for (let a = low; a < high; a++) {
        const row = (from + a) * channels + from;
        const factor = weight(a);
        for (let b = low; b < high; b++) gram[row + b] = (gram[row + b] as number) + factor * weight(b);
      }
    }
  }
  return true;
}
