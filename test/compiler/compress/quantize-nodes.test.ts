import { describe, expect, test } from 'vitest';
import { calibrateRanges } from '../../../compiler/compress/activation-ranges.ts';
import { fusionOf } from '../../../compiler/compress/fused.ts';
import { quantizable, valuesToCalibrate } from '../../../compiler/compress/integer-groups.ts';
import { type QuantizeOptions, quantizedModel, quantizeNodes } from '../../../compiler/compress/quantize-nodes.ts';
import { constantTensor, type Graph } from '../../../compiler/graph/graph.ts';
import { verifyGraph } from '../../../compiler/graph/verify.ts';
import { relativeError } from '../../../compiler/measure/error.ts';
import { writeModel } from '../../../compiler/onnx/write.ts';
import { optimizedModel } from '../../../compiler/runtimes.ts';
import type { Tensor } from '../../../shared/tensor.ts';
import { dataOf, modelOf, randomFeeds, runGraph } from '../run-graph.ts';
import { floats, graphOf } from '../text-graph.ts';

async function quantized(text: string, options: Partial<QuantizeOptions> = {}) {
  const graph = typeof text === 'string' ? graphOf(text) : text;
  if (graph.nodes.some(({ op }) => op === 'Resize')) graph.initializers.set('scales', floats([4], [1, 1, 2, 2]));
  const model = modelOf(graph, 13);
  const feeds = randomFeeds(graph);
  const nodes = options.nodes ?? quantizable(graph);
  const names = valuesToCalibrate(graph, nodes);
  const ranges = await calibrateRanges(dataOf(model, [feeds]), names, 'min-max');
  const result = quantizedModel(model, { nodes, ranges, granularity: 'channel', ...options });
  verifyGraph(result.model.graph, 'after quantizing');
  const optimized = await optimizedModel(writeModel(result.model), 'device');
  const [expected, actual] = [await runGraph(graph, feeds, 13), await runGraph(result.model.graph, feeds, 13)];
  const errors = Object.entries(expected).map(([name, tensor]) => relativeError(actual[name] as Tensor, tensor));
  return {
    ...result,
    graph: result.model.graph,
    kernels: optimized.graph.nodes.map(({ op }) => op),
    fusions: fusionOf(optimized.graph, result.quantized),
    error: Math.max(...errors),
  };
}

const operators = (graph: Graph) => graph.nodes.map(({ op }) => op);
const CONV = 'in x [1,4,8,8]\nconst w [8,4,3,3]\nconst b [8]\nc = Conv(x, w, b) pads=[1,1,1,1]';
const NEXT = 'const v [4,8,1,1]\nz = Conv(y, v)\nout z';

describe('what onnxruntime makes of quantized nodes', () => {
  test.each([
    ['a convolution with a ReLU', `${CONV}\ny = Relu(c)\n${NEXT}`, 'QLinearConv QLinearConv'],
    ['one with a ReLU6', `${CONV}\ny = Clip(c, 0, 6)\n${NEXT}`, 'QLinearConv QLinearConv'],
    ['one with a narrow Clip on both sides', `${CONV}\ny = Clip(c, -0.31, 0.17)\n${NEXT}`, 'QLinearConv QLinearConv'],
    ['one bounded by Max', `${CONV}\ny = Max(c, -0.4)\n${NEXT}`, 'QLinearConv QLinearConv'],
    ['one bounded by Min', `${CONV}\ny = Min(0.4, c)\n${NEXT}`, 'QLinearConv QLinearConv'],
    [
      'a residual sum with a ReLU',
      'in x [1,4,8,8]\nconst w [4,4,1,1]\nconst v [4,4,1,1]\na = Conv(x, w)\nb = Conv(x, v)\ns = Add(a, b)\ny = Relu(s)\nz = Conv(y, w)\nout z',
      'QLinearConv QLinearConv QLinearAdd QLinearConv',
    ],
    [
      'pools, layouts and matrix products',
      `in x [1,4,8,8]\nconst w [4,4,1,1]\na = Conv(x, w)\nm = MaxPool(a) kernel_shape=[2,2]
       p = AveragePool(m) kernel_shape=[2,2]\nc = Concat(p, p) axis=1\nt = Transpose(c) perm=[0,2,3,1]
       r = Reshape(t, [1,36,8])\nconst v [8,8]\nz = MatMul(r, v)\nq = LeakyRelu(z)\nconst u [8,3]\no = MatMul(q, u)\nout o`,
      'QLinearConv MaxPool QLinearAveragePool QLinearConcat Transpose Reshape QLinearMatMul QLinearLeakyRelu MatMulIntegerToFloat',
    ],
    [
      'fully connected layers, the last of which gives float32',
      'in x [2,4]\nconst w [8,4]\nconst b [8]\na = Gemm(x, w, b) transB=1\ny = Relu(a)\nconst v [8,3]\nz = Gemm(y, v)\no = Softmax(z)\nout o',
      'QGemm QGemm',
    ],
    [
      'a gate of channels by Sigmoid, and a Softmax between layers',
      'in x [1,4,8,8]\nconst w [4,4,1,1]\nconst v [4,4,1,1]\na = Conv(x, w)\ng = GlobalAveragePool(a)\nh = Conv(g, v)\ni = Sigmoid(h)\nm = Mul(a, i)\nn = Softmax(m)\nz = Conv(n, w)\nout z',
      'QLinearConv QLinearGlobalAveragePool QLinearConv QLinearSigmoid QLinearMul QLinearSoftmax QLinearConv',
    ],
    ['SiLU', `${CONV}\ng = Sigmoid(c)\ny = Mul(c, g)\n${NEXT}`, 'QLinearConv QLinearSigmoid QLinearMul QLinearConv'],
    [
      'slices, splits, squeezes and enlarging',
      'in x [1,4,8,8]\nconst w [4,4,1,1]\na = Conv(x, w)\nf = Slice(a, [0], [4], [3])\ng, h = Split(f, [2,2]) axis=1\nk = Concat(h, g) axis=1\nl = Unsqueeze(k, [0])\nm = Squeeze(l, [0])\nn = Resize(m, -, scales) mode=nearest\nz = Conv(n, w)\nq = Flatten(z)\nconst v [512,2]\nzz = Gemm(q, v)\nout zz',
      'QLinearConv Slice Split QLinearConcat Unsqueeze Squeeze Resize QLinearConv Flatten QGemm',
    ],
    [
      'a product of two computed matrices',
      'in x [1,6,8]\nconst w [8,8]\nconst v [8,8]\na = MatMul(x, w)\nb = MatMul(x, v)\nt = Transpose(b) perm=[0,2,1]\ns = MatMul(a, t)\nout s',
      'QLinearMatMul QLinearMatMul Transpose MatMulIntegerToFloat',
    ],
    [
      'a sum with a constant',
      'in x [1,4,8,8]\nconst w [4,4,1,1]\nconst k [1,4,1,1]\na = Conv(x, w)\ns = Add(a, k)\nz = Conv(s, w)\nout z',
      'QLinearConv QLinearAdd QLinearConv',
    ],
  ])('is integer kernels throughout: %s', async (_, text, kernels) => {
    const { fusions, skipped, error } = await quantized(text);
    expect(skipped).toEqual([]);
    expect(fusions.map((fusion) => (fusion.type === 'integer' ? fusion.kernel : fusion))).toEqual(kernels.split(' '));
    expect(error).toBeGreaterThan(0);
    expect(error).toBeLessThan(0.05);
  });

  test('has one pair for a value, whoever reads it, and float32 at both ends', async () => {
    const { kernels } = await quantized(`${CONV}\ny = Relu(c)\n${NEXT}\nout y`);
    expect(kernels).toEqual(['QuantizeLinear', 'QLinearConv', 'QLinearConv', 'DequantizeLinear', 'DequantizeLinear']);
  });

  test('keeps the gate of a hard-swish in float32, between codes', async () => {
    const { kernels } = await quantized(`${CONV}\ng = HardSigmoid(c)\ny = Mul(c, g)\n${NEXT}`);
    expect(kernels.filter((op) => op.startsWith('QLinear') || op === 'HardSigmoid')).toEqual([
      ...['QLinearConv', 'HardSigmoid', 'QLinearMul', 'QLinearConv'],
    ]);
  });

  test('is told where it is not what was asked for: a range that a ReLU does not end', async () => {
    const { model, quantized: asked } = await quantized(`${CONV}\ny = Relu(c)\n${NEXT}`);
    const zero = [...model.graph.initializers].find(([name]) => name === 'y.zero-point') ?? [''];
    model.graph.initializers.set(zero[0], { elementType: 'uint8', shape: [], bytes: Uint8Array.of(128) });
    const optimized = await optimizedModel(writeModel(model), 'device');
    expect(fusionOf(optimized.graph, asked)[0]).toMatchObject({ type: 'float', name: 'c' });
  });
});

describe('quantizing nodes', () => {
  test('takes the names asked for and no others', async () => {
    const { graph } = await quantized(`${CONV}\ny = Relu(c)\n${NEXT}`, { nodes: new Set(['z']) });
    expect(operators(graph)).toEqual([
      ...['Conv', 'Relu', 'QuantizeLinear', 'DequantizeLinear', 'DequantizeLinear', 'Conv'],
      ...['QuantizeLinear', 'DequantizeLinear'],
    ]);
  });

  test.each([
    ['ConvTranspose', 'const w [4,2,2,2]\ny = ConvTranspose(x, w)', 'no integer kernel of ConvTranspose'],
    ['a computed weight', 'in w [8,4,3,3]\ny = Conv(x, w)', 'weight is computed'],
    ['a computed bias', 'in b [8]\nconst w [8,4,3,3]\ny = Conv(x, w, b)', 'bias is computed'],
    ['a ReLU alone', 'y = Relu(x)', 'no integer kernel of Relu'],
    ['a smooth Resize', 'y = Resize(x, -, scales) mode=linear', 'it interpolates'],
    ['MaxPool with indices', 'y, i = MaxPool(x) kernel_shape=[2,2]', 'gives indices'],
  ])('says why it leaves out %s', (_, line, reason) => {
    const graph = graphOf(`in x [1,4,8,8]\n${line}\nout y`);
    const before = operators(graph);
    const { quantized: done, skipped } = quantizeNodes(graph, {
      ...{ nodes: new Set(['y']), ranges: new Map([['x', { low: -1, high: 1 }]]), granularity: 'tensor' },
    });
    expect(done).toEqual([]);
    expect(skipped).toEqual([{ name: 'y', reason: expect.stringContaining(reason) }]);
    expect(operators(graph)).toEqual(before);
  });

  test('leaves out what it has no range for', () => {
    const graph = graphOf(`${CONV}\ny = Relu(c)\n${NEXT}`);
    const ranges = new Map([['x', { low: -1, high: 1 }]]);
    const { skipped } = quantizeNodes(graph, { nodes: new Set(['c', 'z']), ranges, granularity: 'tensor' });
    expect(skipped.map(({ name, reason }) => [name, reason])).toEqual([
      ['c', 'there is no range of y'],
      ['z', 'there is no range of y'],
    ]);
  });

  test('gives weights codes of one scale, or one an output channel, in as many bits as asked for', async () => {
    for (const [granularity, count, bits, most] of [
      ['tensor', 1, 8, 127],
      ['channel', 8, 7, 63],
    ] as const) {
      const { graph } = await quantized(`${CONV}\nout c`, { granularity, weightBitsOf: () => bits });
      const codes = constantTensor(graph.initializers.get('w.codes') ?? floats([], [0])).data as Int8Array;
      expect(Math.max(...codes.map(Math.abs))).toBe(most);
      expect(constantTensor(graph.initializers.get('w.scale') ?? floats([], [0])).data.length).toBe(count);
      expect(graph.initializers.has('w')).toBe(false);
    }
  });

  test('raises the scale of a weight whose bias would not fit 32 bits', async () => {
    const text = 'in x [1,1,2,2]\nconst w [2,1,1,1] = 0.0000000001 1\nconst b [2] = 4 1\ny = Conv(x, w, b)\nout y';
    const { error, graph } = await quantized(text);
    expect(
      Math.abs(constantTensor(graph.initializers.get('b.codes') ?? floats([], [0])).data[0] as number),
    ).toBeLessThan(2 ** 31 - 1);
    expect(error).toBeLessThan(0.01);
  });

  test('raises an older operator set, or leaves everything', () => {
    const graph = graphOf('in x [1,4,8,8]\nconst w [8,4,3,3]\ny = Conv(x, w)\nout y');
    const ranges = new Map(['x', 'y'].map((name) => [name, { low: -1, high: 1 }]));
    const options = { nodes: new Set(['y']), ranges, granularity: 'channel' } as const;
    expect(quantizedModel(modelOf(graph, 9), options).model.opsets.get('')).toBe(13);
    const odd = graphOf('in x [1,4,8,8]\nconst w [8,4,3,3]\nz = Upsample(x)\ny = Conv(z, w)\nout y');
    const { skipped } = quantizedModel(modelOf(odd, 9), options);
    expect(skipped).toEqual([{ name: 'y', reason: 'the segment is of opset 9 and cannot be raised to 13' }]);
  });

  test('finds what is worth it: layers, and what lies between two of them', () => {
    const graph = graphOf(
      `${CONV}\np = MaxPool(x) kernel_shape=[2,2]\ny = Relu(c)\nconst v [4,8,1,1]\nz = Conv(y, v)\nk = Concat(z, z) axis=1\no = Softmax(k)\nout o\nout p`,
    );
    expect([...quantizable(graph)]).toEqual(['c', 'z']);
  });
});
