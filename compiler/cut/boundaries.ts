/**
 * Where a graph can be cut: every boundary of one tensor, and those of a few. A boundary is legal where what runs behind
 * it reads nothing from before it but its own tensors, constants and shapes.
 *
 * One tensor: it has to dominate all that depends on it, in the sense of flow graphs (Lengauer and Tarjan, "A Fast
 * Algorithm for Finding Dominators", 1979; for an acyclic graph one pass is enough). Several: a chain of one-tensor
 * boundaries divides the graph, and in each part all combinations are tried.
 */
import type { Node } from '../graph/graph.ts';
import { type Flow, isDynamic, isNoTensor, nodesBehind } from './flow.ts';

export interface Boundary {
  /** In topological order. */
  readonly tensors: readonly string[];
  /** Dynamic nodes that run before it. */
  readonly nodesBefore: number;
  /** The nodes that run behind it; found when asked for. */
  behind(): ReadonlySet<Node>;
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

/** @param tensorsMax tensors of one boundary, 1 to 4 */
export function legalBoundaries(flow: Flow, tensorsMax: number): Boundaries {
  const { singles, parts, dynamicNodes } = dominance(flow);
  const legal = new Map<string, Boundary>();
  const add = (tensors: readonly string[], nodesBehindIt: number) => {
    const nodesBefore = dynamicNodes - nodesBehindIt;
    // With nothing before or behind it, it would be boundary 0 or K.
    if (nodesBefore > 0 && nodesBefore < dynamicNodes) {
      legal.set(tensors.join('\n'), { tensors, nodesBefore, behind: () => nodesBehind(flow, tensors) });
    }
  };
  for (const { name, behind } of singles) add([name], behind);
  const cutShort = tensorsMax > 1 ? parts.filter((part) => !combine(flow, part, tensorsMax, add)) : [];
  const order = [...legal.values()].sort(
    (a, b) => a.nodesBefore - b.nodesBefore || a.tensors.length - b.tensors.length,
  );
  return { legal: order, partsCutShort: cutShort.length };
}

interface Single {
  readonly name: string;
  /** Dynamic nodes that run behind it. */
  readonly behind: number;
}

/** What lies between two neighbouring one-tensor boundaries, or before the first or behind the last. */
interface Part {
  /** Values that may be combined, in topological order: what enters the part, and what is made in it. */
  readonly values: string[];
  /** The boundary that it ends at. */
  readonly end: Single | undefined;
}

interface Dominance {
  readonly singles: readonly Single[];
  readonly parts: readonly Part[];
  readonly dynamicNodes: number;
}

function dominance(flow: Flow): Dominance {
  const tree = dominatorTree(flow);
  const singles = tree.vertices.flatMap((key, v): (Single & { v: number })[] =>
    typeof key === 'string' && mayCross(flow, key) && tree.escapes[v] === 0
      ? [{ name: key, behind: tree.dynamicBelow[v] as number, v }]
      : [],
  );
  // Of one-tensor boundaries that run one before the other, a chain; branches that end in outputs may have others.
  const chain: typeof singles = [];
  const partOf = new Int32Array(tree.vertices.length);
  const chainAt = new Map(singles.map((single) => [single.v, single]));
  for (let v = 1; v < tree.vertices.length; v++) {
    const inherited = partOf[tree.parent[v] as number] as number;
    const single = chainAt.get(v);
    // Its own part begins behind it, if it lies behind the chain so far.
    if (single && inherited === chain.length) chain.push(single);
    partOf[v] = single && chain.at(-1) === single ? chain.length : inherited;
  }
  const parts = [undefined, ...chain].map((from, i): Part => ({ values: from ? [from.name] : [], end: chain[i] }));
  for (const [v, key] of tree.vertices.entries()) {
    if (typeof key !== 'string' || !mayCross(flow, key)) continue;
    const home = partOf[tree.parent[v] as number] as number;
    parts[home]?.values.push(key);
  }
  return { singles, parts, dynamicNodes: tree.dynamicBelow[0] as number };
}

interface DominatorTree {
  /** The root before all inputs, then inputs, nodes and their values, in topological order. */
  readonly vertices: readonly (string | Node)[];
  readonly parent: readonly number[];
  /** Edges that leave a vertex's subtree for readers that it does not dominate. */
  readonly escapes: readonly number[];
  /** Dynamic nodes in a vertex's subtree. */
  readonly dynamicBelow: readonly number[];
}

function dominatorTree(flow: Flow): DominatorTree {
  const vertices: (string | Node)[] = [''];
  const vertexOf = new Map<string | Node, number>();
  const parent = [0];
  const depth = [0];
  const escapes = [0];
  const dynamicBelow = [0];
  const addVertex = (key: string | Node, above: number) => {
    vertexOf.set(key, vertices.length);
    vertices.push(key);
    parent.push(above);
    depth.push((depth[above] as number) + 1);
    escapes.push(0);
    dynamicBelow.push(typeof key !== 'string' && flow.kind.get(key) === 'dynamic' ? 1 : 0);
  };
  const meet = (a: number, b: number) => {
    let [x, y] = [a, b];
    while (x !== y) {
      if ((depth[x] as number) < (depth[y] as number)) y = parent[y] as number;
      else x = parent[x] as number;
    }
    return x;
  };
  for (const name of flow.inputs) addVertex(name, 0);
  for (const [node, kind] of flow.kind) {
    if (kind === 'constant') continue;
    const names = flow.reads.get(node) ?? [];
    // Shapes come along however a graph is cut: a reader of shapes and data is dominated as its data says.
    const data = kind === 'derived' ? names : names.filter((name) => isDynamic(flow, name));
    const above = data.length === 0 ? 0 : data.map((name) => vertexOf.get(name) ?? 0).reduce(meet);
    addVertex(node, above);
    for (const name of names) {
      // Whoever is on the way from a read value up to what dominates its reader does not dominate the reader.
      const read = vertexOf.get(name) ?? 0;
      const top = meet(read, above);
      escapes[read] = (escapes[read] as number) + 1;
      escapes[top] = (escapes[top] as number) - 1;
    }
    for (const output of node.outputs) if (output !== '') addVertex(output, vertexOf.get(node) as number);
  }
  for (const sums of [escapes, dynamicBelow]) {
    for (let v = vertices.length - 1; v > 0; v--) {
      const above = parent[v] as number;
      sums[above] = (sums[above] as number) + (sums[v] as number);
    }
  }
  return { vertices, parent, escapes, dynamicBelow };
}

function mayCross(flow: Flow, name: string): boolean {
  return isDynamic(flow, name) && !isNoTensor(flow, name) && (flow.readers.get(name)?.length ?? 0) > 0;
}

/** Tries sets of two and more values of a part. False where there were too many. */
function combine(
  flow: Flow,
  { values, end }: Part,
  tensorsMax: number,
  add: (tensors: readonly string[], nodesBehindIt: number) => void,
): boolean {
  // What enters the part is made before it, and what lies behind its end depends on that alone.
  const limits = { from: new Set(values.slice(0, 1)), to: new Set(end ? [end.name] : []) };
  const triesMax = Math.min(COMBINATIONS_MAX, WORK_MAX / values.length);
  let tried = 0;
  const attempt = (tensors: readonly string[]) => {
    const behind = nodesBehind(flow, tensors, limits);
    const hasEnd = end !== undefined && tensors.includes(end.name);
    if (!isLegal(flow, tensors, behind, hasEnd ? end.name : undefined)) return;
    const maker = end && flow.producer.get(end.name);
    const reachesEnd = hasEnd || (maker !== undefined && behind.has(maker));
    add(tensors, dynamicIn(flow, behind) + (reachesEnd ? (end as Single).behind : 0));
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

function dynamicIn(flow: Flow, nodes: ReadonlySet<Node>): number {
  let count = 0;
  for (const node of nodes) if (flow.kind.get(node) === 'dynamic') count++;
  return count;
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
