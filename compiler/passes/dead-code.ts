/** Nodes whose outputs nobody reads, and initializers nobody reads, are dropped. Graph inputs stay: they are contract. */
import { type Graph, usedValues } from '../graph/graph.ts';

export function removeDeadCode(graph: Graph): boolean {
  const live = new Set(graph.outputs.map((output) => output.name));
  const kept = [];
  for (const node of [...graph.nodes].reverse()) {
    if (!node.outputs.some((output) => live.has(output))) continue;
    kept.push(node);
    for (const name of usedValues(node)) live.add(name);
  }
  const before = graph.nodes.length + graph.initializers.size;
  graph.nodes = kept.reverse();
  for (const name of graph.initializers.keys()) if (!live.has(name)) graph.initializers.delete(name);
  for (const name of graph.sparse.keys()) if (!live.has(name)) graph.sparse.delete(name);
  for (const name of graph.values.keys()) if (!live.has(name)) graph.values.delete(name);
  return graph.nodes.length + graph.initializers.size !== before;
}
