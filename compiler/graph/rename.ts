/** Gives values other names. Bodies are never written to, since copies of a graph share them: what changes is made anew. */
import { type Attribute, capturedValues, type Graph, type Node } from './graph.ts';

export type Names = ReadonlyMap<string, string>;

/** Renames what a node reads and makes, and what its bodies capture. */
export function renameNode(node: Node, names: Names): Node {
  const rename = (name: string) => names.get(name) ?? name;
  return {
    ...node,
    inputs: node.inputs.map(rename),
    outputs: node.outputs.map(rename),
    attributes: renameCaptures(node.attributes, names),
  };
}

/** Attributes of a node whose bodies capture values under their new names. */
export function renameCaptures(attributes: ReadonlyMap<string, Attribute>, names: Names): Map<string, Attribute> {
  const renamed = new Map(attributes);
  for (const [key, { type, value }] of attributes) {
    if (type === 'graph') renamed.set(key, { type, value: renameBody(value, names) });
    if (type === 'graphs') renamed.set(key, { type, value: value.map((body) => renameBody(body, names)) });
  }
  return renamed;
}

/** Names that a body defines itself hide those around it. */
function renameBody(graph: Graph, names: Names): Graph {
  const outer = new Map<string, string>();
  for (const name of capturedValues(graph)) {
    const renamed = names.get(name);
    if (renamed !== undefined) outer.set(name, renamed);
  }
  if (outer.size === 0) return graph;
  return {
    ...graph,
    nodes: graph.nodes.map((node) => renameNode(node, outer)),
    outputs: graph.outputs.map((output) => ({ ...output, name: outer.get(output.name) ?? output.name })),
  };
}
