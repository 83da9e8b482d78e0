/**
 * Raises the version of the standard operator set that a graph is written in, for a pass that needs an operator of a newer
 * one. Every node is converted, those in bodies too, or none: operators that are not known to have kept their meaning, and
 * functions that only the model knows, are refused.
 */
import {
  type Attribute,
  type Constant,
  cloneNode,
  constantOf,
  type Graph,
  type Model,
  type Node,
  subgraphs,
} from '../graph/graph.ts';
import { knownDims } from '../graph/known-dims.ts';
import { CHANGED, type Conversion, type Surroundings, UNCHANGED } from './opset-changes.ts';

/** From here on what changed is known, */
const OPSET_MIN = 6;
/** and up to here: no pass needs a newer one. */
export const OPSET_MAX = 20;

/** Operators of these domains have versions of their own. */
const OTHER_DOMAINS: ReadonlySet<string> = new Set(['ai.onnx.ml', 'com.microsoft']);

/** @returns whether the graph now is of opset `to`; where it is not, nothing was touched, and `refusal` tells why */
export function upgradeOpset(graph: Graph, from: number, to: number): boolean {
  if (refusal(graph, from, to) !== undefined) return false;
  const { added, around } = surroundings(graph);
  graph.nodes = graph.nodes.map((node) => converted(node, around, from, to));
  for (const [name, constant] of added) graph.initializers.set(name, constant);
  return true;
}

/** What stands in the way of an upgrade: an operator, or a version. */
export function refusal(graph: Graph, from: number, to: number): string | undefined {
  if (from < OPSET_MIN || to > OPSET_MAX || from >= to) return `opset ${from} to ${to}`;
  const { around } = surroundings(graph);
  const refused = firstRefused(graph.nodes, around, from, to);
  return refused && (refused.domain === '' ? refused.op : `${refused.domain}.${refused.op}`);
}

/** A model whose standard operator set is of this version; its IR version is one that may import it. */
export function withOpset(model: Model, opset: number): Model {
  if ((model.opsets.get('') ?? 0) === opset) return model;
  const irVersion = Math.max(model.irVersion, opset >= 19 ? 9 : opset >= 15 ? 8 : 7);
  return { ...model, irVersion, opsets: new Map([...model.opsets, ['', opset]]) };
}

function firstRefused(nodes: readonly Node[], around: Surroundings, from: number, to: number): Node | undefined {
  for (const node of nodes) {
    if (!isStandardDomain(node)) {
      if (OTHER_DOMAINS.has(node.domain)) continue;
      return node;
    }
    if (!UNCHANGED.has(node.op) && !CHANGED[node.op]) return node;
    const draft = cloneNode(node);
    if (!conversions(node, from, to).every((convert) => convert(draft, around))) return node;
    const inner = firstRefused(
      subgraphs(node).flatMap((body) => body.nodes),
      inBody(around),
      from,
      to,
    );
    if (inner) return inner;
  }
  return undefined;
}

/** In the order of versions. */
function conversions({ op }: Node, from: number, to: number): Conversion[] {
  return Object.entries(CHANGED[op] ?? {})
    .filter(([version]) => from < Number(version) && Number(version) <= to)
    .map(([, convert]) => convert);
}

function converted(node: Node, around: Surroundings, from: number, to: number): Node {
  const made = cloneNode(node);
  if (isStandardDomain(node)) for (const convert of conversions(node, from, to)) convert(made, around);
  for (const [name, attribute] of made.attributes)
    made.attributes.set(name, convertedBodies(attribute, around, from, to));
  return made;
}

function convertedBodies(attribute: Attribute, around: Surroundings, from: number, to: number): Attribute {
  const body = (graph: Graph): Graph => ({
    ...graph,
    nodes: graph.nodes.map((node) => converted(node, inBody(around), from, to)),
  });
  if (attribute.type === 'graph') return { ...attribute, value: body(attribute.value) };
  if (attribute.type === 'graphs') return { ...attribute, value: attribute.value.map(body) };
  return attribute;
}

/** Names of a body may hide those around it: what is known of them there does not count. */
function inBody(around: Surroundings): Surroundings {
  return { ...around, rank: () => undefined, constant: () => undefined };
}

function isStandardDomain({ domain }: Node): boolean {
  return domain === '' || domain === 'ai.onnx';
}

/** New constants go to the top, where bodies see them, under names that nothing has anywhere. */
function surroundings(graph: Graph): { added: Map<string, Constant>; around: Surroundings } {
  const dims = knownDims(graph);
  const added = new Map<string, Constant>();
  const names = namesIn(graph);
  const isFloat32 = !hasOtherFloats(graph);
  const add = (stem: string, constant: Constant) => {
    let name = stem;
    for (let i = 1; names.has(name) || added.has(name); i++) name = `${stem}.${i}`;
    added.set(name, constant);
    return name;
  };
  return {
    added,
    around: {
      ints: (values) =>
        add('opset.ints', constantOf({ dtype: 'int64', shape: [values.length], data: BigInt64Array.from(values) })),
      float: (value) =>
        isFloat32
          ? add('opset.float', constantOf({ dtype: 'float32', shape: [], data: Float32Array.of(value) }))
          : undefined,
      rank: (name) => dims.get(name)?.length,
      constant: (name) => graph.initializers.get(name),
    },
  };
}

/** Every name that a graph and its bodies use. */
function namesIn(graph: Graph): Set<string> {
  const names = new Set([...graph.initializers.keys(), ...graph.sparse.keys(), ...graph.values.keys()]);
  for (const { name } of [...graph.inputs, ...graph.overridable, ...graph.outputs]) names.add(name);
  for (const node of graph.nodes) {
    for (const name of [...node.inputs, ...node.outputs]) names.add(name);
    for (const body of subgraphs(node)) for (const name of namesIn(body)) names.add(name);
  }
  return names;
}

/** Whether anything says that there are floats here of another size than 32 bits. Numbers are those of TensorProto.DataType. */
function hasOtherFloats(graph: Graph): boolean {
  const others = new Set(['float16', 'float64', 'bfloat16']);
  const codes = new Set([10n, 11n, 16n]);
  const typed = [...graph.inputs, ...graph.overridable, ...graph.outputs, ...graph.values.values()];
  const isOther = ({ elementType }: { elementType: string }) => others.has(elementType);
  if ([...typed, ...graph.initializers.values()].some(isOther)) return true;
  return graph.nodes.some(
    (node) =>
      subgraphs(node).some(hasOtherFloats) ||
      [...node.attributes.values()].some(
        (attribute) =>
          (attribute.type === 'tensor' && isOther(attribute.value)) ||
          (attribute.type === 'int' && codes.has(attribute.value) && isTypeAttribute(node, attribute)),
      ),
  );
}

/** `to` of Cast, `dtype` of what makes numbers, and whatever contrib operators call theirs: those whose name ends so. */
function isTypeAttribute({ attributes }: Node, attribute: Attribute): boolean {
  return [...attributes].some(([name, value]) => value === attribute && /(^to|type)$/.test(name));
}
