/** The graph of one segment: its nodes out of the whole, with the constants that they read and types at its edges. */
import { cloneNode, type Graph, makeGraph, type Node, subgraphs, type ValueInfo } from '../graph/graph.ts';
import { isShapeOf } from './flow.ts';

export interface SegmentParts {
  /** 0-based place in the chain. */
  readonly index: number;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly nodes: ReadonlySet<Node>;
  /** Nodes that are not of the whole, and read nothing but inputs. */
  readonly added: readonly Node[];
  /** Values that neither inputs nor nodes make. */
  readonly constants: ReadonlySet<string>;
}

/** Makes segments of one graph; what has to be looked up in all of it is looked up once. */
export function segmentMaker(graph: Graph): (parts: SegmentParts) => Graph {
  const order = new Map<Node | string, number>(
    [...graph.nodes, ...graph.initializers.keys()].map((key, i) => [key, i]),
  );
  const sorted = <T extends Node | string>(keys: Iterable<T>) =>
    [...keys].sort((a, b) => (order.get(a) ?? 0) - (order.get(b) ?? 0));
  const edge = edgeTypes(graph);
  return ({ index, inputs, outputs, nodes, added, constants }) => {
    const own = sorted(nodes);
    const present = new Set([...inputs, ...constants, ...own.flatMap((node) => node.outputs)]);
    const only = <T>(map: ReadonlyMap<string, T>) => new Map([...map].filter(([name]) => present.has(name)));
    return makeGraph({
      name: `${graph.name}.${index + 1}`,
      inputs: inputs.map(edge),
      outputs: outputs.map(edge),
      nodes: [...added, ...own.map(cloneNode)],
      initializers: new Map(sorted(constants).flatMap((name) => entryOf(graph.initializers, name))),
      sparse: only(graph.sparse),
      annotations: only(graph.annotations),
      extra: graph.extra,
    });
  };
}

function entryOf<T>(map: ReadonlyMap<string, T>, name: string): [string, T][] {
  const value = map.get(name);
  return value === undefined ? [] : [[name, value]];
}

/**
 * Type of a value at a segment's edge. Float32 unless the file or the operator says otherwise. Of inner values no shape:
 * a runtime takes those of a file for hints, but those of a segment's inputs for law.
 */
function edgeTypes(graph: Graph): (name: string) => ValueInfo {
  const outer = new Map([...graph.outputs, ...graph.inputs].map((info) => [info.name, info]));
  const shapes = new Set(graph.nodes.filter(isShapeOf).map(({ outputs }) => outputs[0]));
  return (name) => {
    const end = outer.get(name);
    const known = end ?? graph.values.get(name);
    if (end && end.elementType !== 'undefined') return end;
    if (known && known.elementType !== 'undefined') return { name, elementType: known.elementType, shape: null };
    return known?.opaque ? known : { name, elementType: shapes.has(name) ? 'int64' : 'float32', shape: null };
  };
}

/** Gives names that no value of a graph has, in bodies neither. */
export function nameMaker(graph: Graph): (stem: string) => string {
  let taken: Set<string> | undefined;
  return (stem) => {
    taken ??= namesIn(graph, new Set());
    let name = stem;
    for (let i = 1; taken.has(name); i++) name = `${stem}.${i}`;
    taken.add(name);
    return name;
  };
}

function namesIn(graph: Graph, names: Set<string>): Set<string> {
  for (const { name } of graph.inputs) names.add(name);
  for (const name of [...graph.initializers.keys(), ...graph.sparse.keys()]) names.add(name);
  for (const node of graph.nodes) {
    for (const name of node.outputs) names.add(name);
    for (const body of subgraphs(node)) namesIn(body, names);
  }
  return names;
}
