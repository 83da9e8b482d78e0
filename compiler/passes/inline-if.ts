/** An If whose condition is a constant is replaced by the branch that it takes, which can then be cut like any other part. */
import { type Graph, isStandard, makeNode, type Node, subgraphs } from '../graph/graph.ts';

export function inlineIf(graph: Graph): boolean {
  const taken = new Set([
    ...graph.inputs.map(({ name }) => name),
    ...graph.initializers.keys(),
    ...graph.nodes.flatMap(({ outputs }) => outputs),
  ]);
  let changed = false;
  graph.nodes = graph.nodes.flatMap((node) => {
    const branch = branchTaken(graph, node);
    if (!branch) return [node];
    changed = true;
    return inlined(graph, node, branch, taken);
  });
  return changed;
}

function branchTaken(graph: Graph, node: Node): Graph | undefined {
  if (!isStandard(node, 'If')) return undefined;
  const condition = graph.initializers.get(node.inputs[0] ?? '');
  if (condition?.elementType !== 'bool' || condition.bytes.byteLength !== 1) return undefined;
  const branch = node.attributes.get(condition.bytes[0] ? 'then_branch' : 'else_branch');
  return branch?.type === 'graph' ? branch.value : undefined;
}

function inlined(graph: Graph, node: Node, branch: Graph, taken: Set<string>): Node[] {
  const names = new Map<string, string>();
  const own = [
    ...branch.initializers.keys(),
    ...branch.sparse.keys(),
    ...branch.nodes.flatMap(({ outputs }) => outputs).filter((name) => name !== ''),
  ];
  for (const name of own) {
    let fresh = name;
    for (let i = 1; taken.has(fresh); i++) fresh = `${name}.${i}`;
    taken.add(fresh);
    if (fresh !== name) names.set(name, fresh);
  }
  const renamed = (name: string) => names.get(name) ?? name;
  for (const [name, constant] of branch.initializers) graph.initializers.set(renamed(name), constant);
  for (const [name, bytes] of branch.sparse) graph.sparse.set(renamed(name), bytes);
  for (const [name, info] of branch.values) graph.values.set(renamed(name), { ...info, name: renamed(name) });
  const body = branch.nodes.map((inner) => renameNode(inner, names));
  const results = branch.outputs.map(({ name }, i) => makeNode('Identity', [renamed(name)], [node.outputs[i] ?? '']));
  return [...body, ...results.filter(({ outputs }) => outputs[0] !== '')];
}

/** Renames what a node reads and makes, and what its bodies capture. */
function renameNode(node: Node, names: ReadonlyMap<string, string>): Node {
  if (names.size === 0) return node;
  const rename = (name: string) => names.get(name) ?? name;
  const attributes = new Map(node.attributes);
  for (const [key, attribute] of attributes) {
    if (attribute.type === 'graph') attributes.set(key, { type: 'graph', value: renameGraph(attribute.value, names) });
  }
  return { ...node, inputs: node.inputs.map(rename), outputs: node.outputs.map(rename), attributes };
}

/** Names that a body defines itself hide those around it. */
function renameGraph(graph: Graph, names: ReadonlyMap<string, string>): Graph {
  const own = new Set([
    ...graph.inputs.map(({ name }) => name),
    ...graph.initializers.keys(),
    ...graph.nodes.flatMap(({ outputs }) => outputs),
  ]);
  const outer = new Map([...names].filter(([name]) => !own.has(name)));
  return {
    ...graph,
    nodes: graph.nodes.map((node) => renameNode(node, outer)),
    outputs: graph.outputs.map((output) => ({ ...output, name: outer.get(output.name) ?? output.name })),
  };
}

/** Whether a graph has an If anywhere at its top. */
export function hasIf(graph: Graph): boolean {
  return graph.nodes.some((node) => isStandard(node, 'If') && subgraphs(node).length > 0);
}
