/** A layer's weight and bias, read as rows and written back: what techniques that change values have in common. */

import { float32 } from '../../shared/tensor.ts';
import { constantOf, floatAttribute, floatConstant, freshName, type Graph, intAttribute } from '../graph/graph.ts';
import type { Moments } from '../linalg/moments.ts';
import { inputColumns } from './input-rows.ts';
import { type Layer, rowCount, weightOfRows, weightRows } from './layers.ts';

export interface LayerWeights {
  /** [output channels, inputs of one], as `weightRows` has them. */
  readonly rows: Float32Array;
  /** [output channels]; zeros where there is none yet, undefined where the node cannot have one. */
  readonly bias: Float32Array | undefined;
}

/** Whether what the node gives is its rows times its weight, and a bias. */
export function isPlain(layer: Layer): boolean {
  const { node, kind, shape } = layer;
  if (kind === 'conv-transpose' || (kind === 'matmul' && shape.length !== 2)) return false;
  const isScaled = floatAttribute(node, 'alpha', 1) !== 1 || floatAttribute(node, 'beta', 1) !== 1;
  return kind !== 'gemm' || (!isScaled && intAttribute(node, 'transA', 0) === 0);
}

/** undefined where the bias is no constant, or not one for each channel. */
export function readWeights(graph: Graph, layer: Layer): LayerWeights | undefined {
  const weight = floatConstant(graph, layer.weight);
  if (!weight || !isPlain(layer)) return undefined;
  const rows = weightRows(layer, weight.data);
  if (layer.kind === 'matmul') return { rows, bias: undefined };
  const count = rowCount(layer);
  const name = layer.node.inputs[2] ?? '';
  if (name === '') return { rows, bias: new Float32Array(count) };
  const bias = floatConstant(graph, name);
  return bias?.data.length === count ? { rows, bias: bias.data.slice() } : undefined;
}

/**
 * Gives the node new constants under new names: others may read the old ones, which stay until dead code is removed.
 */
export function writeWeights(graph: Graph, layer: Layer, { rows, bias }: LayerWeights): void {
  const { node, shape } = layer;
  const put = (stem: string, dims: readonly number[], data: Float32Array) => {
    const name = freshName(graph, stem);
    graph.initializers.set(name, constantOf(float32(dims, data)));
    return name;
  };
  node.inputs[1] = put(`${layer.name}.weight`, shape, weightOfRows(layer, rows));
  if (bias) node.inputs[2] = put(`${layer.name}.bias`, [bias.length], bias);
}

/** Other rows, and the bias with which the mean of what the layer gives stays. */
export function withMeanKept(
  { rows, bias }: LayerWeights,
  other: Float32Array,
  { columns, sum, count }: Moments,
): LayerWeights {
  const shifted = bias?.map((value, o) => {
    let shift = 0;
    for (let c = 0; c < columns; c++) {
      const at = o * columns + c;
      shift += (((rows[at] as number) - (other[at] as number)) * (sum[c] as number)) / count;
    }
    return value + shift;
  });
  return { rows: other, bias: shifted };
}

/** Rows of a group are columns × its output channels. */
export function groupRows(layer: Layer, rows: Float32Array, group: number): Float32Array {
  const size = (rowCount(layer) / layer.groups) * inputColumns(layer);
  return rows.subarray(group * size, (group + 1) * size);
}
