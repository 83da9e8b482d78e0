/**
 * Which nodes the runtime can compute on 8-bit integers, and what stands in the way of the others. The rules are those by
 * which onnxruntime puts integer kernels in the place of DequantizeLinear, operator, QuantizeLinear. Source: onnxruntime,
 * core/optimizer/qdq_transformer/selectors_actions (qdq_selector_action_transformer, qdq_selectors) and relu_quantfusion,
 * clip_quantfusion; what of it holds in 1.30 is in the tests of `fused`.
 */
import { elementCount } from '../../shared/tensor.ts';
import {
  floatAttribute,
  floatConstant,
  type Graph,
  type GraphIndex,
  intAttribute,
  isStandard,
  type Node,
  scalarConstant,
  stringAttribute,
} from '../graph/graph.ts';
import { knownDims } from '../graph/known-dims.ts';
import type { ValueRange } from './activation-ranges.ts';
import { layerOf } from './layers.ts';

/** How an operator stands to its integers: `same-range` ones move codes about and compute nothing. */
export type IntegerKind = 'layer' | 'arithmetic' | 'same-range';

const ARITHMETIC = new Set([
  ...['Add', 'Mul', 'AveragePool', 'GlobalAveragePool', 'Concat', 'LeakyRelu', 'Sigmoid', 'Softmax'],
]);
const SAME_RANGE = new Set([
  ...['MaxPool', 'Resize', 'Reshape', 'Transpose', 'Flatten', 'Squeeze', 'Unsqueeze', 'Slice', 'Split'],
]);
const LAYERS = new Set(['Conv', 'Gemm', 'MatMul']);
/** Operators of which every input is data; of the others it is the first alone. */
const ALL_INPUTS = new Set(['Add', 'Mul', 'Concat', 'MatMul']);

/** undefined for an operator without an integer kernel. */
export function integerKind({ op, domain }: Node): IntegerKind | undefined {
  if (domain !== '' && domain !== 'ai.onnx') return undefined;
  if (LAYERS.has(op)) return 'layer';
  if (ARITHMETIC.has(op)) return 'arithmetic';
  return SAME_RANGE.has(op) ? 'same-range' : undefined;
}

/** The values a node computes with, in the order of its inputs; of a layer without its constant weight. */
export function dataInputs(graph: Graph, node: Node): string[] {
  const inputs = ALL_INPUTS.has(node.op) ? node.inputs : node.inputs.slice(0, 1);
  return layerOf(graph, node) ? inputs.slice(0, 1) : inputs;
}

/** Why a node has no integer kernel, or undefined. */
export function whyFloat(graph: Graph, floats: ReadonlySet<string>, node: Node): string | undefined {
  const kind = integerKind(node);
  if (!kind) return `the runtime has no integer kernel of ${node.op}`;
  const data = dataInputs(graph, node);
  if (!data.every((name) => floats.has(name))) return 'it computes with what is not known to be float32';
  if (data.every((name) => graph.initializers.has(name))) return 'it computes with constants alone';
  if (kind === 'layer') return whyFloatLayer(graph, node);
  if (node.op === 'MaxPool' && node.outputs[1]) return 'it gives indices as well';
  if (node.op === 'Resize' && stringAttribute(node, 'mode', 'nearest') !== 'nearest') return 'it interpolates';
  return undefined;
}

function whyFloatLayer(graph: Graph, node: Node): string | undefined {
  const layer = layerOf(graph, node);
  if (isStandard(node, 'MatMul')) return undefined;
  if (!layer) return 'its weight is computed';
  const bias = node.inputs[2];
  const channels = layer.shape[layer.axis];
  const shape = bias ? floatConstant(graph, bias)?.shape : [channels ?? 0];
  if (!shape) return 'its bias is computed';
  if (elementCount(shape) !== channels) return 'its bias is not one number an output channel';
  if (layer.kind !== 'gemm') return undefined;
  const isPlain = ['alpha', 'beta'].every((name) => floatAttribute(node, name, 1) === 1);
  return isPlain && intAttribute(node, 'transA', 0) === 0 ? undefined : 'it scales or transposes what it multiplies';
}

/** What an activation lets through; infinite where it does not bound. */
export interface Activation {
  readonly node: Node;
  readonly bounds: ValueRange;
}

/**
 * The ReLU, Clip, Max or Min that a node's integer kernel does in passing: saturation does it where the codes' range ends with its own.
 * undefined where there is none, or others read what it takes away.
 */
export function absorbedActivation(graph: Graph, index: GraphIndex, node: Node): Activation | undefined {
  const kind = integerKind(node);
  // What moves codes about cannot change their range.
  if (kind === undefined || kind === 'same-range') return undefined;
  const readers = index.consumers.get(node.outputs[0] ?? '') ?? [];
  const [reader] = readers;
  if (!reader || readers.length > 1 || index.isOutput.has(node.outputs[0] ?? '')) return undefined;
  const bounds = boundsOf(graph, node, reader);
  // Codes always hold 0.
  if (!bounds || bounds.low > 0 || bounds.high < 0 || bounds.low === bounds.high) return undefined;
  return { node: reader, bounds };
}

function boundsOf(graph: Graph, host: Node, node: Node): ValueRange | undefined {
  const [low, high] = [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY];
  if (isStandard(node, 'Relu')) return { low: 0, high };
  if (isStandard(node, 'Max') || isStandard(node, 'Min')) {
    const bound = onlyBound(graph, host, node);
    if (bound === undefined) return undefined;
    return node.op === 'Max' ? { low: bound, high } : { low, high: bound };
  }
  if (!isStandard(node, 'Clip')) return undefined;
  const [, lowInput = '', highInput = ''] = node.inputs;
  const min = lowInput ? scalarConstant(graph, lowInput) : floatAttribute(node, 'min', low);
  const max = highInput ? scalarConstant(graph, highInput) : floatAttribute(node, 'max', high);
  return min === undefined || max === undefined ? undefined : { low: min, high: max };
}

/** The number that Max or Min bounds its other input by; undefined where there is none, or it could add axes. */
function onlyBound(graph: Graph, host: Node, { inputs }: Node): number | undefined {
  const [bound] = inputs.filter((name) => name !== host.outputs[0]);
  const rank = graph.initializers.get(bound ?? '')?.shape.length;
  if (bound === undefined || inputs.length !== 2 || rank === undefined) return undefined;
  const isNarrow = rank <= 1 || rank <= (knownDims(graph).get(host.outputs[0] ?? '')?.length ?? 0);
  return isNarrow ? scalarConstant(graph, bound) : undefined;
}

/** Operators with outputs of float32 whenever their first input is. */
const INTEGERS_OUT = new Set(['Shape', 'Size', 'ArgMax', 'ArgMin', 'Cast', 'NonZero', 'QuantizeLinear']);
const BOOLS_OUT = new Set(['Equal', 'Greater', 'Less', 'GreaterOrEqual', 'LessOrEqual', 'And', 'Or', 'Not', 'IsNaN']);

/** Values of which it is known that they are float32: by their types, or where those are missing by what makes them. */
export function float32Values(graph: Graph): Set<string> {
  const floats = new Set<string>();
  const typed = [...graph.values.values(), ...graph.inputs, ...graph.overridable];
  const types = new Map(typed.map(({ name, elementType }) => [name, elementType]));
  for (const [name, { elementType }] of graph.initializers) if (elementType === 'float32') floats.add(name);
  for (const { name, elementType } of graph.inputs) if (elementType === 'float32') floats.add(name);
  for (const { op, inputs, outputs } of graph.nodes) {
    const isByInput = !INTEGERS_OUT.has(op) && !BOOLS_OUT.has(op) && floats.has(inputs[0] ?? '');
    for (const name of outputs) {
      const type = types.get(name) ?? 'undefined';
      if (type === 'float32' || (type === 'undefined' && isByInput)) floats.add(name);
    }
  }
  return floats;
}
