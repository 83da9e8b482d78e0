/**
 * Dimensions that can be proved: from constants, from numbers that the types of graph inputs state (a runtime refuses
 * anything else), and from what operators keep. Types of inner values are not believed, and symbols of the file neither:
 * two dimensions that share one may still differ. What is not listed here is not known.
 */
import { constantTensor, type Graph, intAttribute, intsAttribute, isStandard, type Node } from './graph.ts';

/** A number, or the name of a dimension: where two names are the same, so are the numbers. */
export type KnownDim = number | string;

/** Dimensions by value; absent where not even the rank is known. */
export type Dims = ReadonlyMap<string, readonly KnownDim[]>;

export function knownDims(graph: Graph): Dims {
  const dims = new Map<string, readonly KnownDim[]>();
  for (const [name, { shape }] of graph.initializers) dims.set(name, shape);
  for (const { name, shape, opaque } of graph.inputs) {
    if (shape === null || opaque) continue;
    dims.set(
      name,
      shape.map((dim, axis) => (typeof dim === 'number' && dim >= 0 ? dim : dimName(name, axis))),
    );
  }
  for (const node of graph.nodes) {
    const [output = ''] = node.outputs;
    const known = dimsOf(graph, node, dims);
    if (known) dims.set(output, known);
  }
  return dims;
}

/** The name of a dimension of which nothing else is known. */
export function dimName(value: string, axis: number): string {
  return `${value}:${axis}`;
}

/** Operators whose first output has the shape of their first input. */
const SAME_SHAPE = new Set([
  ...['Abs', 'Ceil', 'Clip', 'Dropout', 'Elu', 'Erf', 'Exp', 'Floor', 'Gelu', 'HardSigmoid', 'HardSwish', 'Identity'],
  ...['LeakyRelu', 'Log', 'LogSoftmax', 'Neg', 'Reciprocal', 'Relu', 'Round', 'Selu', 'Sigmoid', 'Sign', 'Softmax'],
  ...['Softplus', 'Sqrt', 'Swish', 'Tanh', 'Cast', 'BatchNormalization', 'InstanceNormalization', 'LayerNormalization'],
  ...['LRN', 'Cos', 'Sin', 'CumSum'],
]);
const BROADCASTING = new Set(['Add', 'Sub', 'Mul', 'Div', 'Pow', 'Max', 'Min', 'Sum', 'Mean', 'Where']);
const POOLING = new Set(['AveragePool', 'MaxPool', 'GlobalAveragePool', 'GlobalMaxPool']);

/** Of the first output; a dimension that is not known gets a name of its own. */
function dimsOf(graph: Graph, node: Node, dims: Dims): readonly KnownDim[] | undefined {
  const [output = ''] = node.outputs;
  const inputs = node.inputs.map((name) => dims.get(name));
  const [x, w] = inputs;
  const unknown = (axis: number) => dimName(output, axis);
  const is = (op: string) => isStandard(node, op);
  if (node.domain !== '' && node.domain !== 'ai.onnx') return undefined;
  if (SAME_SHAPE.has(node.op)) return x;
  if (BROADCASTING.has(node.op)) return broadcast(inputs, unknown);
  if (POOLING.has(node.op)) return x?.map((dim, axis) => (axis < 2 ? dim : unknown(axis)));
  if (is('Conv')) return w?.map((_, axis) => [x?.[0], w[0]][axis] ?? unknown(axis));
  if (is('MatMul')) return x && w && multiplied(x, w, unknown);
  if (is('Slice')) return sliced(graph, node, x, unknown);
  if (is('Transpose')) return transposed(x, intsAttribute(node, 'perm'));
  if (is('Reshape')) return reshaped(graph, node, x, unknown);
  if (is('Squeeze') || is('Unsqueeze')) return squeezed(graph, node, x);
  if (node.op.startsWith('Reduce')) return reduced(graph, node, x);
  return undefined;
}

function broadcast(
  inputs: readonly (readonly KnownDim[] | undefined)[],
  unknown: (axis: number) => string,
): readonly KnownDim[] | undefined {
  if (inputs.some((dims) => dims === undefined)) return undefined;
  const shapes = inputs as readonly (readonly KnownDim[])[];
  const rank = Math.max(...shapes.map(({ length }) => length));
  return Array.from({ length: rank }, (_, axis) => {
    const met = new Set(shapes.map((dims) => dims[axis - rank + dims.length] ?? 1));
    met.delete(1);
    // A number above 1 is what comes out, whatever the others are.
    const number = [...met].find((dim) => typeof dim === 'number' && dim > 1);
    if (number !== undefined || met.size === 0) return number ?? 1;
    return met.size === 1 ? ([...met][0] as KnownDim) : unknown(axis);
  });
}

/** Two matrices, with stacks of them broadcast; vectors are left out. */
function multiplied(
  a: readonly KnownDim[],
  b: readonly KnownDim[],
  unknown: (axis: number) => string,
): readonly KnownDim[] | undefined {
  if (a.length < 2 || b.length < 2) return undefined;
  const stacks = broadcast([a.slice(0, -2), b.slice(0, -2)], unknown) as readonly KnownDim[];
  return [...stacks, a.at(-2) as KnownDim, b.at(-1) as KnownDim];
}

/** What is not sliced stays. Axes are an attribute up to opset 9 and an input from 10; without them it is the first ones. */
function sliced(
  graph: Graph,
  node: Node,
  x: readonly KnownDim[] | undefined,
  unknown: (axis: number) => string,
): readonly KnownDim[] | undefined {
  const starts = intsAttribute(node, 'starts') ?? intsConstant(graph, node.inputs[1] ?? '');
  const given = node.inputs[3]
    ? intsConstant(graph, node.inputs[3])
    : (intsAttribute(node, 'axes') ?? starts?.map((_, i) => i));
  if (!x || !given) return undefined;
  const axes = new Set(given.map((axis) => (axis < 0 ? axis + x.length : axis)));
  return x.map((dim, axis) => (axes.has(axis) ? unknown(axis) : dim));
}

function transposed(x: readonly KnownDim[] | undefined, perm: readonly number[] | undefined) {
  return perm ? x && perm.map((axis) => x[axis] as KnownDim) : x && [...x].reverse();
}

function reshaped(
  graph: Graph,
  node: Node,
  x: readonly KnownDim[] | undefined,
  unknown: (axis: number) => string,
): readonly KnownDim[] | undefined {
  const isCopied = intAttribute(node, 'allowzero', 0) === 0;
  return intsConstant(graph, node.inputs[1] ?? '')?.map((dim, axis) => {
    if (dim > 0 || (dim === 0 && !isCopied)) return dim;
    return (dim === 0 ? x?.[axis] : undefined) ?? unknown(axis);
  });
}

function squeezed(graph: Graph, node: Node, x: readonly KnownDim[] | undefined): readonly KnownDim[] | undefined {
  const given = axesOf(graph, node);
  if (!x || !given) return undefined;
  const isSqueeze = node.op === 'Squeeze';
  const rank = isSqueeze ? x.length : x.length + given.length;
  const axes = new Set(given.map((axis) => (axis < 0 ? axis + rank : axis)));
  if (isSqueeze) return x.filter((_, axis) => !axes.has(axis));
  const rest = [...x];
  return Array.from({ length: rank }, (_, axis) => (axes.has(axis) ? 1 : (rest.shift() as KnownDim)));
}

function reduced(graph: Graph, node: Node, x: readonly KnownDim[] | undefined): readonly KnownDim[] | undefined {
  const given = axesOf(graph, node);
  if (!x || !given || given.length === 0 || intAttribute(node, 'keepdims', 1) !== 1) return undefined;
  const axes = new Set(given.map((axis) => (axis < 0 ? axis + x.length : axis)));
  return x.map((dim, axis) => (axes.has(axis) ? 1 : dim));
}

/** Axes of Squeeze, Unsqueeze or a reduction: an attribute in older opsets, a constant input in newer ones. */
export function axesOf(graph: Graph, node: Node): readonly number[] | undefined {
  return intsAttribute(node, 'axes') ?? intsConstant(graph, node.inputs[1] ?? '');
}

/** The elements of an int64 or int32 initializer of rank 1 or 0, or undefined. */
export function intsConstant(graph: Graph, name: string): readonly number[] | undefined {
  const constant = graph.initializers.get(name);
  if (!constant || constant.shape.length > 1) return undefined;
  if (constant.elementType !== 'int64' && constant.elementType !== 'int32') return undefined;
  return Array.from(constantTensor(constant).data, Number);
}
