/**
 * Where a graph can be cut: every boundary of one tensor, and those of a few. A boundary is legal where what runs behind
 * it reads nothing from before it but its own tensors, constants and shapes.
 *
 * One tensor: it has to dominate all that depends on it. Several: a chain of one-tensor boundaries divides the graph, and
 * in each part all combinations are tried. What runs behind a boundary is never gone through as a whole, but told by the
 * dominator tree: there are as many boundaries as nodes.
 */
import type { NodeCost } from '../graph/cost.ts';
import type { Node } from '../graph/graph.ts';
import { type DominatorTree, dominatorTree } from './dominators.ts';
import { type Flow, isDynamic, isNoTensor, nodesBehind } from './flow.ts';

export interface Boundary {
  /** In topological order. */
  readonly tensors: readonly string[];
  /** Dynamic nodes that run before it. */
  readonly nodesBefore: number;
  /** What runs behind it, in sum. */
  readonly costBehind: CostSum;
  /** What runs behind it; found when asked for. */
  behind(): Behind;
}

/** Over all nodes but constant ones: the `nodes` themselves, and what they cost where that was given. */
export type CostSum = Pick<NodeCost, 'macs' | 'parameters'> & { readonly nodes: number };

export interface Behind {
  has(node: Node): boolean;
  /** Some of its nodes, which all others follow from: what has these has all. */
  readonly first: readonly Node[];
}

export interface Boundaries {
  /** Shallow to deep, without boundary 0 (the inputs) and K (the outputs). */
  readonly legal: readonly Boundary[];
  /** Parts of the graph in which not all combinations were tried: too many. */
  readonly partsCutShort: number;
}

/** Combinations that are tried in one part of a graph, and the work that they may be: each walks through the part. */
const COMBINATIONS_MAX = 200_000;
const WORK_MAX = 10_000_000;

/**
 * @param tensorsMax tensors of one boundary, 1 to 4
 * @param costs what `costBehind` sums; without them it has only nodes
 */
export function legalBoundaries(
  flow: Flow,
  tensorsMax: number,
  costs: ReadonlyMap<Node, NodeCost> = new Map(),
): Boundaries {
  const of: Measures = {
    dynamic: (node) => (flow.kind.get(node) === 'dynamic' ? 1 : 0),
    nodes: () => 1,
    macs: (node) => costs.get(node)?.macs ?? 0,
    parameters: (node) => costs.get(node)?.parameters ?? 0,
  };
  const { tree, singles, parts, dynamicNodes } = dominance(flow, of);
  const legal = new Map<string, Boundary>();
  const add: Add = (tensors, { dynamic, ...costBehind }, behind) => {
    const nodesBefore = dynamicNodes - dynamic;
    // With nothing before or behind it, it would be boundary 0 or K.
    if (nodesBefore > 0 && nodesBefore < dynamicNodes) {
      legal.set(tensors.join('\n'), { tensors, nodesBefore, costBehind, behind });
    }
  };
  for (const single of singles) {
    const behind = () => behindOf(flow, tree, { near: new Set(), beyond: single, reads: single.name });
    add([single.name], single.sums, behind);
  }
  const cutShort = tensorsMax > 1 ? parts.filter((part) => !combine({ flow, tree, of }, part, tensorsMax, add)) : [];
  const order = [...legal.values()].sort(
    (a, b) => a.nodesBefore - b.nodesBefore || a.tensors.length - b.tensors.length,
  );
  return { legal: order, partsCutShort: cutShort.length };
}

/** Sums over nodes; the dynamic ones are counted apart. */
type Sums = CostSum & { readonly dynamic: number };
type Measures = { readonly [key in keyof Sums]: (node: Node) => number };
type Add = (tensors: readonly string[], sums: Sums, behind: () => Behind) => void;

function sumsOf(sum: (key: keyof Sums) => number): Sums {
  return { dynamic: sum('dynamic'), nodes: sum('nodes'), macs: sum('macs'), parameters: sum('parameters') };
}

interface Single {
  readonly name: string;
  /** Its vertex in the tree: what runs behind it stands below. */
  readonly v: number;
  /** Of what runs behind it. */
  readonly sums: Sums;
}

/**
 * Nodes of a part, and beyond its end all that stands below that.
 * @param reads the boundary's tensor, if any, whose readers are beyond
 */
function behindOf(
  flow: Flow,
  tree: DominatorTree,
  { near, beyond, reads }: { near: ReadonlySet<Node>; beyond: Single | undefined; reads: string | undefined },
): Behind {
  const isBeyond = (node: Node) => beyond !== undefined && tree.isBelow(tree.vertexOf.get(node) ?? 0, beyond.v);
  return {
    has: (node) => near.has(node) || isBeyond(node),
    first: [...near, ...(reads === undefined ? [] : (flow.readers.get(reads) ?? []))],
  };
}

/** What lies between two neighbouring one-tensor boundaries, or before the first or behind the last. */
interface Part {
  /** Values that may be combined, in topological order: what enters the part, and what is made in it. */
  readonly values: string[];
  /** The boundary that it begins at, and the one that it ends at. */
  readonly from: Single | undefined;
  readonly end: Single | undefined;
  readonly nodes: number;
}

interface Dominance {
  readonly tree: DominatorTree;
  readonly singles: readonly Single[];
  readonly parts: readonly Part[];
  readonly dynamicNodes: number;
}

function dominance(flow: Flow, of: Measures): Dominance {
  const tree = dominatorTree(flow);
  const below = Object.fromEntries(Object.entries(of).map(([key, measure]) => [key, tree.sumBelow(measure)]));
  const sumsAt = (v: number) => sumsOf((key) => below[key]?.[v] as number);
  const singles = tree.vertices.flatMap((key, v): Single[] =>
    typeof key === 'string' && mayCross(flow, key) && tree.escapes[v] === 0 ? [{ name: key, v, sums: sumsAt(v) }] : [],
  );
  // Of one-tensor boundaries that run one before the other, a chain; branches that end in outputs may have others.
  const chain: Single[] = [];
  const partOf = new Int32Array(tree.vertices.length);
  const chainAt = new Map(singles.map((single) => [single.v, single]));
  for (let v = 1; v < tree.vertices.length; v++) {
    const inherited = partOf[tree.parent[v] as number] as number;
    const single = chainAt.get(v);
    // Its own part begins behind it, if it lies behind the chain so far.
    if (single && inherited === chain.length) chain.push(single);
    partOf[v] = single && chain.at(-1) === single ? chain.length : inherited;
  }
  const parts = [undefined, ...chain].map((from, i): Part => {
    const [end, all] = [chain[i], (from?.sums ?? sumsAt(0)).nodes];
    return { values: from ? [from.name] : [], from, end, nodes: all - (end?.sums.nodes ?? 0) };
  });
  for (const [v, key] of tree.vertices.entries()) {
    if (typeof key !== 'string' || !mayCross(flow, key)) continue;
    const home = partOf[tree.parent[v] as number] as number;
    parts[home]?.values.push(key);
  }
  return { tree, singles, parts, dynamicNodes: sumsAt(0).dynamic };
}

function mayCross(flow: Flow, name: string): boolean {
  return isDynamic(flow, name) && !isNoTensor(flow, name) && (flow.readers.get(name)?.length ?? 0) > 0;
}

/** Tries sets of two and more values of a part. False where there were too many. */
function combine(
  { flow, tree, of }: { flow: Flow; tree: DominatorTree; of: Measures },
  { values, from, end, nodes }: Part,
  tensorsMax: number,
  add: Add,
): boolean {
  const isUnder = (node: Node, { v }: Single) => tree.isBelow(tree.vertexOf.get(node) ?? 0, v);
  // What enters the part is made before it, and what lies behind its end depends on that alone, but for shapes.
  const limits = {
    isAbove: (node: Node) => from !== undefined && !isUnder(node, from),
    isBelow: (node: Node) => end !== undefined && isUnder(node, end),
  };
  const triesMax = Math.min(COMBINATIONS_MAX, WORK_MAX / Math.max(nodes, values.length));
  let tried = 0;
  const attempt = (tensors: readonly string[]) => {
    const near = nodesBehind(flow, tensors, limits);
    const all = near.size;
    for (const node of near) if (limits.isBelow(node)) near.delete(node);
    const reads = end !== undefined && tensors.includes(end.name) ? end.name : undefined;
    const maker = end && flow.producer.get(end.name);
    const beyond = reads !== undefined || (maker !== undefined && near.has(maker)) ? end : undefined;
    // What lies behind the end needs what crosses there.
    if (!beyond && near.size < all) return;
    if (!isLegal(flow, tensors, near, reads)) return;
    const sums = sumsOf((key) => sumOver(near, of[key]) + (beyond?.sums[key] ?? 0));
    add(tensors, sums, () => behindOf(flow, tree, { near: nodesBehind(flow, tensors, limits), beyond, reads }));
  };
  const grow = (chosen: readonly string[], start: number): boolean => {
    for (let i = start; i < values.length; i++) {
      const tensors = [...chosen, values[i] as string];
      if (tensors.length > 1) {
        if (++tried > triesMax) return false;
        attempt(tensors);
      }
      if (tensors.length < tensorsMax && !grow(tensors, i + 1)) return false;
    }
    return true;
  };
  return grow([], 0);
}

function sumOver(nodes: ReadonlySet<Node>, of: (node: Node) => number): number {
  let sum = 0;
  for (const node of nodes) sum += of(node);
  return sum;
}

/**
 * Whether what runs behind reads all of the tensors, and no other data from before.
 * @param read one of them that is known to be read further on
 */
function isLegal(flow: Flow, tensors: readonly string[], behind: ReadonlySet<Node>, read: string | undefined): boolean {
  const unread = new Set(tensors.filter((name) => name !== read));
  for (const node of behind) {
    if (flow.kind.get(node) !== 'dynamic') continue;
    for (const name of flow.reads.get(node) ?? []) {
      if (tensors.includes(name)) {
        unread.delete(name);
        continue;
      }
      const maker = flow.producer.get(name);
      if (isDynamic(flow, name) && !(maker && behind.has(maker))) return false;
    }
  }
  return unread.size === 0;
}
