/**
 * How data flows through a graph, as cutting sees it. Three kinds of nodes: constant ones compute from constants alone
 * and go along with every segment that reads them; derived ones compute from shapes and constants alone (Shape, Size and
 * what follows) and are computed again wherever they are read, from shapes that travel as a few integers; all others are
 * dynamic, run once, and what they make crosses boundaries.
 */
import { definedOutside, type Graph, isStandard, type Node, subgraphs, usedValues } from '../graph/graph.ts';

export type NodeKind = 'constant' | 'derived' | 'dynamic';

export interface Flow {
  readonly graph: Graph;
  /** Of every node that an output depends on. */
  readonly kind: ReadonlyMap<Node, NodeKind>;
  readonly producer: ReadonlyMap<string, Node>;
  readonly inputs: ReadonlySet<string>;
  readonly noTensors: ReadonlySet<string>;
  /** Values that a node reads, captures of its subgraphs included, without constants. */
  readonly reads: ReadonlyMap<Node, readonly string[]>;
  /** Nodes that read a value. */
  readonly readers: ReadonlyMap<string, readonly Node[]>;
}

/** Operators that give other values each time: computing them twice would give two answers. */
const RANDOM_OPS = new Set([
  ...['RandomNormal', 'RandomUniform', 'RandomNormalLike', 'RandomUniformLike', 'Multinomial', 'Bernoulli'],
]);

/** Domains whose operators are documented: ONNX's own, and those that come with onnxruntime. */
const KNOWN_DOMAINS = new Set(['', 'ai.onnx', 'ai.onnx.ml', 'com.microsoft', 'com.ms.internal.nhwc']);

export function flowOf(graph: Graph): Flow {
  const kind = new Map<Node, NodeKind>();
  const producer = new Map<string, Node>();
  const reads = new Map<Node, readonly string[]>();
  const readers = new Map<string, Node[]>();
  const inputs = new Set(graph.inputs.map(({ name }) => name));
  const constants = definedOutside(graph);
  for (const name of inputs) constants.delete(name);
  for (const node of liveNodes(graph)) {
    const used = usedValues(node).filter((name) => !constants.has(name));
    const itsKind = kindOf(node, used, (name) => kind.get(producer.get(name) as Node) === 'derived');
    kind.set(node, itsKind);
    reads.set(node, used);
    for (const name of used) {
      const list = readers.get(name);
      if (list) list.push(node);
      else readers.set(name, [node]);
    }
    for (const output of node.outputs) {
      if (output === '') continue;
      if (itsKind === 'constant') constants.add(output);
      producer.set(output, node);
    }
  }
  return { graph, kind, producer, inputs, noTensors: noTensorsOf(graph), reads, readers };
}

/** Nodes that an output depends on: what nobody reads must not decide where a graph can be cut. */
function liveNodes(graph: Graph): Node[] {
  const live = new Set(graph.outputs.map(({ name }) => name));
  const nodes: Node[] = [];
  for (let i = graph.nodes.length - 1; i >= 0; i--) {
    const node = graph.nodes[i] as Node;
    if (!node.outputs.some((output) => live.has(output))) continue;
    nodes.push(node);
    for (const name of usedValues(node)) live.add(name);
  }
  return nodes.reverse();
}

function kindOf(node: Node, used: readonly string[], isDerived: (name: string) => boolean): NodeKind {
  if (isRandom(node)) return 'dynamic';
  if (used.length === 0) return 'constant';
  return isShapeOf(node) || used.every(isDerived) ? 'derived' : 'dynamic';
}

/**
 * Whether a node, or one in its bodies, may give other values each time. Functions of the model and operators of
 * domains that are not known may do anything.
 */
export function isRandom(node: Node): boolean {
  if (!KNOWN_DOMAINS.has(node.domain) || RANDOM_OPS.has(node.op)) return true;
  // Dropout drops only in training mode, its third input.
  if (isStandard(node, 'Dropout') && node.inputs[2]) return true;
  return subgraphs(node).some((body) => body.nodes.some(isRandom));
}

/** Reads nothing of a tensor but its shape. */
export function isShapeOf(node: Node): boolean {
  return isStandard(node, 'Shape') || isStandard(node, 'Size');
}

/** Whether a value crosses boundaries as data: an input, or made by a dynamic node. */
export function isDynamic(flow: Flow, name: string): boolean {
  const maker = flow.producer.get(name);
  return maker ? flow.kind.get(maker) === 'dynamic' : flow.inputs.has(name);
}

/** Whether a value is known to be no tensor: a sequence, a map, an optional. Those do not cross boundaries. */
export function isNoTensor(flow: Flow, name: string): boolean {
  return flow.noTensors.has(name);
}

function noTensorsOf(graph: Graph): Set<string> {
  const known = new Map(graph.inputs.map((input) => [input.name, input]));
  for (const [name, info] of graph.values) known.set(name, info);
  return new Set([...known.keys()].filter((name) => known.get(name)?.elementType === 'undefined'));
}

/** Nodes at which a search may stop: those above and below a part of the graph. */
export interface Limits {
  isAbove(node: Node): boolean;
  isBelow(node: Node): boolean;
}

const NO_LIMITS: Limits = { isAbove: () => false, isBelow: () => false };

/**
 * What runs behind a boundary: every node that depends on one of its values, through data or through shapes, and is not
 * itself needed to make another of them (a skip connection crosses beside what was made of it). Of nodes below the limit
 * there are only those that read something above it.
 */
export function nodesBehind(flow: Flow, cut: readonly string[], limits: Limits = NO_LIMITS): Set<Node> {
  const found = new Set<Node>();
  const pending = [...cut];
  while (pending.length > 0) {
    const name = pending.pop() as string;
    for (const node of flow.readers.get(name) ?? []) {
      if (found.has(node)) continue;
      found.add(node);
      if (!limits.isBelow(node)) pending.push(...node.outputs);
    }
  }
  for (const node of nodesBefore(flow, cut, limits)) found.delete(node);
  return found;
}

/** Every node that is needed to make the values of `cut`. */
function nodesBefore(flow: Flow, cut: readonly string[], { isAbove }: Limits): Set<Node> {
  const found = new Set<Node>();
  const pending = [...cut];
  while (pending.length > 0) {
    const node = flow.producer.get(pending.pop() as string);
    if (!node || found.has(node) || isAbove(node)) continue;
    found.add(node);
    pending.push(...(flow.reads.get(node) ?? []));
  }
  return found;
}
