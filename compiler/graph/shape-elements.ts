/**
 * What vectors of integers are known to hold, where they are made of shapes and constants: Shape, Gather, Slice, Concat and
 * what goes between them, followed element by element.
 */
import { type Graph, indexGraph, intAttribute, intsAttribute, isStandard, type Node } from './graph.ts';
import { axesOf, type Dims, dimName, intsConstant, type KnownDim } from './known-dims.ts';

/** A vector or a scalar. */
export interface ShapeValue {
  readonly type: IntType;
  readonly isScalar: boolean;
  readonly elements: readonly KnownDim[];
}

export type IntType = 'int64' | 'int32';

/** By TensorProto.DataType. A dimension fits in either: no tensor that a runtime here takes has one of 2^31 or more. */
const INT_TYPES: Readonly<Record<number, IntType>> = { 6: 'int32', 7: 'int64' };

/** Longer vectors are no shapes. */
const ELEMENTS_MAX = 16;

export type ShapeValues = ReadonlyMap<string, ShapeValue>;

/** By value; absent where it is not known of every element which number or dimension it is. */
export function shapeValues(graph: Graph, dims: Dims): ShapeValues {
  const values = new Map<string, ShapeValue>();
  for (const [name, { elementType, shape }] of graph.initializers) {
    const elements = intsConstant(graph, name);
    // The largest int64, which slices end at, is none that a number holds.
    if (!elements?.every(Number.isSafeInteger) || elements.length > ELEMENTS_MAX) continue;
    values.set(name, { type: elementType as IntType, isScalar: shape.length === 0, elements });
  }
  const { producer } = indexGraph(graph);
  for (const node of graph.nodes) {
    const known = (name: string) => values.get(name) ?? frontOf(producer, name);
    const value = made(graph, dims, known, node);
    if (value && value.elements.length <= ELEMENTS_MAX) values.set(node.outputs[0] ?? '', value);
  }
  return values;
}

/** The type that a Cast gives, if it is one of shapes. */
export function intTypeOf(cast: Node): IntType | undefined {
  return INT_TYPES[intAttribute(cast, 'to', 0)];
}

/** The shape of a value of unknown rank can be counted from its front alone. */
interface ShapeFront {
  readonly front: string;
}

function frontOf(producer: ReadonlyMap<string, Node>, name: string): ShapeFront | undefined {
  const node = producer.get(name);
  const [front] = node?.inputs ?? [];
  return node && front && isStandard(node, 'Shape') && node.attributes.size === 0 ? { front } : undefined;
}

type Known = (name: string) => ShapeValue | ShapeFront | undefined;

function made(graph: Graph, dims: Dims, known: Known, node: Node): ShapeValue | undefined {
  const [x = '', second = ''] = node.inputs;
  const is = (op: string) => isStandard(node, op);
  if (is('Shape')) {
    const whole = dims.get(x);
    const [start, end] = [intAttribute(node, 'start', 0), intAttribute(node, 'end', whole?.length ?? 0)];
    return whole && { type: 'int64', isScalar: false, elements: whole.slice(start, end) };
  }
  const value = known(x);
  if (is('Gather')) return gathered(value, known(second));
  if (!value || 'front' in value) return undefined;
  const { type, isScalar, elements } = value;
  if (is('Identity')) return value;
  if (is('Cast')) return intTypeOf(node) && { ...value, type: intTypeOf(node) as IntType };
  if (is('Concat')) return concatenated(type, node.inputs.map(known));
  if (is('Slice')) return sliced(graph, value, node);
  const axes = is('Squeeze') || is('Unsqueeze') ? axesOf(graph, node) : undefined;
  const isFirst = axes?.length === 1 && (axes[0] === 0 || axes[0] === -1);
  if (is('Unsqueeze') && isFirst && isScalar) return { ...value, isScalar: false };
  if (is('Squeeze') && isFirst && !isScalar && elements.length === 1) return { ...value, isScalar: true };
  return undefined;
}

function gathered(value: ReturnType<Known>, indices: ReturnType<Known>): ShapeValue | undefined {
  if (!value || !indices || 'front' in indices || ('isScalar' in value && value.isScalar)) return undefined;
  const picked = indices.elements.map((i) => {
    if (typeof i === 'string') return undefined;
    if ('elements' in value) return value.elements.at(i);
    return i >= 0 ? dimName(value.front, i) : undefined;
  });
  if (picked.includes(undefined)) return undefined;
  const type = 'type' in value ? value.type : 'int64';
  return { type, isScalar: indices.isScalar, elements: picked as KnownDim[] };
}

function concatenated(type: IntType, parts: readonly ReturnType<Known>[]): ShapeValue | undefined {
  const elements: KnownDim[] = [];
  for (const part of parts) {
    if (!part || 'front' in part || part.isScalar) return undefined;
    elements.push(...part.elements);
  }
  return { type, isScalar: false, elements };
}

/** Bounds are attributes up to opset 9 and inputs from 10. A vector has one axis, so what axes say is plain. */
function sliced(graph: Graph, value: ShapeValue, node: Node): ShapeValue | undefined {
  const [, starts = '', ends = '', , steps = ''] = node.inputs;
  const start = intsAttribute(node, 'starts') ?? intsConstant(graph, starts);
  const end = intsAttribute(node, 'ends') ?? intsConstant(graph, ends);
  const step = steps === '' ? [1] : intsConstant(graph, steps);
  if (start?.length !== 1 || end?.length !== 1 || step?.length !== 1 || step[0] !== 1) return undefined;
  return { ...value, elements: value.elements.slice(start[0], end[0]) };
}
