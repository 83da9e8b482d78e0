/**
 * What a runtime left as operators of their own, and why, read off the graph that it says it runs. The rules are those of
 * onnxruntime's CPU optimizers: an activation, a bias or a scale goes into the convolution or matrix product before it when
 * nothing else reads what that makes. Source: onnxruntime, core/optimizer (conv_activation_fusion, gemm_activation_fusion,
 * conv_add_fusion, conv_mul_fusion, matmul_add_fusion).
 */
import { type Graph, type GraphIndex, indexGraph, type Node } from '../graph/graph.ts';

export interface Unfused {
  readonly op: string;
  readonly reason: string;
  readonly count: number;
  /** A value that one of them makes. */
  readonly example: string;
}

const ACTIVATIONS = new Set(['Relu', 'LeakyRelu', 'Sigmoid', 'Tanh', 'Clip', 'HardSigmoid', 'Elu', 'Selu', 'Softplus']);
const ARITHMETIC = new Set(['Add', 'Sub', 'Mul', 'Div', 'BatchNormalization']);
/** Operators that can take in what follows them. */
const HOSTS = new Set(['Conv', 'FusedConv', 'ConvTranspose', 'Gemm', 'FusedGemm', 'MatMul', 'FusedMatMul']);
const LAYOUT = new Set(['Transpose', 'ReorderInput', 'ReorderOutput']);
const UNPACKING = new Set(['Cast', 'DequantizeLinear', 'QuantizeLinear']);

/** Of the graph that the runtime runs, the most frequent first. */
export function unfusedIn(graph: Graph): Unfused[] {
  const index = indexGraph(graph);
  const found = new Map<string, { op: string; reason: string; count: number; example: string }>();
  for (const node of graph.nodes) {
    const reason = reasonOf(graph, index, node);
    if (reason === undefined) continue;
    const key = `${node.op} ${reason}`;
    const known = found.get(key);
    if (known) known.count++;
    else found.set(key, { op: node.op, reason, count: 1, example: node.outputs[0] ?? '' });
  }
  return [...found.values()].sort((a, b) => b.count - a.count);
}

/** Why a node stands alone that might not; undefined for one of which nobody expects otherwise. */
function reasonOf(graph: Graph, index: GraphIndex, node: Node): string | undefined {
  const isConstant = (name: string) => name === '' || graph.initializers.has(name);
  if (UNPACKING.has(node.op)) {
    return isConstant(node.inputs[0] ?? '') ? 'unpacks a constant at every run' : undefined;
  }
  if (LAYOUT.has(node.op)) return `changes the layout for ${readersOf(index, node) || 'an output'}`;
  const isArithmetic = ARITHMETIC.has(node.op);
  if (!isArithmetic && !ACTIVATIONS.has(node.op)) return undefined;
  const computed = node.inputs.filter((name) => !isConstant(name));
  if (isArithmetic && new Set(computed).size > 1) return 'both operands are computed';
  const [input = ''] = computed;
  const host = index.producer.get(input);
  if (!host) return 'its input comes from outside the segment: a boundary is a barrier';
  if (!HOSTS.has(host.op)) return `follows ${host.op}, which takes nothing in`;
  const readers = index.consumers.get(input)?.length ?? 0;
  if (readers > 1) return `what the ${host.op} makes is read by ${readers} nodes`;
  if (index.isOutput.has(input)) return `what the ${host.op} makes leaves the segment`;
  if (host.attributes.has('activation')) return `the ${host.op} has an activation already`;
  return `the runtime takes no ${node.op} into ${host.op}${isArithmetic ? ' with a constant of this shape' : ''}`;
}

function readersOf(index: GraphIndex, node: Node): string {
  const readers = index.consumers.get(node.outputs[0] ?? '') ?? [];
  return [...new Set(readers.map(({ op }) => op))].sort().join(' and ');
}
