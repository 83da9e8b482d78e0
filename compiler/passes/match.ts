/** What the recognising passes have in common: products and sums taken apart, whatever order an exporter wrote them in. */
import { type Graph, type GraphIndex, isStandard, type Node, scalarConstant } from '../graph/graph.ts';

/** scale * the product of values; a value that comes in twice is listed twice. */
export interface Product {
  readonly scale: number;
  readonly factors: readonly string[];
  /** The nodes that compute it, its last one included. */
  readonly nodes: readonly Node[];
}

/** Constants that exporters rounded: 1.41421354 for the square root of 2. Further off than this, they mean something else. */
const ROUNDED = 1e-6;

export function isAbout(value: number | undefined, expected: number): boolean {
  return value !== undefined && Math.abs(value - expected) <= ROUNDED * Math.abs(expected);
}

/** The one number of a constant that cannot raise the rank of what it meets, short of a scalar; else undefined. */
export function plainConstant(graph: Graph, name: string): number | undefined {
  return (graph.initializers.get(name)?.shape.length ?? 2) <= 1 ? scalarConstant(graph, name) : undefined;
}

/**
 * Takes apart the product that makes a value: Mul, Div by constants, Pow by 2 and 3. It stops at values that others
 * read as well, so that nothing is in the product but what can go with it.
 */
export function productOf(graph: Graph, index: GraphIndex, name: string, isRoot = true): Product {
  const constant = plainConstant(graph, name);
  if (constant !== undefined) return { scale: constant, factors: [], nodes: [] };
  const whole = { scale: 1, factors: [name], nodes: [] };
  const node = index.producer.get(name);
  if (!node || !(isRoot || isPrivate(index, node))) return whole;
  const [a = '', b = ''] = node.inputs;
  const left = () => productOf(graph, index, a, false);
  if (isStandard(node, 'Mul')) return times(node, left(), productOf(graph, index, b, false));
  const number = plainConstant(graph, b);
  if (isStandard(node, 'Div') && number) return times(node, left(), { scale: 1 / number, factors: [], nodes: [] });
  if (isStandard(node, 'Pow') && (number === 2 || number === 3)) {
    return { scale: 1, factors: new Array<string>(number).fill(a), nodes: [node] };
  }
  return whole;
}

function times(node: Node, a: Product, b: Product): Product {
  return {
    scale: a.scale * b.scale,
    factors: [...a.factors, ...b.factors],
    nodes: [...a.nodes, ...b.nodes, node],
  };
}

/** The other term of an Add of a constant number, or undefined. */
export function plusConstant(graph: Graph, node: Node | undefined, expected: number): string | undefined {
  if (!node || !isStandard(node, 'Add')) return undefined;
  const [a = '', b = ''] = node.inputs;
  if (isAbout(plainConstant(graph, b), expected)) return a;
  return isAbout(plainConstant(graph, a), expected) ? b : undefined;
}

/** Both ways round, for what commutes. */
export function bothWays<T>([a, b]: readonly [T, T]): readonly (readonly [T, T])[] {
  return [
    [a, b],
    [b, a],
  ];
}

/** Whether the node's only output has one reader and leaves the graph nowhere. */
export function isPrivate(index: GraphIndex, node: Node): boolean {
  const output = node.outputs[0] ?? '';
  return index.consumers.get(output)?.length === 1 && !index.isOutput.has(output);
}

/** Whether nobody but these nodes reads what they make, the last one's output aside. */
export function isClosed(index: GraphIndex, nodes: ReadonlySet<Node>, last: Node): boolean {
  return [...nodes].every(
    (node) =>
      node === last ||
      node.outputs.every(
        (name) => !index.isOutput.has(name) && (index.consumers.get(name) ?? []).every((reader) => nodes.has(reader)),
      ),
  );
}

/** Nodes that give way to others, which come in the place of the last one. */
export interface Match {
  readonly nodes: ReadonlySet<Node>;
  /** May put constants into the graph. */
  readonly replace: () => readonly Node[];
}

/** Replaces what `find` finds from its last node, unless others read of it. Gives whether there was anything. */
export function replaceMatches(graph: Graph, index: GraphIndex, find: (node: Node) => Match | undefined): boolean {
  const dropped = new Set<Node>();
  const placed = new Map<Node, readonly Node[]>();
  for (const node of graph.nodes) {
    const match = find(node);
    if (!match || !isClosed(index, match.nodes, node) || [...match.nodes].some((inner) => dropped.has(inner))) continue;
    for (const inner of match.nodes) dropped.add(inner);
    placed.set(node, match.replace());
  }
  graph.nodes = graph.nodes.flatMap((node) => placed.get(node) ?? (dropped.has(node) ? [] : [node]));
  return placed.size > 0;
}
