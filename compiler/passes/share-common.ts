/**
 * Common subexpressions are computed once: nodes of one operator with the same inputs and attributes give the same values
 * (value numbering; Alpern, Wegman and Zadeck, "Detecting Equality of Variables in Programs", 1988, for acyclic code).
 */

import { serialize } from 'node:v8';
import { isRandom } from '../cut/flow.ts';
import { type Graph, type Node, subgraphs } from '../graph/graph.ts';
import { renameCaptures } from '../graph/rename.ts';

export function shareCommon(graph: Graph): boolean {
  const outputs = new Set(graph.outputs.map(({ name }) => name));
  const seen = new Map<string, Node>();
  const renamed = new Map<string, string>();
  const before = graph.nodes.length;
  graph.nodes = graph.nodes.filter((node) => {
    node.inputs = node.inputs.map((name) => renamed.get(name) ?? name);
    // A body may capture anything, by a name that is kept; and outputs keep their names.
    if (subgraphs(node).length > 0 || isRandom(node) || node.outputs.some((name) => outputs.has(name))) return true;
    const key = keyOf(node);
    const known = seen.get(key);
    if (!known) {
      seen.set(key, node);
      return true;
    }
    for (const [i, name] of node.outputs.entries()) renamed.set(name, known.outputs[i] as string);
    return false;
  });
  if (renamed.size > 0) for (const node of graph.nodes) node.attributes = renameCaptures(node.attributes, renamed);
  return graph.nodes.length !== before;
}

function keyOf({ op, domain, inputs, outputs, attributes }: Node): string {
  const sorted = [...attributes]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, { type, value }]) => [name, type, value]);
  // An optional output that is not asked for may change what an operator does.
  const asked = outputs.map((name) => name !== '');
  // Unlike JSON, this tells NaN, infinities and negative zero apart.
  return serialize([op, domain, inputs, asked, sorted]).toString('latin1');
}
