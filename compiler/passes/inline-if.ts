/** An If whose condition is a constant is replaced by the branch that it takes, which can then be cut like any other part. */
import { definedOutside, type Graph, isStandard, makeNode, type Node, subgraphs } from '../graph/graph.ts';
import { renameNode } from '../graph/rename.ts';

export function inlineIf(graph: Graph): boolean {
  // How often a name is defined, in bodies too: names of the top would hide those of bodies, which not all runtimes allow.
  const taken = new Map<string, number>();
  count(taken, definedIn(graph), 1);
  const next = new Map<string, number>();
  let changed = false;
  graph.nodes = graph.nodes.flatMap((node) => {
    const branch = branchTaken(graph, node);
    if (!branch) return [node];
    changed = true;
    return inlined(graph, node, branch, { taken, next });
  });
  return changed;
}

interface Names {
  /** How often a name is defined. */
  readonly taken: Map<string, number>;
  /** The number to try next for a name that is taken. */
  readonly next: Map<string, number>;
}

function branchTaken(graph: Graph, node: Node): Graph | undefined {
  if (!isStandard(node, 'If')) return undefined;
  const condition = graph.initializers.get(node.inputs[0] ?? '');
  if (condition?.elementType !== 'bool' || condition.bytes.byteLength !== 1) return undefined;
  const branch = node.attributes.get(condition.bytes[0] ? 'then_branch' : 'else_branch');
  return branch?.type === 'graph' ? branch.value : undefined;
}

function inlined(graph: Graph, node: Node, branch: Graph, { taken, next }: Names): Node[] {
  count(taken, subgraphs(node).flatMap(definedIn), -1);
  const inner = branch.nodes.flatMap((one) => subgraphs(one).flatMap(definedIn));
  count(taken, inner, 1);
  const names = new Map<string, string>();
  for (const name of definedAtTop(branch)) {
    let fresh = name;
    let i = next.get(name) ?? 1;
    while ((taken.get(fresh) ?? 0) > 0) fresh = `${name}.${i++}`;
    next.set(name, i);
    count(taken, [fresh], 1);
    if (fresh !== name) names.set(name, fresh);
  }
  const renamed = (name: string) => names.get(name) ?? name;
  for (const [name, constant] of branch.initializers) graph.initializers.set(renamed(name), constant);
  for (const [name, bytes] of branch.sparse) graph.sparse.set(renamed(name), bytes);
  for (const [name, info] of branch.values) graph.values.set(renamed(name), { ...info, name: renamed(name) });
  // Names of nodes are optional, but have to differ from each other.
  const body = branch.nodes.map((one) => ({ ...renameNode(one, names), name: '' }));
  const results = branch.outputs.map(({ name }, i) => makeNode('Identity', [renamed(name)], [node.outputs[i] ?? '']));
  return [...body, ...results.filter(({ outputs }) => outputs[0] !== '')];
}

function count(counts: Map<string, number>, names: readonly string[], change: number): void {
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + change);
}

/** Names that a graph defines, those of its bodies included. */
function definedIn(graph: Graph): string[] {
  return [...definedAtTop(graph), ...graph.nodes.flatMap((node) => subgraphs(node).flatMap(definedIn))];
}

function definedAtTop(graph: Graph): string[] {
  return [...definedOutside(graph), ...graph.nodes.flatMap(({ outputs }) => outputs.filter((name) => name !== ''))];
}

/** Whether a graph has an If anywhere at its top. */
export function hasIf(graph: Graph): boolean {
  return graph.nodes.some((node) => isStandard(node, 'If') && subgraphs(node).length > 0);
}
