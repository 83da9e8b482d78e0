import { describe, expect, test } from 'vitest';
import { channelsOf } from '../../../compiler/compress/channel-groups.ts';
import { type Layer, layersOf } from '../../../compiler/compress/layers.ts';
import { reconstruct, targetRows } from '../../../compiler/compress/reconstruct.ts';
import { keptPositions, withoutChannels } from '../../../compiler/compress/remove-channels.ts';
import type { SegmentData } from '../../../compiler/compress/segment-data.ts';
import { squaredError } from '../../../compiler/compress/trial.ts';
import { cloneGraph, type Graph, indexGraph, type Model } from '../../../compiler/graph/graph.ts';
import { inferTypes } from '../../../compiler/graph/infer.ts';
import { observeTypes } from '../../../compiler/graph/observe.ts';
import { verifyGraph } from '../../../compiler/graph/verify.ts';
import type { Tensor, Tensors } from '../../../shared/tensor.ts';
import { dataOf, expectClose, literal, modelOf, randomFeeds, runGraph } from '../run-graph.ts';
import { graphOf } from '../text-graph.ts';

const NET = `in x [1,3,10,12]
const w1 [12,3,3,3]
const b1 [12]
a = Conv(x, w1, b1) pads=[1,1,1,1]
ra = Relu(a)
const w2 [12,1,3,3]
d = Conv(ra, w2) pads=[1,1,1,1] group=12
rd = HardSigmoid(d)
const w3 [8,12,1,1]
e = Conv(rd, w3)
re = Relu(e)
const w4 [8,4,3,3]
g = Conv(re, w4) group=2
p = GlobalAveragePool(g)
f = Flatten(p)
const w5 [8,5]
m = MatMul(f, w5)
const w6 [4,5]
y = Gemm(m, w6) transB=1
out y`;

function dataFrom(text: string, count: number): SegmentData {
  const model = modelOf(graphOf(text), 13);
  return dataOf(
    model,
    Array.from({ length: count }, (_, i) => randomFeeds(model.graph, 100 + i)),
  );
}

/** Every third unit removed, nothing fitted. */
async function pruned({ model, samples }: SegmentData) {
  const typed = { ...model, graph: cloneGraph(model.graph) };
  await inferTypes(typed, literal);
  const { value } = await samples()[Symbol.asyncIterator]().next();
  const channels = channelsOf(model, await observeTypes(typed, literal, value as Tensors));
  const removed = new Set(channels.groups.flatMap(({ units }) => units.filter((_, i) => i % 3 === 1)));
  const { producer } = indexGraph(model.graph);
  const keptOutputs = (layer: string) => {
    const weight = producer.get(layer)?.inputs[1];
    const slice = channels.slices.find(
      (one) => one.reader === layer && one.constant === weight && one.role !== 'input',
    );
    return slice && keptPositions(slice.units, removed);
  };
  return { model: withoutChannels(model, channels, removed), keptOutputs };
}

async function heldOutError(original: Model, other: Model): Promise<number> {
  let sum = 0;
  for (let i = 0; i < 8; i++) {
    const feeds = randomFeeds(original.graph, 900 + i);
    sum += squaredError(await runGraph(other.graph, feeds, 13), await runGraph(original.graph, feeds, 13)) / 8;
  }
  return sum;
}

describe('fitting what is left to the original', () => {
  test('makes the error on other samples less', async () => {
    const data = dataFrom(NET, 24);
    const { model, keptOutputs } = await pruned(data);
    const before = await heldOutError(data.model, model);
    const fitted = await reconstruct(data, { graph: model.graph, keptOutputs });
    verifyGraph(model.graph, 'test');
    // The first layer lost outputs and nothing else: it is exact as it is.
    expect(fitted).toEqual(['d', 'e', 'g', 'm', 'y'].filter((name) => fitted.includes(name)));
    expect(fitted).toEqual(expect.arrayContaining(['e', 'g', 'm']));
    expect(fitted).not.toContain('a');
    expect(await heldOutError(data.model, model)).toBeLessThan(before / 3);
    // Each layer gives what those of its channels that are left gave before.
    const kept = keptOutputs('e') ?? [];
    expect(kept).toEqual([0, 2, 3, 4, 6, 7]);
    const feeds = randomFeeds(data.model.graph, 950);
    const inner = async (graph: Graph) => {
      const outputs = [{ name: 'e', elementType: 'float32', shape: null } as const];
      return (await runGraph({ ...graph, outputs }, feeds, 13))['e'] as Tensor;
    };
    const [own, whole] = [await inner(model.graph), await inner(data.model.graph)];
    const plane = 120;
    const target = kept.flatMap((channel) => [
      ...(whole.data as Float32Array).subarray(channel * plane, (channel + 1) * plane),
    ]);
    const expected = { ...own, data: Float32Array.from(target) } as Tensor;
    expect(squaredError({ e: own }, { e: expected })).toBeLessThan(0.1);
  });

  test('is least squares: columns that others can stand for cost nothing', async () => {
    // The last two channels are sums of the first two; without them the next layer can do the same.
    const data = dataFrom(
      `in x [1,2,6,6]\nconst w1 [4,2,1,1] = 1 0 0 1 1 1 1 -1\na = Conv(x, w1)\nconst w2 [3,4,3,3]\ny = Conv(a, w2)\nout y`,
      6,
    );
    const typed = { ...data.model, graph: cloneGraph(data.model.graph) };
    await inferTypes(typed, literal);
    const feeds = randomFeeds(data.model.graph, 5);
    const channels = channelsOf(data.model, await observeTypes(typed, literal, feeds));
    const { graph } = withoutChannels(data.model, channels, new Set([2, 3]));
    await reconstruct(data, { graph, keptOutputs: (layer) => (layer === 'a' ? [0, 1] : undefined) });
    // What the ridge holds back is in the error.
    expectClose(await runGraph(graph, feeds, 13), await runGraph(data.model.graph, feeds, 13), 0.02);
  });

  test.each([
    ['convolution', 'in x [1,3,6,6]\nconst w [4,3,3,3]\ny = Conv(x, w)\nout y'],
    ['convolution in groups', 'in x [1,4,6,6]\nconst w [6,2,3,3]\nconst b [6]\ny = Conv(x, w, b) group=2\nout y'],
    ['depthwise convolution', 'in x [1,4,6,6]\nconst w [8,1,3,3]\ny = Conv(x, w) group=4\nout y'],
    ['Gemm', 'in x [20,4]\nconst w [4,3]\ny = Gemm(x, w)\nout y'],
  ])('makes up in a %s for what the segments before did to the inputs', async (_, text) => {
    const data = dataFrom(text, 12);
    const halved = (sample: Tensors): Tensors => {
      const x = sample['x'] as Tensor;
      return { x: { ...x, data: (x.data as Float32Array).map((value) => 0.5 * value + 1) } as Tensor };
    };
    const graph = cloneGraph(data.model.graph);
    await reconstruct(data, {
      ...{ graph, keptOutputs: () => undefined },
      async *samples() {
        for await (const sample of data.samples()) yield halved(sample);
      },
    });
    const feeds = randomFeeds(data.model.graph, 5);
    expectClose(await runGraph(graph, halved(feeds), 13), await runGraph(data.model.graph, feeds, 13), 0.02);
  });
});

test('targets are the outputs at positions, of the channels that are left', () => {
  const [conv, product] = layersOf(
    graphOf('in x [1,2,2,2]\nconst w [3,2,1,1]\na = Conv(x, w)\nconst v [2,3]\ny = MatMul(x, v)\nout y'),
  ) as [Layer, Layer];
  const z: Tensor = { dtype: 'float32', shape: [2, 3, 1, 2], data: Float32Array.from({ length: 12 }, (_, i) => i) };
  expect([...targetRows(conv, z, Int32Array.of(1, 2), [0, 2])]).toEqual([1, 5, 6, 10]);
  const rows: Tensor = { ...z, shape: [2, 2, 3] };
  expect([...targetRows(product, rows, Int32Array.of(0, 3), [1])]).toEqual([1, 10]);
});
