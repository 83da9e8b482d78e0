/**
 * Common subexpressions are computed once: nodes of one operator with the same inputs and attributes give the same values
 * (value numbering; Alpern, Wegman and Zadeck, "Detecting Equality of Variables in Programs", 1988, for acyclic code).
 */

import { isRandom } from '../cut/flow.ts';
import { type Attribute, type Graph, type Node, subgraphs } from '../graph/graph.ts';

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
  if (renamed.size > 0)
    for (const node of graph.nodes) for (const body of subgraphs(node)) renameCaptures(body, renamed);
  return graph.nodes.length !== before;
}

function keyOf({ op, domain, inputs, outputs, attributes }: Node): string {
  const sorted = [...attributes].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, value]) => [name, plain(value)]);
  // An optional output that is not asked for may change what an operator does.
  return JSON.stringify([op, domain, inputs, outputs.map((name) => name !== ''), sorted]);
}

function plain({ type, value }: Attribute): unknown {
  return JSON.stringify([type, value], (_, inner: unknown) =>
    typeof inner === 'bigint'
      ? `${inner}n`
      : inner instanceof Uint8Array
        ? Buffer.from(inner).toString('base64')
        : inner,
  );
}

function renameCaptures(graph: Graph, renamed: ReadonlyMap<string, string>): void {
  const own = new Set([...graph.inputs.map(({ name }) => name), ...graph.initializers.keys()]);
  for (const node of graph.nodes) for (const name of node.outputs) own.add(name);
  const outer = new Map([...renamed].filter(([name]) => !own.has(name)));
  if (outer.size === 0) return;
  for (const node of graph.nodes) {
    node.inputs = node.inputs.map((name) => outer.get(name) ?? name);
    for (const body of subgraphs(node)) renameCaptures(body, outer);
  }
  graph.outputs = graph.outputs.map((output) => ({ ...output, name: outer.get(output.name) ?? output.name }));
}
