/**
 * Static 8-bit computation: chosen nodes are put between QuantizeLinear and DequantizeLinear, which the runtime takes for
 * integer kernels. A value has one pair, whoever reads it, so that between two chosen nodes nothing is float. Activations are
 * uint8 and weights int8, always: signed activations have no fast kernel in WebAssembly. The segment's own inputs and outputs
 * stay float32.
 */
import {
  type Constant,
  cloneGraph,
  constantOf,
  type FreshNames,
  floatConstant,
  freshNames,
  type Graph,
  type Model,
  makeNode,
  type Node,
  usedValues,
} from '../graph/graph.ts';
import { upgradeOpset, withOpset } from '../passes/upgrade-opset.ts';
import type { ValueRange } from './activation-ranges.ts';
import { activationCodes, activationScale, type CodeScale } from './integer-codes.ts';
import { type IntegerGroup, integerGroups, neededRanges, rangeSources, type SkippedNode } from './integer-groups.ts';
import type { Activation } from './integer-nodes.ts';
import { type Layer, layerOf } from './layers.ts';
import { quantizeLayer } from './quantize-layer.ts';

/** From here on QuantizeLinear has a scale a channel. */
const OPSET_MIN = 13;

export interface QuantizeOptions {
  /** Outputs of the nodes to quantize: of `quantizable`, or some of them. */
  readonly nodes: ReadonlySet<string>;
  /** At least of `valuesToCalibrate`. */
  readonly ranges: ReadonlyMap<string, ValueRange>;
  /** Whether a weight has one scale or one an output channel. */
  readonly granularity: 'tensor' | 'channel';
  /** 8 where it is not given. */
  readonly weightBitsOf?: (layer: Layer) => 8 | 7;
}

export interface QuantizedNode {
  /** What it was asked for by. */
  readonly name: string;
  /** The node's own name, which the runtime keeps when it puts a kernel in its place. */
  readonly nodeName: string;
  readonly op: string;
  /** The uint8 values it makes; none where it gives float32. */
  readonly codes: readonly string[];
}

export interface Quantization {
  readonly quantized: readonly QuantizedNode[];
  readonly skipped: readonly SkippedNode[];
}

/** A quantized copy, of opset 13 at least. Where its operators cannot be raised to that, everything is skipped. */
export function quantizedModel(model: Model, options: QuantizeOptions): { model: Model } & Quantization {
  const opset = model.opsets.get('') ?? 0;
  const graph = cloneGraph(model.graph);
  if (opset < OPSET_MIN && !upgradeOpset(graph, opset, OPSET_MIN)) {
    const reason = `the segment is of opset ${opset} and cannot be raised to ${OPSET_MIN}`;
    return { model, quantized: [], skipped: [...options.nodes].map((name) => ({ name, reason })) };
  }
  const quantization = quantizeNodes(graph, options);
  return { model: withOpset({ ...model, graph }, Math.max(opset, OPSET_MIN)), ...quantization };
}

/** Rewrites a graph of opset 13 or newer in place. A node that lacks a range is skipped. */
export function quantizeNodes(
  graph: Graph,
  { nodes, ranges, granularity, weightBitsOf }: QuantizeOptions,
): Quantization {
  const { groups, skipped } = rangedGroups(graph, nodes, ranges);
  const fresh = freshNames(graph);
  const pairs = codePairs(graph, groups, ranges, fresh, granularity === 'channel');
  const byNode = new Map(groups.map((group) => [group.node, group]));
  for (const { activation } of groups) if (activation) asClip(graph, fresh, activation);
  const made = new Map(groups.flatMap((group) => (group.givesCodes ? group.outputs.map((o) => [o, group]) : [])));
  const layerWeights = new Map<string, string>();
  const rewritten: Node[] = graph.inputs.flatMap(({ name }) => pairs.ofFloat(name));
  for (const node of graph.nodes) {
    const group = byNode.get(node);
    if (group) {
      uniqueName(node, fresh);
      const layer = layerOf(graph, node);
      const input = layer && pairs.scaleOf(node.inputs[0] ?? '');
      const dequantized = new Map(group.data.map((name) => [name, pairs.dequantized(name)]));
      node.inputs = node.inputs.map((name) => dequantized.get(name) ?? name);
      rewritten.push(...pairs.constants());
      if (layer && input) {
        const codeBits = weightBitsOf?.(layer) ?? 8;
        rewritten.push(
          ...quantizeLayer({ graph, fresh, known: layerWeights }, layer, input.scale, granularity, codeBits),
        );
      }
    }
    const outputs = node.outputs;
    // What it made in float32 gets another name: everyone reads the codes' value under the old one.
    node.outputs = outputs.map((name) => (made.has(name) ? pairs.renamed(name) : name));
    rewritten.push(node, ...outputs.flatMap((name) => (made.has(name) ? pairs.ofMade(name) : pairs.ofFloat(name))));
  }
  graph.nodes = rewritten;
  dropUnused(graph);
  return {
    skipped,
    quantized: groups.map(({ name, node, outputs, givesCodes }) => ({
      ...{ name, nodeName: node.name, op: node.op },
      codes: givesCodes ? outputs.map((output) => pairs.codesOf(output)) : [],
    })),
  };
}

/** Without those that a range is missing for: with each that goes, others may need another one. */
function rangedGroups(graph: Graph, nodes: ReadonlySet<string>, ranges: ReadonlyMap<string, ValueRange>) {
  const left = new Set(nodes);
  const skipped: SkippedNode[] = [];
  for (;;) {
    const found = integerGroups(graph, left);
    const source = rangeSources(found.groups);
    const lacking = found.groups.flatMap((group) => {
      const missing = neededRanges(graph, group, source).find((name) => !ranges.has(name));
      return missing === undefined ? [] : [{ name: group.name, reason: `there is no range of ${missing}` }];
    });
    if (lacking.length === 0) return { groups: found.groups, skipped: [...found.skipped, ...skipped] };
    skipped.push(...lacking);
    for (const { name } of lacking) left.delete(name);
  }
}

/** The pairs of QuantizeLinear and DequantizeLinear around values. */
function codePairs(
  graph: Graph,
  groups: readonly IntegerGroup[],
  ranges: ReadonlyMap<string, ValueRange>,
  fresh: FreshNames,
  meetsBounds: boolean,
) {
  const source = rangeSources(groups);
  const read = new Set(groups.flatMap(({ data }) => data));
  const made = new Set(groups.flatMap(({ outputs, givesCodes }) => (givesCodes ? outputs : [])));
  const bounds = new Map(
    groups.flatMap(({ outputs, activation }) => outputs.map((name) => [name, activation?.bounds])),
  );
  const names = new Map<string, { codes: string; float: string; dequantized: string }>();
  const scales = new Map<string, CodeScale & { readonly inputs: readonly string[] }>();
  const pending: Node[] = [];

  const namesOf = (name: string) => {
    const known = names.get(name);
    if (known) return known;
    const isMade = made.has(name);
    const newNames = {
      codes: fresh(`${name}.uint8`),
      float: isMade ? fresh(`${name}.float`) : name,
      dequantized: isMade ? name : fresh(`${name}.dequantized`),
    };
    names.set(name, newNames);
    return newNames;
  };
  const scaleOf = (name: string) => {
    const root = source(name);
    const known = scales.get(root);
    if (known) return known;
    const range = ranges.get(root) ?? rangeOfConstant(graph, root);
    const scale = activationScale(range, bounds.get(root), meetsBounds);
    const inputs = [fresh(`${root}.scale`), fresh(`${root}.zero-point`)];
    graph.initializers.set(inputs[0] ?? '', scalar('float32', Float32Array.of(scale.scale)));
    graph.initializers.set(inputs[1] ?? '', scalar('uint8', Uint8Array.of(scale.zeroPoint)));
    const result = { ...scale, inputs };
    scales.set(root, result);
    return result;
  };
  const pair = (name: string): Node[] => {
    const { codes, float, dequantized } = namesOf(name);
    const { inputs } = scaleOf(name);
    const quantize = makeNode('QuantizeLinear', [float, ...inputs], [codes]);
    const dequantize = makeNode('DequantizeLinear', [codes, ...inputs], [dequantized]);
    // Not after the value it makes: the node that made it before may be called so.
    dequantize.name = `${codes}.dequantize`;
    return [quantize, dequantize];
  };
  return {
    scaleOf,
    codesOf: (name: string) => namesOf(name).codes,
    /** The name under which a group reads a value. */
    dequantized(name: string): string {
      if (graph.initializers.has(name) && !names.has(name)) pending.push(...this.ofConstant(name));
      return namesOf(name).dequantized;
    },
    renamed: (name: string) => namesOf(name).float,
    /** Behind a group. */
    ofMade: pair,
    /** Of a value that is float32 for others. */
    ofFloat: (name: string) => (read.has(name) ? pair(name) : []),
    /** A constant is kept in codes. */
    ofConstant(name: string): Node[] {
      const { codes, dequantized } = namesOf(name);
      const { inputs, ...scale } = scaleOf(name);
      const { shape, data } = floatConstant(graph, name) ?? { shape: [0], data: new Float32Array(0) };
      graph.initializers.set(codes, constantOf({ dtype: 'uint8', shape, data: activationCodes(data, scale) }));
      return [makeNode('DequantizeLinear', [codes, ...inputs], [dequantized])];
    },
    /** Those of constants that came to be since it was asked last. */
    constants: () => pending.splice(0),
  };
}

function rangeOfConstant(graph: Graph, name: string): ValueRange {
  let [low, high] = [0, 0];
  for (const value of floatConstant(graph, name)?.data ?? [])
    [low, high] = [Math.min(low, value), Math.max(high, value)];
  return { low, high };
}

/** A Max or Min as the operator that the runtime knows to leave out. */
function asClip(graph: Graph, fresh: FreshNames, { node, bounds }: Activation): void {
  if (node.op !== 'Max' && node.op !== 'Min') return;
  const bound = fresh(`${node.outputs[0]}.bound`);
  const value = Float32Array.of(node.op === 'Max' ? bounds.low : bounds.high);
  graph.initializers.set(bound, scalar('float32', value));
  const data = node.inputs.find((name) => !graph.initializers.has(name)) ?? '';
  node.inputs = node.op === 'Max' ? [data, bound] : [data, '', bound];
  node.op = 'Clip';
}

function scalar(dtype: 'float32' | 'uint8', data: Float32Array | Uint8Array): Constant {
  return constantOf({ dtype, shape: [], data });
}

/** The runtime tells its kernels apart by the names of the nodes they came from. */
function uniqueName(node: Node, fresh: FreshNames): void {
  node.name = fresh(`${node.outputs[0]}.integer`);
}

/** Constants that only the float form read. */
function dropUnused(graph: Graph): void {
  const used = new Set(graph.outputs.map(({ name }) => name));
  for (const node of graph.nodes) for (const name of usedValues(node)) used.add(name);
  for (const name of [...graph.initializers.keys()]) if (!used.has(name)) graph.initializers.delete(name);
}
