import { describe, expect, test } from 'vitest';
import { layerGrams, rowsToRound } from '../../../compiler/compress/layer-grams.ts';
import { layersOf } from '../../../compiler/compress/layers.ts';
import { toMatMulNBits } from '../../../compiler/compress/matmul-nbits.ts';
import { constantTensor, type Graph, type Model } from '../../../compiler/graph/graph.ts';
import { verifyGraph } from '../../../compiler/graph/verify.ts';
import { readModel } from '../../../compiler/onnx/read.ts';
import { writeModel } from '../../../compiler/onnx/write.ts';
import { seededRandom } from '../../../shared/random.ts';
import { asFloat32, type Tensors } from '../../../shared/tensor.ts';
import { dataOf, expectClose, modelOf, randomFeeds, runGraph, runModel } from '../run-graph.ts';
import { graphOf, randomTensor, textOf } from '../text-graph.ts';

/** The matrix [columns, outputs] or its transpose that the packed codes stand for, from their layout as the operator has it. */
function unpacked(graph: Graph, name: string, columns: number, isTransposed: boolean): Float32Array {
  const constant = (key: string) => constantTensor(graph.initializers.get(`${name}.${key}`) as never);
  const [codes, scales] = [constant('int4'), constant('scales')];
  const [outputs, blocks] = codes.shape as [number, number, number];
  const result = new Float32Array(outputs * columns);
  for (let o = 0; o < outputs; o++) {
    for (let c = 0; c < columns; c++) {
      const block = o * blocks + Math.floor(c / 32);
      const byte = codes.data[block * 16 + Math.floor((c % 32) / 2)] as number;
      const code = (c % 2 === 0 ? byte & 15 : byte >> 4) - 8;
      result[isTransposed ? o * columns + c : c * outputs + o] = code * (scales.data[block] as number);
    }
  }
  return result;
}

/** With the matrix that the codes stand for in its place. */
function dequantized(text: string, graph: Graph, columns: number): Graph {
  const float = graphOf(text);
  const weight = float.initializers.get('w') as NonNullable<ReturnType<Graph['initializers']['get']>>;
  const data = unpacked(graph, 'w', columns, text.includes('transB=1'));
  float.initializers.set('w', { ...weight, bytes: new Uint8Array(data.buffer) });
  return float;
}

const CASES = [
  ['MatMul', 64, 'in x [5,64]\nconst w [64,80]\ny = MatMul(x, w)\nout y'],
  ['a MatMul of a batch', 64, 'in x [2,5,64]\nconst w [64,80]\ny = MatMul(x, w)\nout y'],
  ['a MatMul whose width is no multiple of a block', 70, 'in x [5,70]\nconst w [70,80]\ny = MatMul(x, w)\nout y'],
  ['one of odd width', 71, 'in x [1,71]\nconst w [71,80]\ny = MatMul(x, w)\nout y'],
  ['Gemm', 64, 'in x [5,64]\nconst w [64,80]\nconst b [80]\ny = Gemm(x, w, b)\nout y'],
  ['a transposed Gemm', 64, 'in x [5,64]\nconst w [80,64]\nconst b [80]\ny = Gemm(x, w, b) transB=1\nout y'],
] as const;

describe('products of 4 bits', () => {
  test.each(CASES)('%s gives what its codes stand for', async (_, columns, text) => {
    const model = modelOf(graphOf(text), 13);
    expect(toMatMulNBits(model)).toEqual(['y']);
    verifyGraph(model.graph, 'after rewriting');
    expect(textOf(model.graph)).toContain('MatMulNBits');
    expect(model.graph.initializers.has('w')).toBe(false);
    const feeds = randomFeeds(model.graph);
    const actual = await runModel(writeModel(model), feeds);
    expectClose(actual, await runGraph(dequantized(text, model.graph, columns), feeds, 13), 1e-5);
    const float = await runGraph(graphOf(text), feeds, 13);
    expectClose(actual, float, 0.15);
    expect(() => expectClose(actual, float, 1e-3)).toThrow();
  });

  test("imports the operator's domain in the file", () => {
    const model = modelOf(graphOf(CASES[0][2]), 13);
    toMatMulNBits(model);
    expect(readModel(writeModel(model), 'written').opsets).toEqual(
      new Map([
        ['', 13],
        ['com.microsoft', 1],
      ]),
    );
  });

  test('rounds by GPTQ where there are samples, which brings the product nearer', async () => {
    const text = CASES[0][2];
    const samples: Tensors[] = [1, 2, 3, 4].map((seed) => {
      // Inputs that go together.
      const x = asFloat32(randomTensor([64, 64], seededRandom(seed))).map(
        (value, i, all) => value + 2 * (all[i - (i % 64)] ?? 0),
      );
      return { x: { dtype: 'float32', shape: [64, 64], data: x } };
    });
    const original = graphOf(text.replace('[5,64]', '[64,64]'));
    const data = dataOf(modelOf(original, 13), samples.slice(0, 3));
    const grams = await layerGrams(data, layersOf(original), rowsToRound(3));
    const errorOf = async (model: Model) => {
      const held = samples[3] as Tensors;
      const [a, b] = [await runModel(writeModel(model), held), await runGraph(original, held, 13)];
      return asFloat32(a['y'] as never).reduce((sum, value, i) => sum + (value - Number(b['y']?.data[i])) ** 2, 0);
    };
    const models = [new Map(), grams].map((given) => {
      const model = modelOf(graphOf(text.replace('[5,64]', '[64,64]')), 13);
      toMatMulNBits(model, undefined, given);
      return model;
    }) as [Model, Model];
    expect(await errorOf(models[1])).toBeLessThan((await errorOf(models[0])) * 0.7);
  });

  test('shares the codes of a matrix that two read, and rewrites no other layer than those named', async () => {
    const text = 'in x [5,64]\nconst w [64,64]\na = MatMul(x, w)\ny = MatMul(a, w)\nout y';
    const model = modelOf(graphOf(text), 13);
    expect(toMatMulNBits(model)).toEqual(['a', 'y']);
    expect([...model.graph.initializers.keys()]).toEqual(['w.int4', 'w.scales']);
    const partly = modelOf(graphOf(text), 13);
    expect(toMatMulNBits(partly, new Set(['y']))).toEqual(['y']);
    expect([...partly.graph.initializers.keys()]).toEqual(['w', 'w.int4', 'w.scales']);
  });

  test.each([
    ['small matrices', 'in x [5,8]\nconst w [8,8]\ny = MatMul(x, w)\nout y'],
    ['stacks of matrices', 'in x [2,5,64]\nconst w [2,64,80]\ny = MatMul(x, w)\nout y'],
    ['a Gemm that scales', 'in x [5,64]\nconst w [64,80]\nconst b [80]\ny = Gemm(x, w, b) alpha=0.5\nout y'],
    ['a Gemm with a transposed input', 'in x [64,5]\nconst w [64,80]\nconst b [80]\ny = Gemm(x, w, b) transA=1\nout y'],
    ['a convolution', 'in x [1,64,3,3]\nconst w [80,64,1,1]\ny = Conv(x, w)\nout y'],
  ])('leaves %s alone', (_, text) => {
    const model = modelOf(graphOf(text), 13);
    expect(toMatMulNBits(model)).toEqual([]);
    expect(model).toEqual(modelOf(graphOf(text), 13));
  });
});
