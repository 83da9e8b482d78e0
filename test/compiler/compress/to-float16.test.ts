import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { storeInt8 } from '../../../compiler/compress/store-weights.ts';
import { toFloat16 } from '../../../compiler/compress/to-float16.ts';
import { extractChain } from '../../../compiler/cut/extract.ts';
import { cloneGraph, type Graph, type Model } from '../../../compiler/graph/graph.ts';
import { verifyGraph } from '../../../compiler/graph/verify.ts';
import { readModel } from '../../../compiler/onnx/read.ts';
import { weightBytes } from '../../../compiler/onnx/size.ts';
import { writeModel } from '../../../compiler/onnx/write.ts';
import { simplify } from '../../../compiler/passes/index.ts';
import { liftConstants } from '../../../compiler/passes/lift-constants.ts';
import { seededRandom } from '../../../shared/random.ts';
import type { Tensors } from '../../../shared/tensor.ts';
import { tinyModelBytes } from '../../helpers/tiny-model.ts';
import { tandemError } from '../../shared/tandem-error.ts';
import { expectClose, literal, modelOf, REAL_MODEL, randomFeeds, runModel } from '../run-graph.ts';
import { graphOf, randomTensor, textOf } from '../text-graph.ts';

async function rewritten(model: Model): Promise<Model> {
  const copy = { ...model, graph: cloneGraph(model.graph), opsets: new Map(model.opsets) };
  await toFloat16(copy, literal);
  verifyGraph(copy.graph, 'after float16');
  return copy;
}

async function halfText(text: string, opset = 13): Promise<string> {
  const { graph } = await rewritten(modelOf(graphOf(text), opset));
  return textOf(graph);
}

/** Runs both; the outputs have the same names and types, and are nearly the same. */
async function expectNear(model: Model, half: Model, feeds: Tensors, errorMax: number): Promise<Tensors> {
  const expected = await runModel(writeModel(model), feeds);
  const actual = await runModel(writeModel(half), feeds);
  expectClose(actual, expected, errorMax);
  return expected;
}

function isAnyFloat32(graph: Graph): boolean {
  return [...graph.initializers.values()].some(({ elementType }) => elementType === 'float32');
}

describe('a segment in float16', () => {
  test('computes between casts at its ends, from constants of half the size', async () => {
    const text = 'in x [1,16,3,3]\nconst w [32,16,1,1]\na = Conv(x, w)\ny = Relu(a)\nout y\nout a';
    expect(await halfText(text)).toBe(
      `x.float16 = Cast(x) to=10
a.float16 = Conv(x.float16, w.float16)
y.float16 = Relu(a.float16)
y = Cast(y.float16) to=1
a = Cast(a.float16) to=1`,
    );
    const model = modelOf(graphOf(text), 13);
    const half = await rewritten(model);
    expect(half.graph.initializers.get('w.float16')).toMatchObject({ elementType: 'float16', shape: [32, 16, 1, 1] });
    expect(weightBytes(half.graph) * 2).toBe(weightBytes(model.graph));
    await expectNear(model, half, randomFeeds(model.graph), 5e-3);
  });

  test('keeps what sums over much in float32, and casts a value once each way', async () => {
    const text =
      'in x [4,9]\nr = Relu(x)\na = ReduceMean(r) axes=[1]\nb = Pow(r, 2)\nc = Sub(b, a)\nd = Relu(b)\ny = Add(c, d)\nout y';
    expect(await halfText(text)).toBe(
      `x.float16 = Cast(x) to=10
r.float16 = Relu(x.float16)
r = Cast(r.float16) to=1
a = ReduceMean(r) axes=[1]
b = Pow(r, 2)
b.float16 = Cast(b) to=10
a.float16 = Cast(a) to=10
c.float16 = Sub(b.float16, a.float16)
d.float16 = Relu(b.float16)
y.float16 = Add(c.float16, d.float16)
y = Cast(y.float16) to=1`,
    );
  });

  test('leaves the scales of a Resize and the sums of shapes as they are', async () => {
    const text =
      'in x [1,2,3,4]\nconst s [4] = 1 1 2 2\na = Resize(x, -, s) mode=nearest\nb = Shape(a)\nc = Cast(b) to=1\nd = Mul(c, 1)\ne = Cast(d) to=7\nf = Reshape(a, e)\ny = Neg(f)\nout y';
    const model = modelOf(graphOf(text), 13);
    const half = await rewritten(model);
    const lines = textOf(half.graph);
    expect(lines).toContain('a.float16 = Resize(x.float16, -, s) mode=nearest');
    expect(lines).toContain('d = Mul(c, 1)');
    await expectNear(model, half, randomFeeds(model.graph), 5e-3);
  });

  test('casts integers to float16, and floats to integers', async () => {
    const text =
      'in x [3,5]\na = ArgMax(x) axis=1\nb = Cast(a) to=1\nc = Mul(b, x)\nd = Cast(c) to=6\ny = Cast(d) to=1\nout y';
    const model = modelOf(graphOf(text), 13);
    const half = await rewritten(model);
    expect(textOf(half.graph)).toContain('b.float16 = Cast(a) to=10');
    const feeds: Tensors = {
      x: { dtype: 'float32', shape: [3, 5], data: Float32Array.from({ length: 15 }, (_, i) => i) },
    };
    await expectNear(model, half, feeds, 0);
  });

  test('holds constants that float16 has no room for at its largest, and at its least, value', async () => {
    const model = modelOf(graphOf('in x [3]\nconst c [3] = -1000000000 1e-12 0\ny = Add(x, c)\nout y'), 13);
    const feeds: Tensors = { x: { dtype: 'float32', shape: [3], data: new Float32Array(3) } };
    const { y } = await runModel(writeModel(await rewritten(model)), feeds);
    expect([...(y?.data ?? [])]).toEqual([-65504, 2 ** -24, 0]);
  });

  test('makes weights of stored codes in float32, which a runtime folds, and casts them', async () => {
    const graph = graphOf('in x [1,16,3,3]\nconst w [32,16,1,1]\ny = Conv(x, w)\nout y');
    storeInt8(graph);
    const half = await rewritten(modelOf(graph, 13));
    expect(textOf(half.graph)).toContain(
      'w = Mul(w.cast, w.scale)\nx.float16 = Cast(x) to=10\nw.float16 = Cast(w) to=10',
    );
    await expectNear(modelOf(graph, 13), half, randomFeeds(graph), 5e-3);
  });

  test('refuses a graph with bodies', async () => {
    const graph = graphOf('in x [1]\nin c [1]\ny = If(c)\nout y');
    graph.nodes[0]?.attributes.set('then_branch', { type: 'graph', value: graphOf('b = Neg(x)\nout b') });
    await expect(toFloat16(modelOf(graph), literal)).rejects.toThrow(tandemError('UNSUPPORTED', 'body'));
  });

  test('gives what the tiny model gives', async () => {
    const model = readModel(tinyModelBytes(), 'tiny');
    simplify(model.graph);
    const half = await rewritten(model);
    expect(isAnyFloat32(half.graph)).toBe(false);
    await expectNear(model, half, { x: randomTensor([1, 3, 8, 40], seededRandom(2)) }, 1e-2);
  });

  test('gives what the segments of the model that users run give, with half the weights', async () => {
    const model = readModel(readFileSync(REAL_MODEL), 'real');
    const cuts = [['p2o.Add.127'], ['p2o.AveragePool.1'], ['swish_17.tmp_0']];
    liftConstants(model.graph);
    let live: Tensors = { x: randomTensor([1, 3, 48, 96], seededRandom(5)) };
    for (const { graph } of extractChain(model.graph, cuts).segments) {
      simplify(graph, model.opsets.get(''));
      const segment = { ...model, graph };
      const half = await rewritten(segment);
      expect(weightBytes(half.graph) / weightBytes(graph)).toBeLessThan(0.51);
      live = { ...live, ...(await expectNear(segment, half, live, 1e-2)) };
    }
  }, 60_000);
});
