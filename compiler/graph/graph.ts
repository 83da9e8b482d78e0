/**
 * The graph that compiler passes work on: plain data, free of protobuf. Values are names, as in ONNX; what a name
 * means (who makes it, who uses it) is derived by `indexGraph`, never stored, so that a rewrite cannot leave it stale.
 */
import { TandemError } from '../../shared/errors.ts';
import { elementCount, isDType, type Tensor, tensorBytes, tensorFromBytes } from '../../shared/tensor.ts';

/** ONNX element types, TensorProto.DataType in lower case. */
export const ELEMENT_TYPES = [
  'undefined',
  'float32',
  'uint8',
  'int8',
  'uint16',
  'int16',
  'int32',
  'int64',
  'string',
  'bool',
  'float16',
  'float64',
  'uint32',
  'uint64',
  'complex64',
  'complex128',
  'bfloat16',
  'float8e4m3fn',
  'float8e4m3fnuz',
  'float8e5m2',
  'float8e5m2fnuz',
  'uint4',
  'int4',
  'float4e2m1',
  'float8e8m0',
  'uint2',
  'int2',
] as const;
export type ElementType = (typeof ELEMENT_TYPES)[number];

/** Bits of one element as raw_data packs them. */
const ELEMENT_BITS: Partial<Record<ElementType, number>> = {
  ...{ float32: 32, float64: 64, float16: 16, bfloat16: 16, complex64: 64, complex128: 128 },
  ...{ int8: 8, uint8: 8, int16: 16, uint16: 16, int32: 32, uint32: 32, int64: 64, uint64: 64, bool: 8 },
  ...{ float8e4m3fn: 8, float8e4m3fnuz: 8, float8e5m2: 8, float8e5m2fnuz: 8, float8e8m0: 8 },
  ...{ int4: 4, uint4: 4, float4e2m1: 4, int2: 2, uint2: 2 },
};

/** Bytes of a tensor as raw_data packs it; 0 for types that have no size, strings among them. */
export function byteLengthOf(elementType: ElementType, shape: readonly number[]): number {
  return Math.ceil((elementCount(shape) * (ELEMENT_BITS[elementType] ?? 0)) / 8);
}

/** What a file says besides, encoded as its protobuf message: doc strings, metadata, fields not known here. Carried unharmed. */
export type Extra = Uint8Array;

/** A constant tensor: raw little-endian bytes as ONNX's raw_data has them (sub-byte types packed), or strings. */
export interface Constant {
  readonly elementType: ElementType;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
  /** Only for elementType `string`. */
  readonly strings?: readonly Uint8Array[];
  readonly extra?: Extra | undefined;
}

/** Its `extra` is not its meaning: a rewrite may drop it. */
export type Attribute = AttributeValue & { readonly extra?: Extra | undefined };

export type AttributeValue =
  | { readonly type: 'float'; readonly value: number }
  | { readonly type: 'int'; readonly value: bigint }
  | { readonly type: 'string'; readonly value: Uint8Array }
  | { readonly type: 'tensor'; readonly value: Constant }
  | { readonly type: 'graph'; readonly value: Graph }
  | { readonly type: 'floats'; readonly value: readonly number[] }
  | { readonly type: 'ints'; readonly value: readonly bigint[] }
  | { readonly type: 'strings'; readonly value: readonly Uint8Array[] }
  | { readonly type: 'tensors'; readonly value: readonly Constant[] }
  | { readonly type: 'graphs'; readonly value: readonly Graph[] }
  /** Carried as it came: an encoded AttributeProto. */
  | { readonly type: 'opaque'; readonly value: Uint8Array };

export interface Node {
  op: string;
  /** '' is the standard ONNX domain. */
  domain: string;
  name: string;
  /** '' stands for an optional input that is absent. */
  inputs: string[];
  outputs: string[];
  attributes: Map<string, Attribute>;
  readonly extra?: Extra | undefined;
}

/** A dimension: a number, a symbol, or null where nothing is known. */
export type Dim = number | string | null;

export interface ValueInfo {
  readonly name: string;
  readonly elementType: ElementType;
  /** null: rank unknown. */
  readonly shape: readonly Dim[] | null;
  /** An encoded TypeProto, for values that are not plain tensors: sequences, maps, optionals, denotations. */
  readonly opaque?: Uint8Array | undefined;
  readonly extra?: Extra | undefined;
}

export interface Graph {
  name: string;
  inputs: ValueInfo[];
  /** Inputs that have an initializer for a default: callers may give them, and need not. */
  overridable: ValueInfo[];
  outputs: ValueInfo[];
  /** In topological order. */
  nodes: Node[];
  initializers: Map<string, Constant>;
  /** Sparse initializers by name, each an encoded SparseTensorProto. */
  sparse: Map<string, Uint8Array>;
  /** Types of inner values, where the file or inference tells. */
  values: Map<string, ValueInfo>;
  /** Quantization annotations by the tensor that they are of, each an encoded TensorAnnotation. */
  annotations: Map<string, Uint8Array>;
  readonly extra?: Extra | undefined;
}

export interface Model {
  graph: Graph;
  irVersion: number;
  /** Operator set version by domain. */
  opsets: Map<string, number>;
  producer: string;
  metadata: Map<string, string>;
  /** Among others the functions that the model defines: nodes call them as they call operators. */
  readonly extra?: Extra | undefined;
}

/** Who makes and who uses each value. Valid until the graph is changed. */
export interface GraphIndex {
  readonly producer: ReadonlyMap<string, Node>;
  readonly consumers: ReadonlyMap<string, readonly Node[]>;
  readonly isOutput: ReadonlySet<string>;
}

export function indexGraph(graph: Graph): GraphIndex {
  const producer = new Map<string, Node>();
  const consumers = new Map<string, Node[]>();
  for (const node of graph.nodes) {
    for (const output of node.outputs) if (output) producer.set(output, node);
    for (const input of usedValues(node)) {
      const users = consumers.get(input);
      if (users) users.push(node);
      else consumers.set(input, [node]);
    }
  }
  return { producer, consumers, isOutput: new Set(graph.outputs.map((output) => output.name)) };
}

/** The values a node reads: its inputs and whatever its subgraphs (If, Loop, Scan bodies) capture, each once. */
export function usedValues(node: Node): string[] {
  const used = new Set(node.inputs.filter((input) => input !== ''));
  for (const body of subgraphs(node)) for (const name of capturedValues(body)) used.add(name);
  return [...used];
}

/** Names that a subgraph reads from the scopes around it. */
export function capturedValues(graph: Graph): Set<string> {
  const own = definedOutside(graph);
  for (const node of graph.nodes) for (const output of node.outputs) own.add(output);
  const captured = new Set<string>();
  for (const node of graph.nodes) for (const name of usedValues(node)) if (!own.has(name)) captured.add(name);
  for (const output of graph.outputs) if (!own.has(output.name)) captured.add(output.name);
  return captured;
}

/** Names that a graph has before any of its nodes has run. */
export function definedOutside(graph: Graph): Set<string> {
  return new Set([...graph.inputs.map(({ name }) => name), ...graph.initializers.keys(), ...graph.sparse.keys()]);
}

/** A graph with nothing in it but what is given. */
export function makeGraph(parts: Partial<Graph> & Pick<Graph, 'inputs' | 'outputs' | 'nodes'>): Graph {
  return {
    ...{ name: 'graph', overridable: [], initializers: new Map(), sparse: new Map() },
    ...{ values: new Map(), annotations: new Map() },
    ...parts,
  };
}

export function subgraphs(node: Node): Graph[] {
  const found: Graph[] = [];
  for (const attribute of node.attributes.values()) {
    if (attribute.type === 'graph') found.push(attribute.value);
    if (attribute.type === 'graphs') found.push(...attribute.value);
  }
  return found;
}

/**
 * A copy whose nodes, lists and maps can be changed without touching the original. Constant bytes and bodies (of If, Loop,
 * Scan) are shared: a pass that changes those puts new ones in their place, as `renameCaptures` does.
 */
export function cloneGraph(graph: Graph): Graph {
  return {
    ...graph,
    inputs: [...graph.inputs],
    outputs: [...graph.outputs],
    overridable: [...graph.overridable],
    nodes: graph.nodes.map(cloneNode),
    initializers: new Map(graph.initializers),
    sparse: new Map(graph.sparse),
    values: new Map(graph.values),
    annotations: new Map(graph.annotations),
  };
}

export function cloneNode(node: Node): Node {
  return { ...node, inputs: [...node.inputs], outputs: [...node.outputs], attributes: new Map(node.attributes) };
}

/** A node of the standard domain. */
export function makeNode(
  op: string,
  inputs: string[],
  outputs: string[],
  attributes: Readonly<Record<string, Attribute>> = {},
): Node {
  return { op, domain: '', name: outputs[0] ?? '', inputs, outputs, attributes: new Map(Object.entries(attributes)) };
}

export function isStandard(node: Node, op: string): boolean {
  return node.op === op && (node.domain === '' || node.domain === 'ai.onnx');
}

export function intAttribute(node: Node, name: string, fallback: number): number {
  const attribute = node.attributes.get(name);
  return attribute?.type === 'int' ? Number(attribute.value) : fallback;
}

export function floatAttribute(node: Node, name: string, fallback: number): number {
  const attribute = node.attributes.get(name);
  return attribute?.type === 'float' ? attribute.value : fallback;
}

/** An empty one is none, as for runtimes. */
export function stringAttribute(node: Node, name: string, fallback: string): string {
  const attribute = node.attributes.get(name);
  return (attribute?.type === 'string' && new TextDecoder().decode(attribute.value)) || fallback;
}

export function intsAttribute(node: Node, name: string): readonly number[] | undefined {
  const attribute = node.attributes.get(name);
  return attribute?.type === 'ints' ? attribute.value.map(Number) : undefined;
}

export const int = (value: number): Attribute => ({ type: 'int', value: BigInt(value) });
export const ints = (value: readonly number[]): Attribute => ({ type: 'ints', value: value.map(BigInt) });
export const float = (value: number): Attribute => ({ type: 'float', value });

/** Operators by how often they come, the most frequent first. */
export function operatorsOf({ nodes }: Graph): Record<string, number> {
  const counts = new Map<string, number>();
  for (const { op, domain } of nodes) {
    const name = domain === '' ? op : `${domain}.${op}`;
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return Object.fromEntries([...counts].sort((a, b) => b[1] - a[1]));
}

/** The constant as a tensor. Throws UNSUPPORTED for element types that have no typed array. */
export function constantTensor(constant: Constant): Tensor {
  if (!isDType(constant.elementType)) {
    throw new TandemError('UNSUPPORTED', `no typed array holds elements of type ${constant.elementType}`);
  }
  return tensorFromBytes(constant.elementType, constant.shape, constant.bytes);
}

export function constantOf(value: Tensor): Constant {
  return { elementType: value.dtype, shape: value.shape, bytes: tensorBytes(value) };
}

/** Elements and values of a float32 initializer, or undefined where `name` is something else. */
export function floatConstant(
  graph: Graph,
  name: string,
): { shape: readonly number[]; data: Float32Array } | undefined {
  const constant = graph.initializers.get(name);
  if (constant?.elementType !== 'float32') return undefined;
  return { shape: constant.shape, data: constantTensor(constant).data as Float32Array };
}

/** The one value of a single-element float32 initializer, or undefined. */
export function scalarConstant(graph: Graph, name: string): number | undefined {
  const constant = floatConstant(graph, name);
  return constant && elementCount(constant.shape) === 1 ? constant.data[0] : undefined;
}

/** Gives names that the graph does not have, nor anyone has been given: each begins with the stem asked for. */
export type FreshNames = (stem: string) => string;

/** For a pass that makes many values: it looks through the graph once. Of names that others add later it knows nothing. */
export function freshNames(graph: Graph): FreshNames {
  const taken = definedOutside(graph);
  for (const { outputs } of graph.nodes) for (const output of outputs) taken.add(output);
  // Where the search for a stem's next number begins: all before it are taken.
  const next = new Map<string, number>();
  return (stem) => {
    let i = next.get(stem) ?? 0;
    while (taken.has(numbered(stem, i))) i++;
    next.set(stem, i + 1);
    taken.add(numbered(stem, i));
    return numbered(stem, i);
  };
}

function numbered(stem: string, i: number): string {
  return i === 0 ? stem : `${stem}.${i}`;
}

/** A value name that the graph does not have yet, beginning with `stem`. It looks through the graph: for many, `freshNames`. */
export function freshName(graph: Graph, stem: string): string {
  return freshNames(graph)(stem);
}
