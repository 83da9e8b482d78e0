/**
 * Cuts a graph into a chain of segments at given boundaries. Walks back from what each segment must give to what it
 * may take; constants, and what is computed from constants alone, go along with every segment that reads them. Unlike
 * onnx.utils.extract_model it refuses a boundary that does not separate the graph, and names what is missing.
 */
import { TandemError } from '../../shared/errors.ts';
import { cloneNode, type Graph, indexGraph, type Node, usedValues, type ValueInfo } from '../graph/graph.ts';

/** One segment: a graph from boundary k-1 to boundary k. */
export interface ExtractedSegment {
  readonly graph: Graph;
  /** What the segment itself reads and makes; a tensor that only passes by is in neither. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
}

/**
 * @param cuts tensor names of boundaries 1..K-1, shallow to deep
 * @returns K segments in chain order
 * @throws BAD_CUT for a name that is no inner value of the graph, or a boundary that does not separate it
 */
export function extractChain(graph: Graph, cuts: readonly (readonly string[])[]): ExtractedSegment[] {
  const { producer } = indexGraph(graph);
  for (const name of cuts.flat()) {
    if (!producer.has(name)) throw new TandemError('BAD_CUT', `there is no inner value called ${name} to cut at`);
  }
  const boundaries = [graph.inputs.map((input) => input.name), ...cuts, graph.outputs.map((output) => output.name)];
  const chain: ChainSoFar = { graph, producer, constant: constantNodes(graph), taken: new Set() };
  return boundaries.slice(1).map((wanted, i) => {
    const given = new Set(boundaries[i]);
    return extractSegment(chain, { index: i + 1, given, wanted });
  });
}

interface ChainSoFar {
  readonly graph: Graph;
  readonly producer: ReadonlyMap<string, Node>;
  /** Nodes that compute from constants alone. */
  readonly constant: ReadonlySet<Node>;
  /** Nodes of the segments before. */
  readonly taken: Set<Node>;
}

interface SegmentRequest {
  /** 1-based place in the chain. */
  readonly index: number;
  readonly given: ReadonlySet<string>;
  readonly wanted: readonly string[];
}

function extractSegment(
  { graph, producer, constant, taken }: ChainSoFar,
  { index, given, wanted }: SegmentRequest,
): ExtractedSegment {
  const graphInputs = new Set(graph.inputs.map((input) => input.name));
  const needed = new Set<Node>();
  const read = new Set<string>();
  const constants = new Set<string>();
  const outputs = wanted.filter((name) => !given.has(name));
  if (outputs.length === 0) {
    throw new TandemError(
      'BAD_CUT',
      `segment ${index} would have nothing to do: boundary ${index} is all in the one before`,
    );
  }
  const pending = [...outputs];
  while (pending.length > 0) {
    const name = pending.pop() as string;
    if (given.has(name)) read.add(name);
    else if (graph.initializers.has(name)) constants.add(name);
    else if (graphInputs.has(name)) throw missing(index, name, wanted);
    else {
      const node = producer.get(name) as Node;
      if (needed.has(node)) continue;
      // A node of an earlier segment is needed again: its value crosses, and the boundary does not list it.
      if (taken.has(node) && !constant.has(node)) throw missing(index, name, wanted);
      needed.add(node);
      pending.push(...usedValues(node));
    }
  }
  const nodes = graph.nodes.filter((node) => needed.has(node));
  for (const node of nodes) taken.add(node);
  const inputs = [...given].filter((name) => read.has(name));
  return {
    inputs,
    outputs,
    graph: {
      name: `${graph.name}.${index}`,
      inputs: inputs.map((name) => valueInfo(graph, name)),
      outputs: outputs.map((name) => valueInfo(graph, name)),
      nodes: nodes.map(cloneNode),
      initializers: new Map([...graph.initializers].filter(([name]) => constants.has(name))),
      values: new Map(),
    },
  };
}

function missing(index: number, name: string, wanted: readonly string[]): TandemError {
  return new TandemError(
    'BAD_CUT',
    `boundary ${index - 1} does not separate the graph: ${name} is needed after it as well, to make [${wanted}]; ` +
      `cut where ${name} is part of the boundary, or elsewhere`,
  );
}

/** One look at each node, in topological order. */
function constantNodes(graph: Graph): Set<Node> {
  const values = new Set(graph.initializers.keys());
  const nodes = new Set<Node>();
  for (const node of graph.nodes) {
    if (!usedValues(node).every((name) => values.has(name))) continue;
    nodes.add(node);
    for (const output of node.outputs) values.add(output);
  }
  return nodes;
}

/** Type of a value at a segment's edge. Tandem's boundaries are float32 unless the file says otherwise. */
function valueInfo(graph: Graph, name: string): ValueInfo {
  const known =
    graph.values.get(name) ??
    graph.inputs.find((input) => input.name === name) ??
    graph.outputs.find((output) => output.name === name);
  return known ?? { name, elementType: 'float32', shape: null };
}
