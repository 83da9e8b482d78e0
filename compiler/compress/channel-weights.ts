/**
 * What a boundary's channels matter to the layers that read them: an error in a channel that is multiplied by small weights
 * is hardly seen. It is the diagonal of what GPTQ does with inputs, seen from the other side: of the sum over readers of
 * |W e|^2, what belongs to each channel alone.
 */
import { elementCount } from '../../shared/tensor.ts';
import { floatConstant, type Graph, intAttribute, isStandard, type Node } from '../graph/graph.ts';
import { layerOf } from './layers.ts';

/** Of the mean importance, added to that of each channel: what lies behind its readers is not looked at. */
const IMPORTANCE_FLOOR = 0.05;

/**
 * @param graphs that may read the tensor: the tail's segments
 * @param tensor [batch, channels, ...]
 * @returns what each channel's deviation counts, root mean square about 1; undefined where anything but convolutions,
 * directly or behind one Concat, reads the tensor: what that makes of it is not known
 */
export function channelWeights(graphs: readonly Graph[], tensor: string, channels: number): Float64Array | undefined {
  const importances = graphs.flatMap((graph) =>
    readersOf(graph, tensor).flatMap((node) => seenBy(graph, node, tensor, channels)),
  );
  const sums = new Float64Array(channels);
  for (const importance of importances) {
    if (importance?.length !== channels) return undefined;
    for (const [c, value] of importance.entries()) sums[c] = (sums[c] as number) + value;
  }
  const mean = sums.reduce((total, value) => total + value, 0) / channels;
  return mean > 0 ? sums.map((value) => Math.sqrt(value / mean + IMPORTANCE_FLOOR)) : undefined;
}

function readersOf({ nodes }: Graph, tensor: string): Node[] {
  return nodes.filter(({ inputs }) => inputs.includes(tensor));
}

/** One entry a convolution, undefined for what is none. */
function seenBy(graph: Graph, node: Node, tensor: string, channels: number): (Float64Array | undefined)[] {
  if (!isStandard(node, 'Concat')) return [importanceOf(graph, node, tensor)];
  const [joined = ''] = node.outputs;
  const { inputs } = node;
  const isFirst = inputs[0] === tensor;
  const isOnce = inputs.filter((input) => input === tensor).length === 1;
  if (intAttribute(node, 'axis', 0) !== 1 || !isOnce || !(isFirst || inputs.at(-1) === tensor)) return [undefined];
  return readersOf(graph, joined).map((reader) => {
    const all = importanceOf(graph, reader, joined);
    return isFirst ? all?.subarray(0, channels) : all?.subarray(Math.max(0, all.length - channels));
  });
}

/** Of each input channel of a convolution: the sum of its squared weights. */
function importanceOf(graph: Graph, node: Node, input: string): Float64Array | undefined {
  const layer = layerOf(graph, node);
  if (layer?.kind !== 'conv' || node.inputs[0] !== input) return undefined;
  const { shape, groups } = layer;
  const data = floatConstant(graph, layer.weight)?.data ?? new Float32Array();
  const [outputs = 1, perGroup = 1] = shape;
  const positions = elementCount(shape.slice(2));
  const importance = new Float64Array(perGroup * groups);
  for (let i = 0; i < data.length; i++) {
    const group = Math.floor((Math.floor(i / (perGroup * positions)) * groups) / outputs);
    const channel = group * perGroup + (Math.floor(i / positions) % perGroup);
    importance[channel] = (importance[channel] as number) + (data[i] as number) ** 2;
  }
  return importance;
}
