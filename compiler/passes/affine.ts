/** What fold-affine folds: a node that multiplies or adds constants, scalar or per channel of an NCHW value. */
import { floatConstant, type Graph, type Node } from '../graph/graph.ts';

/** y = x * factor + offset with one entry a channel, or one for all. */
export interface Affine {
  readonly factor: Float64Array;
  readonly offset: Float64Array;
}

/** An affine map, and the value that it maps. */
export interface Match {
  readonly x: string;
  readonly affine: Affine;
}

/** Matches Mul, Add, Sub and Div of a value and a constant that is a scalar or one number a channel of an NCHW value. */
export function matchAffine(graph: Graph, node: Node): Match | undefined {
  if (node.domain !== '' || !['Mul', 'Add', 'Sub', 'Div'].includes(node.op)) return undefined;
  const name = constantName(graph, node);
  if (node.inputs.every((input) => graph.initializers.has(input))) return undefined;
  // x - c and x / c, but not c - x and c / x.
  if (name === undefined || ((node.op === 'Sub' || node.op === 'Div') && node.inputs[1] !== name)) return undefined;
  const constant = floatConstant(graph, name);
  if (!constant || !isPerChannel(constant.shape)) return undefined;
  const values = Float64Array.from(constant.data);
  const zeros = new Float64Array(values.length);
  const ones = new Float64Array(values.length).fill(1);
  const affine = {
    Mul: { factor: values, offset: zeros },
    Div: { factor: values.map((value) => 1 / value), offset: zeros },
    Add: { factor: ones, offset: values },
    Sub: { factor: ones, offset: values.map((value) => -value) },
  }[node.op as 'Mul' | 'Add' | 'Sub' | 'Div'];
  return { x: dataInput(graph, node), affine };
}

/** The first constant that a node reads. */
export function constantName(graph: Graph, node: Node): string | undefined {
  return node.inputs.find((input) => graph.initializers.has(input));
}

/** The first value that a node reads and that is no constant; '' where there is none. */
export function dataInput(graph: Graph, node: Node): string {
  return node.inputs.find((input) => !graph.initializers.has(input)) ?? '';
}

/** One constant of rank 3 or less: what comes out of it for a Conv over pictures went in with the same shape. */
export function isScalar(graph: Graph, node: Node): boolean {
  const shape = graph.initializers.get(constantName(graph, node) ?? '')?.shape ?? [];
  return shape.length <= 3 && shape.every((dim) => dim === 1);
}

/** [], [1], [1,1,1,1] or [C,1,1], [1,C,1,1]. */
function isPerChannel(shape: readonly number[]): boolean {
  if (shape.every((dim) => dim === 1)) return shape.length <= 4;
  const channelAxis = shape.length - 3;
  return (shape.length === 3 || shape.length === 4) && shape.every((dim, axis) => axis === channelAxis || dim === 1);
}

/** Whether a map can be folded into so many channels. */
export function fits(affine: Affine, channels: number): boolean {
  return affine.factor.length === 1 || affine.factor.length === channels;
}

/** The entry of a channel, where there may be one for all. */
export function at(values: Float64Array, channel: number): number {
  return (values.length === 1 ? values[0] : values[channel]) as number;
}
