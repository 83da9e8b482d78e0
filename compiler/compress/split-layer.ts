/** Writes a layer as a chain of thinner ones into the graph. The last keeps the layer's name, bias and place. */

import { float32 } from '../../shared/tensor.ts';
import { constantOf, freshName, type Graph, ints, type Node } from '../graph/graph.ts';
import type { Layer } from './layers.ts';
import type { Factors } from './low-rank.ts';

/** Of a convolution in one group, a Gemm or a MatMul. The bias is written by `writeWeights` before. */
export function splitLayer(graph: Graph, { node, name, kind, shape }: Layer, { rank, down, up }: Factors): void {
  const put = (stem: string, dims: readonly number[], data: Float32Array) => {
    const constant = freshName(graph, stem);
    graph.initializers.set(constant, constantOf(float32(dims, data)));
    return constant;
  };
  const outputs = up.length / rank;
  const columns = down.length / rank;
  const thin = freshName(graph, `${name}.thin`);
  const first: Node = { ...node, name: thin, outputs: [thin], attributes: new Map(node.attributes) };
  if (kind === 'conv') {
    const ones = shape.slice(2).map(() => 1);
    first.inputs = [node.inputs[0] ?? '', put(`${thin}.weight`, [rank, ...shape.slice(1)], down)];
    node.inputs = [thin, put(`${name}.weight`, [outputs, rank, ...ones], up), ...node.inputs.slice(2)];
    node.attributes = new Map([['kernel_shape', ints(ones)]]);
  } else if (kind === 'gemm') {
    first.attributes.set('transB', { type: 'int', value: 1n });
    first.inputs = [node.inputs[0] ?? '', put(`${thin}.weight`, [rank, columns], down)];
    node.attributes.set('transB', { type: 'int', value: 1n });
    node.inputs = [thin, put(`${name}.weight`, [outputs, rank], up), ...node.inputs.slice(2)];
  } else {
    first.inputs = [node.inputs[0] ?? '', put(`${thin}.weight`, [columns, rank], transposed(down, columns))];
    node.inputs = [thin, put(`${name}.weight`, [rank, outputs], transposed(up, rank))];
  }
  graph.nodes.splice(graph.nodes.indexOf(node), 0, first);
}

function transposed(matrix: Float32Array, columns: number): Float32Array {
  const rows = matrix.length / columns;
  return Float32Array.from(
    { length: matrix.length },
    (_, i) => matrix[(i % rows) * columns + Math.floor(i / rows)] as number,
  );
}
