import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import * as ort from 'onnxruntime-node';
import { describe, expect, test } from 'vitest';
import { type LayerGrams, layerGrams, rowsToRound } from '../../../compiler/compress/layer-grams.ts';
import { layersOf, storedLayersOf } from '../../../compiler/compress/layers.ts';
import {
  quantizePerChannel,
  storeInt8,
  storeWeights,
  type WeightForm,
} from '../../../compiler/compress/store-weights.ts';
import { constantOf, constantTensor, type Graph, makeNode } from '../../../compiler/graph/graph.ts';
import { verifyGraph } from '../../../compiler/graph/verify.ts';
import { addRows, finishMoments, newMoments } from '../../../compiler/linalg/moments.ts';
import { relativeError } from '../../../compiler/measure/error.ts';
import { readModel } from '../../../compiler/onnx/read.ts';
import { writeModel } from '../../../compiler/onnx/write.ts';
import { liftConstants } from '../../../compiler/passes/lift-constants.ts';
import { nodeRuntime } from '../../../runtimes/onnxruntime-node.ts';
import { seededRandom } from '../../../shared/random.ts';
import { elementCount, type Tensor, type Tensors } from '../../../shared/tensor.ts';
import { tinyModelBytes } from '../../helpers/tiny-model.ts';
import { optimizedOperators } from '../optimized.ts';
import { dataOf, expectClose, modelOf, REAL_MODEL, randomFeeds, runGraph } from '../run-graph.ts';
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

const all = (graph: Graph, form: WeightForm) => new Map(layersOf(graph).map(({ name }) => [name, form]));

describe('storing weights in a form', () => {
  test.each([
    // Of normal values to 15 and 7 even levels 0.11 and 0.22 are lost at best (Max, 1960).
    ['w8', 0.01],
    ['w4', 0.12],
    ['w3', 0.24],
    // Half of the values, the smaller ones, hold 7 % of what normal values have in squares.
    ['sparse', 0.3],
    ['float16', 3e-4],
  ] as const)(
    'of %s gives what its values give, and nothing of it is left when a runtime has folded it',
    async (form, errorMax) => {
      const text =
        'in x [1,16,5,5]\nconst w [32,16,1,1]\nconst d [32,1,3,3]\nconst t [32,8,2,2]\nconst m [36,12]\n' +
        'a = Conv(x, w)\nb = Conv(a, d) group=32 pads=[1,1,1,1]\nc = ConvTranspose(b, t)\nr = Reshape(c, [8,36])\ny = MatMul(r, m)\nout y';
      const [graph, original] = [graphOf(text), graphOf(text)];
      const values = storeWeights(graph, all(graph, form));
      verifyGraph(graph, 'after storing');
      expect([...values.keys()]).toEqual(['w', 'd', 't', 'm']);
      const feeds = randomFeeds(graph);
      const actual = await runGraph(graph, feeds, 13);
      // Another way to the same: the values that were given back, as float weights.
      for (const [name, data] of values) {
        const shape = shapeOf(original, name) as readonly number[];
        const before = constantTensor(original.initializers.get(name) as never);
        expect(relativeError({ ...before, data }, before)).toBeLessThan(errorMax);
        original.initializers.set(name, constantOf({ dtype: 'float32', shape, data }));
      }
      expectClose(actual, await runGraph(original, feeds, 13), 1e-5);
      const float = await runGraph(graphOf(text), feeds, 13);
      expect(() => expectClose(actual, float, 1e-6)).toThrow();
      const operators = await optimizedOperators(graph, 13);
      expect(operators.filter((op) => op === 'Cast' || op === 'Mul' || op === 'DequantizeLinear')).toEqual([]);
    },
  );

  test.each([
    ['w4', 7],
    ['w3', 3],
  ] as const)('of %s has codes up to %i, and uses them', (form, levels) => {
    const graph = graphOf('in x [1,16,3,3]\nconst w [32,16,1,1]\ny = Conv(x, w)\nout y');
    storeWeights(graph, all(graph, form));
    const codes = constantTensor(graph.initializers.get('w.int8') as never).data as Int8Array;
    expect(Math.max(...codes.map(Math.abs))).toBe(levels);
  });

  test('leaves layers that are not named, and weights that one of them reads too', () => {
    const text =
      'in x [16,16]\nconst v [16,16]\nconst w [16,16]\na = MatMul(x, v)\nb = MatMul(a, w)\ny = MatMul(b, w)\nout y';
    const graph = graphOf(text);
    expect([...storeWeights(graph, new Map([['b', 'w4']])).keys()]).toEqual([]);
    expect([
      ...storeWeights(
        graph,
        new Map([
          ['a', 'w4'],
          ['b', 'w4'],
        ]),
      ).keys(),
    ]).toEqual(['v']);
  });

  test('stores a weight that several layers read once, in the strongest form that is asked for', () => {
    const text = 'in x [16,16]\nconst w [16,16]\na = MatMul(x, w)\nb = MatMul(a, w)\ny = MatMul(b, w)\nout y';
    const strongest = (a: WeightForm, b: WeightForm) => {
      const graph = graphOf(text);
      storeWeights(
        graph,
        new Map([
          ['a', a],
          ['b', b],
          ['y', 'w3'],
        ]),
      );
      const [codes] = [...graph.initializers.values()];
      if (codes?.elementType !== 'int8') return codes?.elementType;
      return Math.max(...(constantTensor(codes).data as Int8Array).map(Math.abs));
    };
    expect(strongest('w3', 'w4')).toBe(7);
    expect(strongest('w8', 'w4')).toBe(127);
    expect(strongest('w8', 'float16')).toBe('float16');
  });

  test('reaches what a body reads of the graph around it, but not what the body holds', async () => {
    const body = (outer: string) => {
      const graph = graphOf(`const own [16,16]\na = MatMul(x, ${outer})\nb = MatMul(a, own)\nout b`);
      return graph;
    };
    const graph = graphOf('in x [4,16]\nconst w [16,16]\nconst v [16,16]\nr = Relu(x)\nout y');
    graph.initializers.set('c', constantOf({ dtype: 'bool', shape: [], data: Uint8Array.of(1) } as never));
    graph.nodes.push(
      makeNode('If', ['c'], ['y'], {
        then_branch: { type: 'graph', value: body('w') },
        else_branch: { type: 'graph', value: body('v') },
      }),
    );
    const feeds = randomFeeds(graph);
    const before = await runGraph(graph, feeds);
    const forms = new Map(storedLayersOf(graph).map(({ name }) => [name, 'w8' as const]));
    expect([...storeWeights(graph, forms).keys()]).toEqual(['w', 'v']);
    verifyGraph(graph, 'stored');
    const after = await runGraph(graph, feeds);
    expect(after).not.toEqual(before);
    expect(relativeError(after['y'] as Tensor, before['y'] as Tensor)).toBeLessThan(0.01);
  });

  test.each([
    ['LSTM', '[1,32,16]', '[1,32,8]', 'hidden_size=8'],
    ['GRU of two directions', '[2,24,16]', '[2,24,8]', 'hidden_size=8 direction=bidirectional'],
  ])('reaches both weights of %s', async (name, input, state, attributes) => {
    const [op = ''] = name.split(' ');
    const graph = graphOf(`in x [5,1,16]\nconst w ${input}\nconst r ${state}\ny = ${op}(x, w, r) ${attributes}\nout y`);
    const feeds = randomFeeds(graph);
    const before = await runGraph(graph, feeds);
    const layers = storedLayersOf(graph).map((layer) => layer.name);
    expect(layers).toEqual(['y/W', 'y/R']);
    expect([...storeWeights(graph, new Map(layers.map((layer) => [layer, 'w8' as const]))).keys()]).toEqual(['w', 'r']);
    expect(shapeOf(graph, 'w.scale')).toEqual([1, Number(input.split(',')[1]), 1]);
    verifyGraph(graph, 'stored');
    const after = await runGraph(graph, feeds);
    expect(after).not.toEqual(before);
    expect(relativeError(after['y'] as Tensor, before['y'] as Tensor)).toBeLessThan(0.01);
  });

  test('reaches weights of an LSTM in a body that are brought into order first, once for all that read them', async () => {
    const body = () =>
      graphOf(
        'a = Slice(w, [0], [8], [0])\nb = Slice(w, [8], [32], [0])\nc = Concat(b, a) axis=0\nv = Unsqueeze(c, [0])\n' +
          'y = LSTM(x, v, r) hidden_size=8\nout y',
      );
    const graph = graphOf('in x [5,1,16]\nconst w [32,16]\nconst r [1,32,8]\nz = Relu(x)\nout y');
    graph.initializers.set('is', constantOf({ dtype: 'bool', shape: [], data: Uint8Array.of(1) } as never));
    graph.nodes.push(
      makeNode('If', ['is'], ['y'], {
        then_branch: { type: 'graph', value: body() },
        else_branch: { type: 'graph', value: body() },
      }),
    );
    const layers = storedLayersOf(graph);
    expect(layers.map(({ name, weight, axis }) => [name, weight, axis])).toEqual([
      ['y/W', 'w', 0],
      ['y/R', 'r', 1],
    ]);
    expect([...storeWeights(graph, new Map(layers.map(({ name }) => [name, 'w8' as const]))).keys()]).toEqual([
      'w',
      'r',
    ]);
    verifyGraph(graph, 'stored');
  });

  test('keeps half of the values where it is sparse, the larger ones where there are no samples', () => {
    const graph = graphOf('in x [16,16]\nconst w [16,64]\ny = MatMul(x, w)\nout y');
    const before = (constantTensor(graph.initializers.get('w') as never).data as Float32Array).slice();
    storeWeights(graph, all(graph, 'sparse'));
    const codes = constantTensor(graph.initializers.get('w.int8') as never).data as Int8Array;
    const kept = [...codes.keys()].filter((i) => codes[i] !== 0);
    expect(kept.length / codes.length).toBeCloseTo(0.5, 1);
    const median = [...before].map(Math.abs).sort((a, b) => a - b)[512] as number;
    for (const i of kept) expect(Math.abs(before[i] as number)).toBeGreaterThanOrEqual(median);
  });

  test('leaves weights beyond what float16 holds', () => {
    const graph = graphOf('in x [16,16]\nconst w [16,16]\ny = MatMul(x, w)\nout y');
    const weight = constantTensor(graph.initializers.get('w') as never);
    (weight.data as Float32Array)[3] = 65505;
    graph.initializers.set('w', constantOf(weight));
    expect(storeWeights(graph, all(graph, 'float16')).size).toBe(0);
    (weight.data as Float32Array)[3] = 65504;
    expect(storeWeights(graph, all(graph, 'float16')).size).toBe(1);
  });

  test.each([
    ['w8', 0.9],
    ['w4', 0.9],
    ['w3', 0.9],
    // Against the smallest half as zeros; few columns are left to make up for the others.
    ['sparse', 0.96],
  ] as const)('of %s brings outputs nearer by samples, in groups and transposed layouts too', async (form, gain) => {
    const text =
      'in x [1,8,8,8]\nconst w [64,2,3,3]\nconst m [36,60]\na = Conv(x, w) group=4\nr = Reshape(a, [64,36])\ny = MatMul(r, m)\nout a\nout y';
    const original = graphOf(text);
    const samples: Tensors[] = [1, 2, 3, 4].map((seed) => {
      // Neighbours that go together.
      const { data } = randomTensor([1, 8, 8, 8], seededRandom(seed));
      const blurred = (data as Float32Array).map((value, i, all) => value + 2 * (all[i - (i % 8)] ?? 0));
      return { x: { dtype: 'float32', shape: [1, 8, 8, 8], data: blurred } };
    });
    const data = dataOf(modelOf(original, 13), samples.slice(0, 3));
    const grams = await layerGrams(data, layersOf(original), rowsToRound(3));
    const errorsOf = async (given: LayerGrams) => {
      const graph = graphOf(text);
      storeWeights(graph, all(graph, form), given);
      const [held] = samples.slice(3) as [Tensors];
      const [actual, expected] = [await runGraph(graph, held, 13), await runGraph(original, held, 13)];
      return ['a', 'y'].map((name) => relativeError(actual[name] as Tensor, expected[name] as Tensor)) as [
        number,
        number,
      ];
    };
    const [rounded, better] = [await errorsOf(new Map()), await errorsOf(grams)];
    for (const i of [0, 1] as const) expect(better[i]).toBeLessThan(rounded[i] * gain);
  });

  test('sums the samples of all layers that share a weight, and rounds where they read it in two ways', async () => {
    const moments = (seed: number) => {
      const sums = newMoments(16);
      addRows(sums, randomTensor([64, 16], seededRandom(seed)).data as Float32Array);
      finishMoments(sums);
      return [sums];
    };
    const codesOf = (second: string, grams: LayerGrams) => {
      const graph = graphOf(`in x [16,16]\nconst w [16,16]\na = MatMul(x, w)\n${second}\nout y`);
      storeWeights(graph, all(graph, 'w3'), grams);
      return constantTensor(graph.initializers.get('w.int8') as never).data;
    };
    const both = newMoments(16);
    for (const seed of [1, 2]) addRows(both, randomTensor([64, 16], seededRandom(seed)).data as Float32Array);
    finishMoments(both);
    const grams = new Map([
      ['a', moments(1)],
      ['y', moments(2)],
    ]);
    const alone = codesOf('y = Neg(a)', new Map([['a', [both]]]));
    expect(codesOf('y = MatMul(a, w)', grams)).toEqual(alone);
    const nearest = codesOf('y = Neg(a)', new Map());
    expect(nearest).not.toEqual(alone);
    expect(codesOf('y = Gemm(a, w, 0) transB=1', grams)).toEqual(nearest);
    expect(codesOf('y = MatMul(a, w)', new Map([['a', moments(1)]]))).toEqual(nearest);
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
