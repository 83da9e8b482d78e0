/**
 * Multiplications and additions by constants, scalar or per channel, are folded into the weights and bias of the Conv
 * beside them. Behind a Conv that is always exact. Before one, a factor always is, but an offset only where the Conv
 * does not pad: zeros that come in after the offset would have to become -offset. There the pair is turned round,
 * x * a + b = (x + b / a) * a, and the factor alone folds.
 */
import {
  type Constant,
  cloneNode,
  constantOf,
  floatConstant,
  freshName,
  type Graph,
  indexGraph,
  intAttribute,
  intsAttribute,
  isStandard,
  type Node,
} from '../graph/graph.ts';

/** y = x * factor + offset with one entry a channel, or one for all. */
interface Affine {
  readonly factor: Float64Array;
  readonly offset: Float64Array;
}

/** Folds one pair at a time until none is left. */
export function foldAffine(graph: Graph): boolean {
  let changed = false;
  while (foldOne(graph)) changed = true;
  return changed;
}

function foldOne(graph: Graph): boolean {
  const index = indexGraph(graph);
  const isPrivate = (name: string) => index.consumers.get(name)?.length === 1 && !index.isOutput.has(name);
  for (const node of graph.nodes) {
    const match = matchAffine(graph, node);
    const output = node.outputs[0] ?? '';
    if (!match) continue;
    const before = index.producer.get(match.x);
    if (before && isFoldableConv(graph, before) && isPrivate(match.x)) {
      if (foldBehind(graph, before, node, match.affine)) return true;
    }
    const after = isPrivate(output) ? index.consumers.get(output)?.[0] : undefined;
    if (!after || after.inputs[0] !== output) continue;
    const keepsShape = isScalar(graph, node) || hasChannels(graph, match.x, before, match.affine.factor.length);
    if (keepsShape && isFoldableConv(graph, after) && foldBefore(graph, node, after, match)) return true;
    const swapped = isStandard(after, 'Add') && swapFactor(graph, index, node, after, match.affine);
    if (swapped) return true;
  }
  return false;
}

/** Conv -> affine: W *= factor, b = b * factor + offset. */
function foldBehind(graph: Graph, conv: Node, affineNode: Node, affine: Affine): boolean {
  const weight = floatConstant(graph, conv.inputs[1] ?? '');
  const output = affineNode.outputs[0];
  if (!weight || output === undefined) return false;
  const channels = weight.shape[0] ?? 0;
  if (!fits(affine, channels)) return false;
  const perChannel = weight.data.length / channels;
  const data = weight.data.map((w, i) => w * at(affine.factor, Math.floor(i / perChannel)));
  const oldBias = biasOf(graph, conv, channels);
  const bias = oldBias.map((b, c) => b * at(affine.factor, c) + at(affine.offset, c));
  const folded = withWeights(graph, conv, { shape: weight.shape, data }, bias);
  folded.outputs = [output];
  // The Conv moves to the affine's place: whatever the affine read besides it is a constant.
  graph.nodes = graph.nodes.flatMap((node) => (node === conv ? [] : node === affineNode ? [folded] : [node]));
  return true;
}

/** affine -> Conv: W *= factor over input channels, and the offset, where nothing is padded, goes into the bias. */
function foldBefore(graph: Graph, affineNode: Node, conv: Node, match: { x: string; affine: Affine }): boolean {
  const { x, affine } = match;
  const weight = floatConstant(graph, conv.inputs[1] ?? '');
  if (!weight) return false;
  const [outputs = 0, inputsPerGroup = 0] = weight.shape;
  const groups = intAttribute(conv, 'group', 1);
  if (!fits(affine, inputsPerGroup * groups)) return false;
  if (affine.offset.some((value) => value !== 0) && !isUnpadded(conv)) return false;
  const kernel = weight.data.length / (outputs * inputsPerGroup);
  const bias = biasOf(graph, conv, outputs);
  const data = weight.data.map((w, i) => {
    const output = Math.floor(i / (inputsPerGroup * kernel));
    const group = Math.floor(output / (outputs / groups));
    const input = group * inputsPerGroup + (Math.floor(i / kernel) % inputsPerGroup);
    bias[output] = (bias[output] as number) + w * at(affine.offset, input);
    return w * at(affine.factor, input);
  });
  const folded = withWeights(graph, conv, { shape: weight.shape, data }, bias);
  folded.inputs[0] = x;
  graph.nodes = graph.nodes.flatMap((node) => (node === affineNode ? [] : node === conv ? [folded] : [node]));
  return true;
}

/** Mul by a -> Add b -> padded Conv becomes Add b/a -> Mul by a -> Conv; the next round folds the Mul. */
function swapFactor(
  graph: Graph,
  index: ReturnType<typeof indexGraph>,
  mul: Node,
  add: Node,
  { factor, offset }: Affine,
): boolean {
  const sum = matchAffine(graph, add);
  const output = add.outputs[0] ?? '';
  const users = index.consumers.get(output) ?? [];
  const conv = users.length === 1 && !index.isOutput.has(output) ? users[0] : undefined;
  const isPureMul = isStandard(mul, 'Mul') && offset.every((value) => value === 0);
  if (!sum || !isPureMul || !conv || !isFoldableConv(graph, conv) || conv.inputs[0] !== output) return false;
  if (isUnpadded(conv) || factor.some((value) => Math.abs(value) < 1e-6)) return false;
  const shape = (graph.initializers.get(constantName(graph, add) ?? '') as Constant).shape;
  if (factor.length !== 1 || sum.affine.offset.length < factor.length) return false;
  const shifted = freshName(graph, `${output}.shift`);
  const data = Float32Array.from(sum.affine.offset, (value, c) => value / at(factor, c));
  graph.initializers.set(shifted, constantOf({ dtype: 'float32', shape, data }));
  const [x, middle] = [dataInput(graph, mul), mul.outputs[0] ?? ''];
  const newAdd = { ...cloneNode(add), inputs: [x, shifted], outputs: [middle] };
  const newMul = { ...cloneNode(mul), inputs: [middle, constantName(graph, mul) ?? ''], outputs: [output] };
  graph.nodes = graph.nodes.map((node) => (node === mul ? newAdd : node === add ? newMul : node));
  return true;
}

/** Matches Mul, Add, Sub and Div of a value and a constant that is a scalar or one number a channel of an NCHW value. */
function matchAffine(graph: Graph, node: Node): { x: string; affine: Affine } | undefined {
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

function constantName(graph: Graph, node: Node): string | undefined {
  return node.inputs.find((input) => graph.initializers.has(input));
}

function dataInput(graph: Graph, node: Node): string {
  return node.inputs.find((input) => !graph.initializers.has(input)) ?? '';
}

/** One constant of rank 3 or less: what comes out of it for a Conv over pictures went in with the same shape. */
function isScalar(graph: Graph, node: Node): boolean {
  const shape = graph.initializers.get(constantName(graph, node) ?? '')?.shape ?? [];
  return shape.length <= 3 && shape.every((dim) => dim === 1);
}

/** Whether a value is known to have rank 4 and so many channels: nothing is broadcast when it meets as many constants. */
function hasChannels(graph: Graph, name: string, maker: Node | undefined, constants: number): boolean {
  const known = graph.values.get(name) ?? graph.inputs.find((input) => input.name === name);
  const made =
    maker && isFoldableConv(graph, maker) ? floatConstant(graph, maker.inputs[1] ?? '')?.shape[0] : undefined;
  const channels = made ?? (known?.shape?.length === 4 ? known.shape[1] : undefined);
  return channels !== undefined && (constants === 1 || channels === constants);
}

/** [], [1], [1,1,1,1] or [C,1,1], [1,C,1,1]. */
function isPerChannel(shape: readonly number[]): boolean {
  if (shape.every((dim) => dim === 1)) return shape.length <= 4;
  const channelAxis = shape.length - 3;
  return (shape.length === 3 || shape.length === 4) && shape.every((dim, axis) => axis === channelAxis || dim === 1);
}

/** A 2D Conv whose weights, and bias if any, are float32 constants. */
function isFoldableConv(graph: Graph, node: Node): boolean {
  if (!isStandard(node, 'Conv')) return false;
  const [, weight = '', bias = ''] = node.inputs;
  return floatConstant(graph, weight)?.shape.length === 4 && (bias === '' || floatConstant(graph, bias) !== undefined);
}

function isUnpadded(conv: Node): boolean {
  const autoPad = conv.attributes.get('auto_pad');
  if (autoPad?.type === 'string') {
    const mode = String.fromCharCode(...autoPad.value);
    if (mode === 'VALID') return true;
    if (mode !== 'NOTSET') return false;
  }
  return (intsAttribute(conv, 'pads') ?? []).every((pad) => pad === 0);
}

function fits(affine: Affine, channels: number): boolean {
  return affine.factor.length === 1 || affine.factor.length === channels;
}

function at(values: Float64Array, channel: number): number {
  return (values.length === 1 ? values[0] : values[channel]) as number;
}

function biasOf(graph: Graph, conv: Node, channels: number): Float64Array {
  const bias = floatConstant(graph, conv.inputs[2] ?? '');
  return bias ? Float64Array.from(bias.data) : new Float64Array(channels);
}

/** The Conv with new weights under fresh names: the old initializers may have other readers. */
function withWeights(
  graph: Graph,
  conv: Node,
  weight: { shape: readonly number[]; data: Float32Array },
  bias: Float64Array,
): Node {
  const stem = conv.inputs[1] ?? '';
  const weightName = freshName(graph, `${stem}.folded`);
  graph.initializers.set(weightName, constantOf({ dtype: 'float32', ...weight }));
  const biasName = freshName(graph, `${stem}.bias`);
  graph.initializers.set(
    biasName,
    constantOf({ dtype: 'float32', shape: [bias.length], data: Float32Array.from(bias) }),
  );
  return { ...cloneNode(conv), inputs: [conv.inputs[0] ?? '', weightName, biasName] };
}
