/**
 * Layer normalisation written out, (x - mean) / sqrt(variance + epsilon) * scale + bias over the last axis, becomes the
 * operator LayerNormalization, which came with opset 17: one node instead of nine, and the same time, as onnxruntime fuses
 * that spelling when it loads a model. Other spellings, which it does not fuse, stay: squares by Mul, reciprocals, no bias.
 * One operator of them takes 0.6 to 0.9 of the time in onnxruntime-node, but 1.1 to 1.8 in onnxruntime-web 1.30.
 * Source: Ba, Kiros and Hinton, "Layer Normalization" (arXiv 1607.06450), 3.
 */
import {
  float,
  floatConstant,
  type Graph,
  type GraphIndex,
  indexGraph,
  int,
  intAttribute,
  isStandard,
  makeNode,
  type Node,
} from '../graph/graph.ts';
import { axesOf, type Dims, knownDims } from '../graph/known-dims.ts';
import { bothWays, type Match, plainConstant, replaceMatches } from './match.ts';

/** The version of the standard operator set that LayerNormalization came with. */
const LAYER_NORM_OPSET = 17;

export function recogniseLayerNorm(graph: Graph, opset: number): boolean {
  if (opset < LAYER_NORM_OPSET || !graph.nodes.some((node) => isStandard(node, 'ReduceMean'))) return false;
  const index = indexGraph(graph);
  const dims = knownDims(graph);
  return replaceMatches(graph, index, (node) => matchLayerNorm(graph, index, dims, node));
}

/** Matches from the Add of the bias. */
function matchLayerNorm(graph: Graph, index: GraphIndex, dims: Dims, last: Node): Match | undefined {
  const added = isStandard(last, 'Add') ? withVector(graph, last) : undefined;
  const mul = index.producer.get(added?.value ?? '');
  const scaled = mul && isStandard(mul, 'Mul') ? withVector(graph, mul) : undefined;
  const normal = scaled && matchNormal(graph, index, dims, scaled.value);
  if (!mul || !added || !scaled || !normal || added.length !== scaled.length) return undefined;
  const attributes = { axis: int(-1), epsilon: float(normal.epsilon) };
  return {
    nodes: new Set([...normal.nodes, mul, last]),
    replace: () => [
      makeNode('LayerNormalization', [normal.x, scaled.vector, added.vector], [...last.outputs], attributes),
    ],
  };
}

/** A constant of one axis, beside a value. One of a single element could stand for more. */
function withVector(graph: Graph, { inputs }: Node) {
  for (const [value, vector] of bothWays([inputs[0] ?? '', inputs[1] ?? ''])) {
    const shape = floatConstant(graph, vector)?.shape;
    const [length = 0] = shape ?? [];
    if (shape?.length === 1 && length > 1 && !graph.initializers.has(value)) return { value, vector, length };
  }
  return undefined;
}

/** d / sqrt(mean(d^2) + epsilon) with d = x - mean(x). */
function matchNormal(graph: Graph, index: GraphIndex, dims: Dims, name: string) {
  const maker = (value: string | undefined, op: string) => {
    const node = index.producer.get(value ?? '');
    return node && isStandard(node, op) ? node : undefined;
  };
  const quotient = maker(name, 'Div');
  const sqrt = maker(quotient?.inputs[1], 'Sqrt');
  const sum = maker(sqrt?.inputs[0], 'Add');
  const epsilonName = sum?.inputs.find((input) => plainConstant(graph, input) !== undefined);
  const epsilon = plainConstant(graph, epsilonName ?? '');
  const variance = maker(
    sum?.inputs.find((input) => input !== epsilonName),
    'ReduceMean',
  );
  const square = maker(variance?.inputs[0], 'Pow');
  const difference = maker(quotient?.inputs[0], 'Sub');
  const mean = maker(difference?.inputs[1], 'ReduceMean');
  if (!quotient || !sqrt || !sum || !variance || !square || !difference || !mean || epsilon === undefined) return;
  const [x = ''] = difference.inputs;
  const [d, power = ''] = square.inputs;
  if (mean.inputs[0] !== x || d !== difference.outputs[0] || plainConstant(graph, power) !== 2) return;
  const rank = dims.get(x)?.length;
  if (!isOverLastAxis(graph, mean, rank) || !isOverLastAxis(graph, variance, rank)) return;
  return { x, epsilon, nodes: [mean, difference, square, variance, sum, sqrt, quotient] };
}

/** Whether a reduction takes the last axis alone and keeps it. From opset 18 axes are an input. */
function isOverLastAxis(graph: Graph, reduction: Node, rank: number | undefined): boolean {
  const axes = axesOf(graph, reduction);
  const isLast = axes?.length === 1 && (axes[0] === -1 || (rank !== undefined && axes[0] === rank - 1));
  return isLast && intAttribute(reduction, 'keepdims', 1) === 1;
}
