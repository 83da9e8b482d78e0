import { describe, expect, test } from 'vitest';
import type { Graph } from '../../../compiler/graph/graph.ts';
import { writeModel } from '../../../compiler/onnx/write.ts';
import { unfusedIn } from '../../../compiler/report/unfused.ts';
import { optimizedModel } from '../../../compiler/runtimes.ts';
import { modelOf } from '../run-graph.ts';
import { graphOf } from '../text-graph.ts';

const CONV = 'in x [1,4,6,6]\nconst w [4,4,3,3]\nc = Conv(x, w) pads=[1,1,1,1]\n';

/** Operators that onnxruntime leaves, with the reasons found in what it says it runs. */
async function unfused(graph: Graph): Promise<string[]> {
  const run = await optimizedModel(writeModel(modelOf(graph, 13)), 'device');
  return unfusedIn(run.graph).map(({ op, count, reason }) => `${op} x ${count}: ${reason}`);
}

describe('what onnxruntime did not fuse', () => {
  test('is nothing where an activation follows a convolution that nobody else reads', async () => {
    expect(await unfused(graphOf(`${CONV}y = Relu(c)\nout y`))).toEqual([]);
  });

  test('is an activation whose convolution has other readers, or gives an output', async () => {
    const gate = 's = HardSigmoid(c)\ny = Mul(c, s)\nout y';
    expect(await unfused(graphOf(CONV + gate))).toEqual([
      'HardSigmoid x 1: what the Conv makes is read by 2 nodes',
      'Mul x 1: both operands are computed',
    ]);
    expect(await unfused(graphOf(`${CONV}y = Relu(c)\nout y\nout c`))).toEqual([
      'Relu x 1: what the Conv makes leaves the segment',
    ]);
  });

  test('is an activation of what comes from the segment before, or of what takes nothing in', async () => {
    const graph = graphOf('in x [2,3]\na = Tanh(x)\nb = Neg(a)\ny = Sigmoid(b)\nout y');
    expect(await unfused(graph)).toEqual([
      'Tanh x 1: its input comes from outside the segment: a boundary is a barrier',
      'Sigmoid x 1: follows Neg, which takes nothing in',
    ]);
  });

  test('is a second activation, and one that no kernel has', async () => {
    expect(await unfused(graphOf(`${CONV}r = Relu(c)\ny = Tanh(r)\nout y`))).toEqual([
      'Tanh x 1: the FusedConv has an activation already',
    ]);
    expect(await unfused(graphOf(`${CONV}y = Softplus(c)\nout y`))).toEqual([
      'Softplus x 1: the runtime takes no Softplus into Conv',
    ]);
  });

  test('is a sum of two branches, counted', async () => {
    const sums = 'a = Add(x, c)\nb = Add(a, c)\ny = Neg(b)\nout y';
    expect(await unfused(graphOf(CONV + sums))).toEqual(['Add x 2: both operands are computed']);
  });

  test('is a change of layout', async () => {
    const graph = graphOf('in x [2,3]\nt = Transpose(x) perm=[1,0]\ny = Neg(t)\nout y');
    expect(await unfused(graph)).toEqual(['Transpose x 1: changes the layout for Neg']);
  });
});
