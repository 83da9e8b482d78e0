/**
 * Chains of shapes: Shape -> Gather or Slice -> Concat -> Reshape is computed here as far as dimensions can be proved, and
 * what is left of it is said by the 0 and -1 of Reshape. Pairs that undo each other go: Transpose and Transpose,
 * Squeeze and Unsqueeze, Cast and Cast; a Reshape of a Reshape needs the last alone. What has become the same as its input is
 * left as an Identity, for `removeIdentity`.
 */
import {
  type Constant,
  constantOf,
  freshName,
  type Graph,
  type GraphIndex,
  indexGraph,
  intAttribute,
  ints,
  intsAttribute,
  isStandard,
  makeNode,
  type Node,
} from '../graph/graph.ts';
import { axesOf, type Dims, dimName, intsConstant, type KnownDim, knownDims } from '../graph/known-dims.ts';
import { type IntType, intTypeOf, type ShapeValues, shapeValues } from '../graph/shape-elements.ts';

/** Goes through the graph until there is nothing more: a shape that has become known tells of those behind it. */
export function simplifyShapes(graph: Graph): boolean {
  let changed = false;
  while (simplifyOnce(graph)) changed = true;
  return changed;
}

function simplifyOnce(graph: Graph): boolean {
  if (!graph.nodes.some((node) => CANDIDATES.has(node.op))) return false;
  const dims = knownDims(graph);
  const shapes = { dims, values: shapeValues(graph, dims) };
  const index = indexGraph(graph);
  const producer = new Map(index.producer);
  let changed = false;
  graph.nodes = graph.nodes.flatMap((node) => {
    const before = producer.get(node.inputs[0] ?? '');
    const next = constantInstead(graph, index, shapes.values, node) ?? merged(graph, shapes, node, before);
    if (!next) return [node];
    changed = true;
    // What follows looks at what this became, not at what it was.
    for (const made of next) for (const output of made.outputs) producer.set(output, made);
    return next;
  });
  return changed;
}

const CANDIDATES = new Set(['Shape', 'Reshape', 'Transpose', 'Squeeze', 'Unsqueeze', 'Cast']);

interface Shapes {
  readonly dims: Dims;
  readonly values: ShapeValues;
}

/** A node whose value is known becomes an initializer, unless it is an output of the graph. */
function constantInstead(graph: Graph, index: GraphIndex, values: ShapeValues, node: Node): Node[] | undefined {
  const [output = ''] = node.outputs;
  const value = values.get(output);
  if (!value || index.isOutput.has(output) || value.elements.some((dim) => typeof dim !== 'number')) return undefined;
  const { type, isScalar, elements } = value;
  graph.initializers.set(output, intConstant(type, isScalar ? [] : [elements.length], elements as number[]));
  return [];
}

function intConstant(type: IntType, shape: readonly number[], elements: readonly number[]): Constant {
  if (type === 'int32') return constantOf({ dtype: type, shape, data: Int32Array.from(elements) });
  return constantOf({ dtype: type, shape, data: BigInt64Array.from(elements, BigInt) });
}

/** What stands in a node's place, or undefined where nothing better is known. */
function merged(graph: Graph, shapes: Shapes, node: Node, before: Node | undefined): Node[] | undefined {
  const [x = ''] = node.inputs;
  if (isStandard(node, 'Reshape')) {
    return reshapeOfReshape(graph, node, before) ?? reshapeByConstant(graph, shapes, node);
  }
  if (isStandard(node, 'Cast')) {
    const isAgain =
      before && isStandard(before, 'Cast') && intAttribute(before, 'to', 0) === intAttribute(node, 'to', 0);
    const type = shapes.values.get(x)?.type;
    return isAgain || (type !== undefined && type === intTypeOf(node)) ? [same(node, x)] : undefined;
  }
  if (!before) return undefined;
  if (isStandard(node, 'Transpose')) return transposeOfTranspose(node, before);
  const isPair =
    (isStandard(node, 'Squeeze') && isStandard(before, 'Unsqueeze')) ||
    (isStandard(node, 'Unsqueeze') && isStandard(before, 'Squeeze'));
  const axes = isPair ? axesOf(graph, node) : undefined;
  const isUndone = axes !== undefined && axes.join() === axesOf(graph, before)?.join();
  return isUndone ? [same(node, before.inputs[0] ?? '')] : undefined;
}

function same(node: Node, x: string): Node {
  return makeNode('Identity', [x], [...node.outputs]);
}

function transposeOfTranspose(node: Node, before: Node): Node[] | undefined {
  if (!isStandard(before, 'Transpose')) return undefined;
  const [outer, inner] = [intsAttribute(node, 'perm'), intsAttribute(before, 'perm')];
  const [x = ''] = before.inputs;
  // Without one, axes are reversed: of two the second undoes the first.
  if (!outer && !inner) return [same(node, x)];
  if (!outer || !inner) return undefined;
  const perm = outer.map((axis) => inner[axis] as number);
  if (perm.every((axis, i) => axis === i)) return [same(node, x)];
  return [makeNode('Transpose', [x], [...node.outputs], { perm: ints(perm) })];
}

/** Elements stay in their order, so the last shape is all that counts, unless its 0 copies of the one before. */
function reshapeOfReshape(graph: Graph, node: Node, before: Node | undefined): Node[] | undefined {
  const shape = intsConstant(graph, node.inputs[1] ?? '');
  if (!before || !isStandard(before, 'Reshape') || !shape || shape.includes(0)) return undefined;
  return [{ ...node, inputs: [before.inputs[0] ?? '', node.inputs[1] ?? ''] }];
}

/**
 * The shape as a constant: numbers, 0 where a dimension is that of the input in the same place, or one -1 for what is left.
 * Not both, unless it was so before: beside a dimension of no elements -1 has no meaning. With numbers alone beside it, it
 * says the same even where it is 0, which a computed shape too takes for a copy.
 */
function reshapeByConstant(graph: Graph, { dims, values }: Shapes, node: Node): Node[] | undefined {
  const [x = '', name = ''] = node.inputs;
  const shape = values.get(name)?.elements;
  if (!shape || graph.initializers.has(name) || intAttribute(node, 'allowzero', 0) !== 0) return undefined;
  const isCopied = (dim: KnownDim, axis: number) => dim === 0 || dim === (dims.get(x)?.[axis] ?? dimName(x, axis));
  const open = shape.filter((dim, axis) => typeof dim === 'string' && !isCopied(dim, axis));
  const isOpenAlone = shape.every((dim) => open.includes(dim) || (typeof dim === 'number' && dim > 0));
  if (open.length > 1 || (open.length === 1 && !isOpenAlone)) return undefined;
  const written = shape.map((dim) => (typeof dim === 'number' ? dim : open.includes(dim) ? -1 : 0));
  const constant = freshName(graph, `${node.outputs[0]}.shape`);
  graph.initializers.set(constant, intConstant('int64', [written.length], written));
  return [{ ...node, inputs: [x, constant] }];
}
