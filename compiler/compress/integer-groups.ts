/**
 * What is to be computed on integers, as groups: a node with the activation that its kernel does in passing, the values it
 * reads and makes, and whose range those values have. Groups are found before anything is rewritten, so that ranges can be
 * calibrated for just what will be needed.
 */
import { type Graph, type GraphIndex, indexGraph, type Node } from '../graph/graph.ts';
import {
  type Activation,
  absorbedActivation,
  dataInputs,
  float32Values,
  integerKind,
  whyFloat,
} from './integer-nodes.ts';

export interface IntegerGroup {
  /** The node's first output: what it is asked for by. */
  readonly name: string;
  readonly node: Node;
  readonly activation: Activation | undefined;
  /** Values it computes with; constants too, but not a layer's weight. */
  readonly data: readonly string[];
  /** What the group makes, behind its activation. */
  readonly outputs: readonly string[];
  /** Whether its result is rounded to 8 bits: products of matrices can give float32, and do where no integers are wanted. */
  readonly givesCodes: boolean;
}

export interface SkippedNode {
  readonly name: string;
  readonly reason: string;
}

export interface IntegerGroups {
  readonly groups: readonly IntegerGroup[];
  readonly skipped: readonly SkippedNode[];
}

/**
 * @param nodes outputs of the nodes asked for. One that names an activation is met by the node before it, if that is named too
 */
export function integerGroups(graph: Graph, nodes: ReadonlySet<string>): IntegerGroups {
  const index = indexGraph(graph);
  const floats = float32Values(graph);
  const chosen = new Map<Node, Activation | undefined>();
  const absorbed = new Set<Node>();
  const skipped: SkippedNode[] = [];
  for (const node of graph.nodes) {
    const name = node.outputs.find((output) => nodes.has(output));
    if (name === undefined || absorbed.has(node)) continue;
    const reason = whyFloat(graph, floats, node);
    if (reason !== undefined) {
      skipped.push({ name, reason });
      continue;
    }
    const activation = absorbedActivation(graph, index, node);
    if (activation) absorbed.add(activation.node);
    chosen.set(node, activation);
  }
  const groups = [...chosen].map(([node, activation]) => groupOf(graph, index, chosen, node, activation));
  return { groups, skipped };
}

function groupOf(
  graph: Graph,
  index: GraphIndex,
  chosen: ReadonlyMap<Node, unknown>,
  node: Node,
  activation: Activation | undefined,
): IntegerGroup {
  const outputs = (activation?.node ?? node).outputs.filter((output) => output !== '');
  const isRead = outputs.some((output) =>
    index.consumers.get(output)?.some((reader) => chosen.has(reader) && dataInputs(graph, reader).includes(output)),
  );
  const givesCodes = isRead || (node.op !== 'MatMul' && node.op !== 'Gemm');
  const data = dataInputs(graph, node);
  const name = node.outputs[0] ?? '';
  // Without codes there is no saturation to do its work.
  if (!givesCodes) return { name, node, activation: undefined, data, outputs: node.outputs, givesCodes };
  return { name, node, activation, data, outputs, givesCodes };
}

/** The value whose range a value has: what moves codes about keeps their scale. */
export function rangeSources(groups: readonly IntegerGroup[]): (name: string) => string {
  const moved = new Map<string, string>();
  for (const { node, data, outputs } of groups) {
    if (integerKind(node) !== 'same-range') continue;
    for (const output of outputs) moved.set(output, data[0] ?? '');
  }
  return (name) => {
    let source = name;
    for (let next = moved.get(source); next !== undefined; next = moved.get(source)) source = next;
    return source;
  };
}

/** The values that need a range before these nodes can be quantized, each once. */
export function valuesToCalibrate(graph: Graph, nodes: ReadonlySet<string>): string[] {
  const { groups } = integerGroups(graph, nodes);
  const source = rangeSources(groups);
  return [...new Set(groups.flatMap((group) => neededRanges(graph, group, source)))];
}

/** Of one group. */
export function neededRanges(
  graph: Graph,
  { data, outputs, givesCodes }: IntegerGroup,
  source: (name: string) => string,
): string[] {
  return [...data, ...(givesCodes ? outputs : [])].map(source).filter((name) => !graph.initializers.has(name));
}

/**
 * The nodes that are worth computing on integers: layers, and what lies between two of them, so that codes go from one to the
 * next. What follows the last layer stays float, for there the codes would only be undone.
 */
export function quantizable(graph: Graph): Set<string> {
  const floats = float32Values(graph);
  const able = graph.nodes.filter((node) => whyFloat(graph, floats, node) === undefined);
  const everything = integerGroups(graph, new Set(able.map(({ outputs }) => outputs[0] ?? ''))).groups;
  const isLayer = ({ node }: IntegerGroup) => integerKind(node) === 'layer';
  const made = new Set<string>();
  const behind = everything.filter((group) => {
    const isChosen = isLayer(group) || group.data.some((name) => made.has(name));
    if (isChosen) for (const output of group.outputs) made.add(output);
    return isChosen;
  });
  const wanted = new Set<string>();
  const between = behind.reverse().filter((group) => {
    const isChosen = isLayer(group) || group.outputs.some((name) => wanted.has(name));
    if (isChosen) for (const name of group.data) wanted.add(name);
    return isChosen;
  });
  return new Set(between.reverse().map(({ name }) => name));
}
