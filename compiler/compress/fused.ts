/**
 * Whether integers were computed on in the end: putting a node between QuantizeLinear and DequantizeLinear asks for an integer
 * kernel, and the runtime has its own conditions. Read off the graph that it says it runs.
 */
import { type Graph, type GraphIndex, indexGraph, type Node } from '../graph/graph.ts';
import { integerKind } from './integer-nodes.ts';
import type { QuantizedNode } from './quantize-nodes.ts';

export type Fusion =
  | { readonly type: 'integer'; readonly name: string; readonly kernel: string }
  /** Neither: it moved codes about, and the runtime found a way without. */
  | { readonly type: 'gone'; readonly name: string }
  | { readonly type: 'float'; readonly name: string; readonly kernel: string; readonly reason: string };

const INTEGER_KERNEL = /^(QLinear\w+|QGemm|MatMulIntegerToFloat|NhwcMaxPool)$/;
const ACTIVATIONS = new Set(['Relu', 'Clip', 'LeakyRelu', 'HardSigmoid', 'Sigmoid', 'Tanh']);

/**
 * @param optimized what the runtime made of the quantized graph, with the names it had
 * @returns one for each of `quantized`, in that order
 */
export function fusionOf(optimized: Graph, quantized: readonly QuantizedNode[]): Fusion[] {
  const index = indexGraph(optimized);
  // A node that was arranged anew, for another layout, has a number behind its name.
  const byName = new Map(optimized.nodes.map((node) => [node.name.replace(/_token_\d+$/, ''), node]));
  return quantized.map(({ name, nodeName, op }): Fusion => {
    const node = byName.get(nodeName);
    if (!node) return isMover(op) ? { type: 'gone', name } : lost(name, op);
    if (INTEGER_KERNEL.test(node.op) || movesCodes(index, node)) return { type: 'integer', name, kernel: node.op };
    return { type: 'float', name, kernel: node.op, reason: reasonOf(optimized, index, node) };
  });
}

function lost(name: string, op: string): Fusion {
  return { type: 'float', name, kernel: 'none', reason: `the runtime has no node of the name that the ${op} had` };
}

function isMover(op: string): boolean {
  return integerKind({ op, domain: '', name: '', inputs: [], outputs: [], attributes: new Map() }) === 'same-range';
}

/** Whether the codes that a node reads are made as such, by whatever chain of nodes that only move them. */
function movesCodes(index: GraphIndex, node: Node): boolean {
  if (integerKind(node) !== 'same-range') return false;
  let at: Node | undefined = node;
  while (at && integerKind(at) === 'same-range') at = index.producer.get(at.inputs[0] ?? '');
  return at !== undefined && (at.op === 'QuantizeLinear' || INTEGER_KERNEL.test(at.op));
}

function reasonOf(graph: Graph, index: GraphIndex, node: Node): string {
  const float = node.inputs.find(
    (name) => name !== '' && index.producer.get(name)?.op !== 'DequantizeLinear' && isData(graph, index, name),
  );
  if (float !== undefined) return `it reads ${float}, which is float32`;
  const [output = ''] = node.outputs;
  const readers = index.consumers.get(output) ?? [];
  if (index.isOutput.has(output)) return 'its result leaves the segment in float32';
  const [reader] = readers;
  if (!reader || readers.length > 1) return `its result is read by ${readers.length} nodes`;
  if (reader.op === 'QuantizeLinear') return `the runtime keeps ${node.op} between these codes in float32`;
  const isBounded = index.consumers.get(reader.outputs[0] ?? '')?.[0]?.op === 'QuantizeLinear';
  if (isBounded && ACTIVATIONS.has(reader.op))
    return `${reader.op} stands between it and its codes, which reach beyond it`;
  if (node.op === 'MatMul') return 'the runtime keeps this MatMul in float32';
  return `its result is read by ${reader.op}, in float32`;
}

/** Whether a value is neither a constant nor one that is made of constants. */
function isData(graph: Graph, index: GraphIndex, name: string): boolean {
  return !graph.initializers.has(name) && index.producer.get(name) !== undefined;
}
