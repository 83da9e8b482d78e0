/** Writes a layer as a chain of thinner ones into the graph. The last keeps the layer's name, bias and place. */
import { float32 } from '../../shared/tensor.ts';
import {
  type Attribute,
  constantOf,
  freshName,
  type Graph,
  int,
  ints,
  intsAttribute,
  type Node,
} from '../graph/graph.ts';
import type { Layer } from './layers.ts';
import type { Factors, Stage } from './low-rank.ts';

/** Of a convolution in one group, a Gemm or a MatMul. The bias is written by `writeWeights` before. */
export function splitLayer(graph: Graph, layer: Layer, { stages }: Factors): void {
  const { node, name } = layer;
  const bias = node.inputs.slice(2);
  let from = node.inputs[0] ?? '';
  const whole = new Map(node.attributes);
  const nodes = stages.map((stage, i): Node => {
    const isLast = i === stages.length - 1;
    const made = isLast ? name : freshName(graph, `${name}.thin.${i + 1}`);
    const weight = freshName(graph, `${made}.weight`);
    graph.initializers.set(weight, constantOf(float32(...weightOf(layer, stage))));
    // The last is the node itself, for whoever holds it.
    const part = isLast ? node : { ...node, name: made, outputs: [made] };
    part.inputs = [from, weight, ...(isLast ? bias : [])];
    part.attributes = attributesOf(layer, whole, stage);
    from = made;
    return part;
  });
  graph.nodes.splice(graph.nodes.indexOf(node), 1, ...nodes);
}

function weightOf({ kind }: Layer, { shape, data }: Stage): [readonly number[], Float32Array] {
  if (kind !== 'matmul') return [shape, data];
  const [outputs, inputs] = shape as [number, number];
  const turned = data.map((_, i) => data[(i % outputs) * inputs + Math.floor(i / outputs)] as number);
  return [[inputs, outputs], turned];
}

function attributesOf(
  { kind, node, shape }: Layer,
  whole: ReadonlyMap<string, Attribute>,
  stage: Stage,
): Map<string, Attribute> {
  const attributes = new Map(whole);
  if (kind === 'gemm') attributes.set('transB', int(1));
  if (kind !== 'conv') return attributes;
  attributes.set('kernel_shape', ints(stage.shape.slice(2)));
  for (const [key, neutral] of [
    ['strides', 1],
    ['dilations', 1],
    ['pads', 0],
  ] as const) {
    // Of pads there are two for each axis. `auto_pad` pads a kernel of 1 by nothing.
    const values = intsAttribute({ ...node, attributes: attributes }, key);
    const rank = shape.length - 2;
    if (values) attributes.set(key, ints(values.map((value, i) => (stage.axes.includes(i % rank) ? value : neutral))));
  }
  return attributes;
}
