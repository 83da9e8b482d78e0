/** Topological order: every node after the nodes whose values it reads. Files promise it, and some break the promise. */
import { TandemError } from '../../shared/errors.ts';
import { definedOutside, type Graph, indexGraph, type Node, subgraphs, usedValues } from './graph.ts';

/**
 * Sorts the nodes of a graph and of its subgraphs, where they are not sorted, by a depth-first search.
 * @throws BAD_MODEL naming a value that depends on itself
 */
export function sortNodes(graph: Graph, what: string): void {
  for (const node of graph.nodes) for (const body of subgraphs(node)) sortNodes(body, what);
  if (!isSorted(graph)) graph.nodes = sorted(graph, what);
}

function isSorted(graph: Graph): boolean {
  const { producer } = indexGraph(graph);
  const seen = definedOutside(graph);
  for (const node of graph.nodes) {
    // What nothing in this graph makes comes from around it, or is missing: verify tells.
    if (usedValues(node).some((name) => producer.has(name) && !seen.has(name))) return false;
    for (const output of node.outputs) seen.add(output);
  }
  return true;
}

function sorted(graph: Graph, what: string): Node[] {
  const { producer } = indexGraph(graph);
  const order: Node[] = [];
  const state = new Map<Node, 'open' | 'done'>();
  for (const root of graph.nodes) {
    // Depth first, without recursion: graphs are deeper than stacks.
    const stack = [root];
    while (stack.length > 0) {
      const node = stack.at(-1) as Node;
      if (state.get(node) === 'done') {
        stack.pop();
        continue;
      }
      const waiting = [...new Set(usedValues(node).map((name) => producer.get(name)))].filter(
        (maker): maker is Node => maker !== undefined && state.get(maker) !== 'done',
      );
      const circle = waiting.find((maker) => state.get(maker) === 'open');
      if (circle)
        throw new TandemError('BAD_MODEL', `${what}: ${circle.outputs[0]} is made of itself: a cycle of nodes`);
      if (waiting.length === 0) {
        state.set(node, 'done');
        order.push(node);
        stack.pop();
      } else {
        state.set(node, 'open');
        stack.push(...waiting.reverse());
      }
    }
  }
  return order;
}
