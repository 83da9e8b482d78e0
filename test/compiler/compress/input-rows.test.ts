import { describe, expect, test } from 'vitest';
import { inputColumns, inputRows } from '../../../compiler/compress/input-rows.ts';
import { type Layer, layersOf, rowCount, weightOfRows, weightRows } from '../../../compiler/compress/layers.ts';
import { floatConstant } from '../../../compiler/graph/graph.ts';
import type { Tensor } from '../../../shared/tensor.ts';
import { randomFeeds, runGraph } from '../run-graph.ts';
import { graphOf } from '../text-graph.ts';

/** What the layer gives, from its rows alone; [positions, output channels]. */
function outputFromRows(layer: Layer, weight: Float32Array, x: Tensor): number[][] {
  const columns = inputColumns(layer);
  const rowsOfWeight = weightRows(layer, weight);
  const perGroup = rowCount(layer) / layer.groups;
  const outputs: number[][] = [];
  for (const [group, { rows, positions }] of inputRows(layer, x).entries()) {
    for (let r = 0; r < positions.length; r++) {
      const output = outputs[r] ?? [];
      outputs[r] = output;
      for (let o = group * perGroup; o < (group + 1) * perGroup; o++) {
        let sum = 0;
        for (let c = 0; c < columns; c++)
          sum += (rows[r * columns + c] as number) * (rowsOfWeight[o * columns + c] as number);
        output[o] = sum;
      }
    }
  }
  return outputs;
}

/** The output tensor as [positions, channels]: channels are its axis 1 for a convolution and its last else. */
function byPosition({ shape, data }: Tensor, isConv: boolean): number[][] {
  const values = Array.from(data as Float32Array);
  if (!isConv) {
    const width = shape.at(-1) as number;
    return Array.from({ length: values.length / width }, (_, r) => values.slice(r * width, (r + 1) * width));
  }
  const [batch, channels, ...space] = shape as [number, number, ...number[]];
  const plane = space.reduce((a, b) => a * b, 1);
  return Array.from({ length: batch * plane }, (_, p) =>
    Array.from(
      { length: channels },
      (_, c) => values[(Math.floor(p / plane) * channels + c) * plane + (p % plane)] as number,
    ),
  );
}

describe('the input of a layer as rows', () => {
  test.each([
    ['a convolution', 'in x [2,4,5,6]\nconst w [8,4,3,3]\ny = Conv(x, w)\nout y'],
    [
      'one with strides, dilations and uneven pads',
      'in x [1,3,9,8]\nconst w [5,3,3,2]\ny = Conv(x, w) strides=[2,1] dilations=[1,2] pads=[1,0,2,1]\nout y',
    ],
    ['one in groups', 'in x [1,6,5,5]\nconst w [9,2,3,3]\ny = Conv(x, w) group=3 pads=[1,1,1,1]\nout y'],
    ['a depthwise one', 'in x [1,6,5,5]\nconst w [6,1,5,5]\ny = Conv(x, w) group=6 pads=[2,2,2,2]\nout y'],
    [
      'one padded to the same size',
      'in x [1,3,7,8]\nconst w [4,3,4,3]\ny = Conv(x, w) auto_pad=SAME_UPPER strides=[2,2]\nout y',
    ],
    ['one padded before', 'in x [1,3,7,8]\nconst w [4,3,4,3]\ny = Conv(x, w) auto_pad=SAME_LOWER\nout y'],
    ['one of one dimension', 'in x [1,3,7]\nconst w [4,3,2]\ny = Conv(x, w)\nout y'],
    ['a product with a matrix', 'in x [2,3,5]\nconst w [5,7]\ny = MatMul(x, w)\nout y'],
    ['a Gemm', 'in x [4,5]\nconst w [5,7]\ny = Gemm(x, w, 0)\nout y'],
    ['a Gemm with its weight transposed', 'in x [4,5]\nconst w [7,5]\ny = Gemm(x, w, 0) transB=1\nout y'],
  ])('gives what %s gives', async (_, text) => {
    const graph = graphOf(text);
    const feeds = randomFeeds(graph);
    const [layer] = layersOf(graph) as [Layer];
    const weight = floatConstant(graph, layer.weight)?.data as Float32Array;
    const expected = byPosition((await runGraph(graph, feeds))['y'] as Tensor, layer.kind === 'conv');
    const actual = outputFromRows(layer, weight, feeds['x'] as Tensor);
    expect(actual.length).toBe(expected.length);
    for (const [r, row] of expected.entries()) {
      for (const [c, value] of row.entries()) expect(actual[r]?.[c]).toBeCloseTo(value, 4);
    }
    expect(weightOfRows(layer, weightRows(layer, weight))).toEqual(weight);
  });

  test('can be of a few positions, evenly spread', () => {
    const graph = graphOf('in x [10,2]\nconst w [2,3]\ny = MatMul(x, w)\nout y');
    const [layer] = layersOf(graph) as [Layer];
    const x: Tensor = { dtype: 'float32', shape: [10, 2], data: Float32Array.from({ length: 20 }, (_, i) => i) };
    const [{ rows, positions } = { rows: [], positions: [] }] = inputRows(layer, x, 3);
    expect([...positions]).toEqual([0, 3, 6]);
    expect([...rows]).toEqual([0, 1, 6, 7, 12, 13]);
  });
});
