/**
 * The dominator tree of a graph's values and nodes: below a vertex stands whatever can be reached through it alone
 * (Lengauer and Tarjan, "A Fast Algorithm for Finding Dominators", 1979; for an acyclic graph one pass is enough).
 */
import type { Node } from '../graph/graph.ts';
import { type Flow, isDynamic } from './flow.ts';

export interface DominatorTree {
  /** The root before all inputs, then inputs, nodes and their values, in topological order: each after its parent. */
  readonly vertices: readonly (string | Node)[];
  readonly vertexOf: ReadonlyMap<string | Node, number>;
  readonly parent: readonly number[];
  /** Edges that leave a vertex's subtree for readers that it does not dominate. */
  readonly escapes: readonly number[];
  /** Whether a vertex stands in the subtree of another, itself included. */
  isBelow(vertex: number, top: number): boolean;
  /** What the nodes of each vertex's subtree make together. */
  sumBelow(of: (node: Node) => number): number[];
}

export function dominatorTree(flow: Flow): DominatorTree {
  const vertices: (string | Node)[] = [''];
  const vertexOf = new Map<string | Node, number>();
  const { parent, add, meet } = growingTree();
  const escapes = [0];
  const addVertex = (key: string | Node, above: number) => {
    vertexOf.set(key, vertices.length);
    vertices.push(key);
    escapes.push(0);
    add(above);
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
  addUp(parent, escapes);
  const sumBelow = (of: (node: Node) => number) =>
    addUp(
      parent,
      vertices.map((key) => (typeof key === 'string' ? 0 : of(key))),
    );
  return { vertices, vertexOf, parent, escapes, sumBelow, isBelow: nesting(parent) };
}

/**
 * A tree that grows by leaves, vertex 0 its root. Besides its parent each vertex knows one ancestor further up, so that
 * the way up takes logarithmically many steps (Myers, "An Applicative Random-Access Stack", 1983).
 */
function growingTree() {
  const [parent, jump, depth] = [[0], [0], [0]];
  const at = (list: readonly number[], v: number) => list[v] as number;
  const add = (above: number) => {
    const far = at(jump, above);
    const isEven = at(depth, above) - at(depth, far) === at(depth, far) - at(depth, at(jump, far));
    parent.push(above);
    jump.push(isEven ? at(jump, far) : above);
    depth.push(at(depth, above) + 1);
  };
  const upTo = (v: number, level: number) => {
    let x = v;
    while (at(depth, x) > level) x = at(depth, at(jump, x)) >= level ? at(jump, x) : at(parent, x);
    return x;
  };
  /** The lowest vertex that both stand below. */
  const meet = (a: number, b: number) => {
    const level = Math.min(at(depth, a), at(depth, b));
    let [x, y] = [upTo(a, level), upTo(b, level)];
    while (x !== y) {
      // Of equal depth, both jump equally far.
      const above = at(jump, x) === at(jump, y) ? parent : jump;
      [x, y] = [at(above, x), at(above, y)];
    }
    return x;
  };
  return { parent, add, meet };
}

/** Adds to every vertex what stands below it, in place. */
function addUp(parent: readonly number[], sums: number[]): number[] {
  for (let v = sums.length - 1; v > 0; v--) {
    const above = parent[v] as number;
    sums[above] = (sums[above] as number) + (sums[v] as number);
  }
  return sums;
}

/** In preorder the subtree of a vertex is an interval that begins with it. */
function nesting(parent: readonly number[]): (vertex: number, top: number) => boolean {
  const size = addUp(parent, new Array<number>(parent.length).fill(1));
  const start = new Int32Array(parent.length);
  const free = new Int32Array(parent.length).fill(1);
  for (let v = 1; v < parent.length; v++) {
    const above = parent[v] as number;
    start[v] = free[above] as number;
    free[above] = (start[v] as number) + (size[v] as number);
    free[v] = (start[v] as number) + 1;
  }
  const startOf = (v: number) => start[v] as number;
  return (vertex, top) => startOf(top) <= startOf(vertex) && startOf(vertex) < startOf(top) + (size[top] as number);
}
