/**
 * Multiplications and additions by constants, scalar or per channel, are folded into the weights and bias of the Conv
 * beside them. Behind a Conv that is always exact. Before one, a factor always is, but an offset only where the Conv
 * does not pad: zeros that come in after the offset would have to become -offset. There the pair is turned round,
 * x * a + b = (x + b / a) * a, and the factor alone folds.
 */
import {
  type Constant,
  constantOf,
  type FreshNames,
  floatConstant,
  freshNames,
  type Graph,
  indexGraph,
  intAttribute,
  intsAttribute,
  isStandard,
  type Node,
  stringAttribute,
  type ValueInfo,
} from '../graph/graph.ts';
import { type Affine, at, constantName, dataInput, fits, isScalar, type Match, matchAffine } from './affine.ts';

/** A weight's name grows with every fold: what is longer than this is cut. */
const STEM_LENGTH_MAX = 256;

/** The graph while it is folded. Folding changes who makes and reads a value, but never by how many it is read. */
interface Work {
  readonly graph: Graph;
  readonly fresh: FreshNames;
  /** In topological order; a node that is folded away leaves its place empty. */
  readonly nodes: (Node | undefined)[];
  readonly placeOf: Map<Node, number>;
  readonly producer: Map<string, Node>;
  /** Of values that only one node reads, and that are no output: that node. */
  readonly reader: Map<string, Node>;
  readonly inputs: ReadonlyMap<string, ValueInfo>;
  /** Constants made here: each has one reader, and goes when that is folded again. */
  readonly made: Set<string>;
}

/**
 * Folds the first pair in order, then the first of what is left, until there is none. A fold changes nothing for nodes
 * before it but for one or two, so the search goes on where it was after a look at those: the cost is linear in nodes.
 */
export function foldAffine(graph: Graph): boolean {
  const work = workOn(graph);
  // Places before the next one where something may fold now that did not; the first of them last.
  const again: number[] = [];
  let changed = false;
  for (let next = 0; next < work.nodes.length || again.length > 0; ) {
    const node = work.nodes[again.pop() ?? next++];
    const touched = node && fold(work, node);
    if (!touched) continue;
    changed = true;
    for (const other of touched) {
      const place = work.placeOf.get(other) as number;
      if (place < next && !again.includes(place)) again.push(place);
    }
    again.sort((a, b) => b - a);
  }
  if (changed) graph.nodes = work.nodes.filter((node) => node !== undefined);
  return changed;
}

function workOn(graph: Graph): Work {
  const { producer, consumers, isOutput } = indexGraph(graph);
  const reader = new Map<string, Node>();
  for (const [name, [only, ...others]] of consumers) {
    if (only && others.length === 0 && !isOutput.has(name)) reader.set(name, only);
  }
  return {
    ...{ graph, fresh: freshNames(graph), nodes: [...graph.nodes] },
    ...{ placeOf: new Map(graph.nodes.map((node, i) => [node, i])), producer: new Map(producer), reader },
    ...{ inputs: new Map(graph.inputs.map((input) => [input.name, input])), made: new Set() },
  };
}

/** Folds a node into a Conv beside it, or turns it round. Gives nodes before it that may fold now; undefined: it stays. */
function fold(work: Work, node: Node): Node[] | undefined {
  const { graph, producer, reader } = work;
  const match = matchAffine(graph, node);
  const output = node.outputs[0];
  if (!match || output === undefined) return undefined;
  const before = producer.get(match.x);
  if (before && isFoldableConv(graph, before) && reader.has(match.x)) {
    if (foldBehind(work, before, node, match.affine)) return [];
  }
  const after = reader.get(output);
  if (!after || after.inputs[0] !== output) return undefined;
  const keepsShape = isScalar(graph, node) || hasChannels(work, match.x, before, match.affine.factor.length);
  if (keepsShape && isFoldableConv(graph, after) && foldBefore(work, node, after, match)) {
    // The Conv reads what the node read: whoever makes that may fold, or be turned round by who stands before it.
    const second = before && producer.get(dataInput(graph, before));
    return [before, second].filter((other) => other !== undefined);
  }
  return isStandard(after, 'Add') && swapFactor(work, node, after, match) ? [node, after] : undefined;
}

function put({ nodes, placeOf }: Work, node: Node, place: number): void {
  nodes[place] = node;
  placeOf.set(node, place);
}

/** Conv -> affine: W *= factor, b = b * factor + offset. */
function foldBehind(work: Work, conv: Node, affineNode: Node, affine: Affine): boolean {
  const { graph, nodes, placeOf, producer } = work;
  const weight = floatConstant(graph, conv.inputs[1] ?? '');
  const output = affineNode.outputs[0];
  if (!weight || output === undefined) return false;
  const channels = weight.shape[0] ?? 0;
  if (!fits(affine, channels)) return false;
  const perChannel = weight.data.length / channels;
  const data = weight.data.map((w, i) => w * at(affine.factor, Math.floor(i / perChannel)));
  const oldBias = biasOf(graph, conv, channels);
  const bias = oldBias.map((b, c) => b * at(affine.factor, c) + at(affine.offset, c));
  setWeights(work, conv, { shape: weight.shape, data }, bias);
  conv.outputs = [output];
  producer.set(output, conv);
  // The Conv moves to the affine's place: whatever the affine read besides it is a constant.
  nodes[placeOf.get(conv) as number] = undefined;
  put(work, conv, placeOf.get(affineNode) as number);
  return true;
}

/** affine -> Conv: W *= factor over input channels, and the offset, where nothing is padded, goes into the bias. */
function foldBefore(work: Work, affineNode: Node, conv: Node, { x, affine }: Match): boolean {
  const { graph, nodes, placeOf, reader } = work;
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
  setWeights(work, conv, { shape: weight.shape, data }, bias);
  conv.inputs[0] = x;
  if (reader.has(x)) reader.set(x, conv);
  nodes[placeOf.get(affineNode) as number] = undefined;
  return true;
}

/** Mul by a -> Add b -> padded Conv becomes Add b/a -> Mul by a -> Conv; then the Mul folds. */
function swapFactor(work: Work, mul: Node, add: Node, { x, affine: { factor, offset } }: Match): boolean {
  const { graph, fresh, placeOf, producer, reader } = work;
  const sum = matchAffine(graph, add);
  const [middle = ''] = mul.outputs;
  const [output = ''] = add.outputs;
  const conv = reader.get(output);
  const isPureMul = isStandard(mul, 'Mul') && offset.every((value) => value === 0);
  if (!sum || !isPureMul || !conv || !isFoldableConv(graph, conv) || conv.inputs[0] !== output) return false;
  if (isUnpadded(conv) || factor.some((value) => Math.abs(value) < 1e-6)) return false;
  const shape = (graph.initializers.get(constantName(graph, add) ?? '') as Constant).shape;
  if (factor.length !== 1) return false;
  const shifted = fresh(`${output}.shift`);
  const data = Float32Array.from(sum.affine.offset, (value, c) => value / at(factor, c));
  graph.initializers.set(shifted, constantOf({ dtype: 'float32', shape, data }));
  const [first, second] = [placeOf.get(mul) as number, placeOf.get(add) as number];
  [mul.inputs, mul.outputs] = [[middle, constantName(graph, mul) ?? ''], [output]];
  [add.inputs, add.outputs] = [[x, shifted], [middle]];
  put(work, add, first);
  put(work, mul, second);
  producer.set(middle, add).set(output, mul);
  reader.set(middle, mul);
  if (reader.has(x)) reader.set(x, add);
  return true;
}

/** Whether a value is known to have rank 4 and so many channels: nothing is broadcast when it meets as many constants. */
function hasChannels({ graph, inputs }: Work, name: string, maker: Node | undefined, constants: number): boolean {
  const known = (graph.values.get(name) ?? inputs.get(name))?.shape;
  const made =
    maker && isFoldableConv(graph, maker) ? graph.initializers.get(maker.inputs[1] ?? '')?.shape[0] : undefined;
  const channels = made ?? (known?.length === 4 ? known[1] : undefined);
  return channels !== undefined && (constants === 1 || channels === constants);
}

/** A 2D Conv whose weights, and bias if any, are float32 constants. */
function isFoldableConv(graph: Graph, node: Node): boolean {
  if (!isStandard(node, 'Conv')) return false;
  const [, weight = '', bias = ''] = node.inputs;
  const isFloat = (name: string) => graph.initializers.get(name)?.elementType === 'float32';
  return isFloat(weight) && graph.initializers.get(weight)?.shape.length === 4 && (bias === '' || isFloat(bias));
}

function isUnpadded(conv: Node): boolean {
  const mode = stringAttribute(conv, 'auto_pad', 'NOTSET');
  if (mode !== 'NOTSET') return mode === 'VALID';
  return (intsAttribute(conv, 'pads') ?? []).every((pad) => pad === 0);
}

function biasOf(graph: Graph, conv: Node, channels: number): Float64Array {
  const bias = floatConstant(graph, conv.inputs[2] ?? '');
  return bias ? Float64Array.from(bias.data) : new Float64Array(channels);
}

/** New weights under fresh names: the old initializers may have other readers. */
function setWeights(
  { graph, fresh, made }: Work,
  conv: Node,
  weight: { shape: readonly number[]; data: Float32Array },
  bias: Float64Array,
): void {
  const [x = '', ...old] = conv.inputs;
  const stem = (old[0] ?? '').slice(0, STEM_LENGTH_MAX);
  const add = (name: string, shape: readonly number[], data: Float32Array) => {
    graph.initializers.set(name, constantOf({ dtype: 'float32', shape, data }));
    made.add(name);
    return name;
  };
  const weightName = add(fresh(`${stem}.folded`), weight.shape, weight.data);
  const biasName = add(fresh(`${stem}.bias`), [bias.length], Float32Array.from(bias));
  conv.inputs = [x, weightName, biasName];
  for (const name of old) if (made.delete(name)) graph.initializers.delete(name);
}
