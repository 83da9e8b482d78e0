/**
 * Weight-only storage in 8 bits: every large float weight becomes int8, one scale an output channel, and the graph
 * multiplies it back as Cast -> Mul. onnxruntime folds both when it loads the model, so inference runs at float speed
 * from a file of about a quarter of the size. DequantizeLinear would say the same, but is folded only under an option
 * (research: measured 2x slower on node without it), and float speed is what this recipe promises.
 */
import { elementCount } from '../../shared/tensor.ts';
import {
  constantOf,
  floatConstant,
  freshNames,
  type Graph,
  int,
  intAttribute,
  isStandard,
  makeNode,
  type Node,
} from '../graph/graph.ts';

/** Weights with fewer elements stay float: the two nodes around them would cost more than they save. */
const ELEMENTS_MIN = 256;

/** Rewrites the weights of Conv, MatMul and Gemm in place. Gives the number of weights stored in 8 bits. */
export function storeInt8(graph: Graph): number {
  const dequantizers: Node[] = [];
  const stored = new Set<string>();
  const fresh = freshNames(graph);
  for (const node of graph.nodes) {
    const axis = channelAxis(graph, node);
    const name = node.inputs[1];
    if (axis === undefined || name === undefined || stored.has(name)) continue;
    const weight = floatConstant(graph, name);
    if (!weight || elementCount(weight.shape) < ELEMENTS_MIN) continue;
    const { codes, scales, scaleShape } = quantizePerChannel(weight, axis);
    const codesName = fresh(`${name}.int8`);
    const scaleName = fresh(`${name}.scale`);
    const castName = fresh(`${name}.cast`);
    graph.initializers.delete(name);
    graph.initializers.set(codesName, constantOf({ dtype: 'int8', shape: weight.shape, data: codes }));
    graph.initializers.set(scaleName, constantOf({ dtype: 'float32', shape: scaleShape, data: scales }));
    dequantizers.push(
      makeNode('Cast', [codesName], [castName], { to: int(1) }),
      makeNode('Mul', [castName, scaleName], [name]),
    );
    stored.add(name);
  }
  graph.nodes = [...dequantizers, ...graph.nodes];
  return stored.size;
}

/** The axis of the weight along which output channels run. */
function channelAxis(graph: Graph, node: Node): number | undefined {
  const rank = floatConstant(graph, node.inputs[1] ?? '')?.shape.length ?? 0;
  if (isStandard(node, 'Conv')) return 0;
  if (isStandard(node, 'MatMul') && rank >= 2) return rank - 1;
  if (isStandard(node, 'Gemm')) return intAttribute(node, 'transB', 0) === 1 ? 0 : 1;
  return undefined;
}

/** Symmetric, round to nearest, codes in [-127, 127]. scaleShape broadcasts against the weight. */
export function quantizePerChannel(
  { shape, data }: { shape: readonly number[]; data: Float32Array },
  axis: number,
): { codes: Int8Array; scales: Float32Array; scaleShape: number[] } {
  const channels = shape[axis] ?? 1;
  const stride = elementCount(shape.slice(axis + 1));
  const channelOf = (i: number) => Math.floor(i / stride) % channels;
  const scales = new Float32Array(channels);
  for (let i = 0; i < data.length; i++) {
    const c = channelOf(i);
    scales[c] = Math.max(scales[c] as number, Math.abs(data[i] as number) / 127);
  }
  const codes = new Int8Array(data.length);
  for (let i = 0; i < data.length; i++) {
    const scale = scales[channelOf(i)] as number;
    // Clamped: the scale of very small weights is not exact any more.
    const code = scale === 0 ? 0 : Math.round((data[i] as number) / scale);
    codes[i] = Math.min(127, Math.max(-127, code));
  }
  return { codes, scales, scaleShape: shape.map((_, i) => (i === axis ? channels : 1)) };
}
