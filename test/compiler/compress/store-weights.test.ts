import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import * as ort from 'onnxruntime-node';
import { describe, expect, test } from 'vitest';
import { quantizePerChannel, storeInt8 } from '../../../compiler/compress/store-weights.ts';
import { constantTensor, type Graph } from '../../../compiler/graph/graph.ts';
import { verifyGraph } from '../../../compiler/graph/verify.ts';
import { readModel } from '../../../compiler/onnx/read.ts';
import { writeModel } from '../../../compiler/onnx/write.ts';
import { liftConstants } from '../../../compiler/passes/lift-constants.ts';
import { nodeRuntime } from '../../../runtimes/onnxruntime-node.ts';
import { seededRandom } from '../../../shared/random.ts';
import { elementCount } from '../../../shared/tensor.ts';
import { tinyModelBytes } from '../../helpers/tiny-model.ts';
import { expectClose, modelOf, REAL_MODEL, randomFeeds, runGraph } from '../run-graph.ts';
import { graphOf, randomTensor, textOf } from '../text-graph.ts';

/** Stores the weights of a graph, which must give nearly the same outputs then. */
async function stored(text: string, count: number): Promise<Graph> {
  const graph = graphOf(text);
  expect(storeInt8(graph)).toBe(count);
  verifyGraph(graph, 'after storing');
  const feeds = randomFeeds(graph);
  const [actual, expected] = [await runGraph(graph, feeds), await runGraph(graphOf(text), feeds)];
  expectClose(actual, expected, 0.02);
  if (count > 0) expect(() => expectClose(actual, expected, 1e-6)).toThrow();
  // Not in the oracle alone: the runtime that users have folds the two nodes away.
  const session = await nodeRuntime(ort, { threads: 1 }).load(writeModel(modelOf(graph)));
  expectClose(await session.run(feeds), actual, 1e-5);
  return graph;
}

function shapeOf(graph: Graph, name: string): readonly number[] | undefined {
  return graph.initializers.get(name)?.shape;
}

describe('storing weights in 8 bits', () => {
  test('makes a weight anew from codes and a scale a channel', async () => {
    const graph = await stored('in x [1,16,3,3]\nconst w [32,16,1,1]\ny = Conv(x, w)\nout y', 1);
    expect(textOf(graph)).toBe('w.cast = Cast(w.int8) to=1\nw = Mul(w.cast, w.scale)\ny = Conv(x, w)');
    expect(graph.initializers.get('w.int8')).toMatchObject({ elementType: 'int8', shape: [32, 16, 1, 1] });
    expect(shapeOf(graph, 'w.scale')).toEqual([32, 1, 1, 1]);
    expect(graph.initializers.has('w')).toBe(false);
  });

  test.each([
    ['MatMul', 'y = MatMul(x, w)', '[16,24]', [1, 24]],
    ['a MatMul of a batch', 'y = MatMul(x, w)', '[2,16,24]', [1, 1, 24]],
    ['Gemm', 'y = Gemm(x, w, 0)', '[16,24]', [1, 24]],
    ['Gemm with its weight transposed', 'y = Gemm(x, w, 0) transB=1', '[24,16]', [24, 1]],
  ])('has the scales along the output channels of %s', async (_, node, shape, scaleShape) => {
    const graph = await stored(`in x [4,16]\nconst w ${shape}\n${node}\nout y`, 1);
    expect(shapeOf(graph, 'w.scale')).toEqual(scaleShape);
  });

  test('stores a weight that two nodes use once', async () => {
    const graph = await stored('in x [16,16]\nconst w [16,16]\na = MatMul(x, w)\ny = MatMul(a, w)\nout y', 1);
    expect(textOf(graph)).toBe(
      'w.cast = Cast(w.int8) to=1\nw = Mul(w.cast, w.scale)\na = MatMul(x, w)\ny = MatMul(a, w)',
    );
  });

  test('stores a weight that a subgraph reads too', () => {
    const graph = graphOf('in x [1,16,3,3]\nin c [1]\nconst w [16,16,1,1]\na = Conv(x, w)\ny = If(c)\nout y');
    graph.nodes[1]?.attributes.set('then_branch', { type: 'graph', value: graphOf('b = Neg(w)\nout b') });
    expect(storeInt8(graph)).toBe(1);
    verifyGraph(graph, 'after storing');
  });

  test('keeps names that the graph has already', async () => {
    const text =
      'in x [1,16,3,3]\nconst w [16,16,1,1]\nw.int8 = Neg(x)\nw.cast = Mul(w.int8, x)\ny = Conv(w.cast, w)\nout y';
    expect(textOf(await stored(text, 1))).toContain('w.cast.1 = Cast(w.int8.1) to=1');
  });

  test.each([
    ['weights of fewer than 256 elements', 'const w [15,17]\ny = MatMul(x, w)', 15],
    ['a matrix on the left', 'const w [16,17]\ny = MatMul(w, x)', 17],
    ['a vector', 'const w [300]\ny = MatMul(x, w)', 300],
    ['what is no weight', 'const w [17,17]\ny = Add(x, w)', 17],
    ['a bias', 'const w [300]\nconst v [2,1,1]\na = Reshape(x, w)\ny = Neg(a)', 1],
  ])('leaves %s alone', (_, lines, rows) => {
    const text = `in x [17,${rows}]\n${lines}\nout y`;
    const graph = graphOf(text);
    expect(storeInt8(graph)).toBe(0);
    expect(graph).toEqual(graphOf(text));
  });

  test('stores weights of 256 elements', async () => {
    await stored('in x [2,16]\nconst w [16,16]\ny = MatMul(x, w)\nout y', 1);
  });

  test('makes the tiny model half as large, where small tensors weigh', () => {
    const model = readModel(tinyModelBytes(), 'tiny.onnx');
    expect(storeInt8(model.graph)).toBe(4);
    expect(writeModel(model).length / tinyModelBytes().length).toBeLessThan(0.65);
  });

  test('makes the model that users run four times smaller, with the same best classes', async () => {
    const source = readFileSync(REAL_MODEL);
    const model = readModel(source, 'real');
    liftConstants(model.graph);
    expect(storeInt8(model.graph)).toBeGreaterThan(30);
    const compressed = writeModel(model);
    expect(compressed.length / source.length).toBeLessThan(0.3);
    const input = { x: randomTensor([1, 3, 48, 64], seededRandom(5)) };
    const best = async (bytes: Uint8Array) => {
      const session = await nodeRuntime(ort, { threads: 1 }).load(bytes);
      const scores = (await session.run(input))['softmax_11.tmp_0'];
      const data = scores?.data as Float32Array;
      const classes = scores?.shape[2] as number;
      const steps = Array.from({ length: data.length / classes }, (_, t) =>
        data.subarray(t * classes, (t + 1) * classes),
      );
      return steps.map((step) => step.indexOf(step.reduce((a, b) => Math.max(a, b))));
    };
    expect(await best(compressed)).toEqual(await best(source));
  });
});

describe('quantizing a tensor a channel at a time', () => {
  const weights = fc
    .record({
      shape: fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 4 }),
      axis: fc.nat(3),
      seed: fc.nat(),
      zero: fc.nat(3),
    })
    .map(({ shape, axis, seed, zero }) => ({ shape, axis: axis % shape.length, seed, zero }));

  test('is off by at most half a step, and exact where a channel is all zeros', () => {
    fc.assert(
      fc.property(weights, ({ shape, axis, seed, zero }) => {
        const stride = elementCount(shape.slice(axis + 1));
        const channelOf = (i: number) => Math.floor(i / stride) % (shape[axis] as number);
        const data = (randomTensor(shape, seededRandom(seed)).data as Float32Array).map((value, i) =>
          channelOf(i) === zero ? 0 : value * 10 ** (channelOf(i) - 1),
        );
        const { codes, scales, scaleShape } = quantizePerChannel({ shape, data }, axis);
        expect(scaleShape).toEqual(shape.map((dim, i) => (i === axis ? dim : 1)));
        expect(scales).toHaveLength(shape[axis] as number);
        for (const [i, value] of data.entries()) {
          const scale = scales[channelOf(i)] as number;
          expect(Math.abs((codes[i] as number) * scale - value)).toBeLessThanOrEqual((scale / 2) * (1 + 1e-5));
          expect(Math.abs(codes[i] as number)).toBeLessThanOrEqual(127);
        }
      }),
    );
  });

  test('uses the whole range of codes in each channel', () => {
    const data = Float32Array.of(1, -0.25, 0, -1000, 250, 10);
    const { codes, scales } = quantizePerChannel({ shape: [2, 3], data }, 0);
    expect([...codes]).toEqual([127, -32, 0, -127, 32, 1]);
    expect([...scales].map((scale) => scale.toPrecision(6))).toEqual(['0.00787402', '7.87402']);
  });

  test('keeps the sign of weights so small that their scale is not exact any more', () => {
    const { codes } = quantizePerChannel({ shape: [1, 1], data: Float32Array.of(2.5e-43) }, 0);
    expect(codes[0]).toBeGreaterThan(0);
  });

  test('the codes and scales in the graph are those', () => {
    const text = 'in x [1,16,3,3]\nconst w [32,16,1,1]\ny = Conv(x, w)\nout y';
    const graph = graphOf(text);
    const weight = constantTensor(graph.initializers.get('w') as never);
    storeInt8(graph);
    const { codes, scales } = quantizePerChannel({ shape: weight.shape, data: weight.data as Float32Array }, 0);
    expect(constantTensor(graph.initializers.get('w.int8') as never).data).toEqual(codes);
    expect(constantTensor(graph.initializers.get('w.scale') as never).data).toEqual(scales);
  });
});
