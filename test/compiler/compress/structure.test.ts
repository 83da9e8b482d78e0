import { beforeAll, describe, expect, test } from 'vitest';
import type { SegmentData } from '../../../compiler/compress/segment-data.ts';
import {
  chooseTogether,
  rebuildStructure,
  type StructurePrices,
  structurePrices,
} from '../../../compiler/compress/structure.ts';
import { squaredError } from '../../../compiler/compress/trial.ts';
import { writeModel } from '../../../compiler/onnx/write.ts';
import { serverRuntime } from '../../../compiler/runtimes.ts';
import type { Tensors } from '../../../shared/tensor.ts';
import { dataOf, modelOf, randomFeeds, runGraph } from '../run-graph.ts';
import { graphOf } from '../text-graph.ts';

/** Layers of all kinds, and a few that a channel goes through on two ways. */
const NET = `in x [1,3,10,12]
const w1 [16,3,3,3]
const b1 [16]
a = Conv(x, w1, b1) pads=[1,1,1,1]
ra = Relu(a)
const w2 [16,1,3,3]
d = Conv(ra, w2) pads=[1,1,1,1] group=16
rd = HardSigmoid(d)
const w3 [24,16,1,1]
const b3 [24]
e = Conv(rd, w3, b3)
re = Relu(e)
j = Concat(re, ra) axis=1
const w4 [24,40,1,1]
const b4 [24]
g = Conv(j, w4, b4)
s = Add(g, re)
const w5 [4,24,3,3]
h = Conv(s, w5)
out h`;

const SAMPLES = 12;

function dataFrom(text: string): SegmentData {
  const model = modelOf(graphOf(text), 13);
  return dataOf(
    model,
    Array.from({ length: SAMPLES }, (_, i) => randomFeeds(model.graph, 100 + i)),
  );
}

async function macsOf(data: SegmentData): Promise<number> {
  return (await structurePrices(data, { technique: 'channels', trialSamples: 1 })).macs;
}

async function heldOutError({ model }: SegmentData, run: (feeds: Tensors) => Promise<Tensors>): Promise<number> {
  let sum = 0;
  for (let i = 0; i < 4; i++) {
    const feeds = randomFeeds(model.graph, 900 + i);
    sum += squaredError(await run(feeds), await runGraph(model.graph, feeds, 13)) / 4;
  }
  return sum;
}

describe('a segment made smaller', () => {
  const data = dataFrom(NET);
  const prices = new Map<string, StructurePrices>();
  beforeAll(async () => {
    for (const technique of ['channels', 'low-rank', 'both'] as const) {
      prices.set(technique, await structurePrices(data, { technique, step: 4, trialSamples: 4 }));
    }
  });
  const of = (technique: string) => prices.get(technique) as StructurePrices;

  test.each([
    ['channels', 0.8],
    ['channels', 0.5],
    ['low-rank', 0.8],
    ['both', 0.5],
  ])('by %s to %f of its multiply-accumulates has no more, and as many as was expected', async (technique, share) => {
    const choice = of(technique).choose({ macsShare: share });
    const model = await rebuildStructure(data, choice);
    const macsRatio = (await macsOf({ ...data, model })) / of(technique).macs;
    expect(macsRatio).toBeLessThanOrEqual(share);
    expect(macsRatio).toBeGreaterThan(share - 0.15);
    expect(macsRatio).toBeCloseTo(choice.macs / of(technique).macs, 9);
    const error = await heldOutError(data, (feeds) => runGraph(model.graph, feeds, 13));
    expect(error).toBeLessThan(0.35);
    expect(writeModel(model).length).toBeLessThan(writeModel(data.model).length);
  });

  test('costs more error the smaller it is', async () => {
    const errors: number[] = [];
    for (const macsShare of [0.9, 0.6, 0.3]) {
      const model = await rebuildStructure(data, of('both').choose({ macsShare }));
      errors.push(await heldOutError(data, (feeds) => runGraph(model.graph, feeds, 13)));
    }
    expect(errors).toEqual([...errors].sort((a, b) => a - b));
  });

  test('by channels and ranks is expected to lose no more than by either', () => {
    const lost = (technique: string) => of(technique).choose({ macsShare: 0.8 }).error;
    expect(lost('both')).toBeLessThanOrEqual(Math.min(lost('channels'), lost('low-rank')) + 1e-9);
  });

  test('by a price makes no change that costs more', () => {
    const cheap = of('both').choose({ priceMax: 1e-7 });
    const dear = of('both').choose({ priceMax: 1e-5 });
    expect(cheap.price).toBeLessThanOrEqual(1e-7);
    expect(dear.price).toBeGreaterThan(1e-7);
    expect(dear.macs).toBeLessThan(cheap.macs);
    expect(of('both').choose({ priceMax: 0 }).macs).toBe(of('both').macs);
  });

  test('is the same each time', async () => {
    const bytes = async () => {
      const { choose } = await structurePrices(data, { technique: 'both', step: 4, trialSamples: 4 });
      return writeModel(await rebuildStructure(data, choose({ macsShare: 0.6 })));
    };
    expect(await bytes()).toEqual(await bytes());
  });

  test('without a layer that can be smaller is what it was', async () => {
    const plain = dataFrom('in x [2,4]\ny = Softmax(x)\nout y');
    const { macs, choose } = await structurePrices(plain, { technique: 'both' });
    const model = await rebuildStructure(plain, choose({ macsShare: 0.5 }));
    expect(await macsOf({ ...plain, model })).toBe(macs);
    expect(model.graph.nodes.length).toBe(1);
  });

  test('has its shapes of the graph as it is written: onnxruntime takes a Range away that is asked for, and crashes', async () => {
    const positions = 's = Shape(x)\nn = Gather(s, 1n)\nr = Range(0n, n, 1n)\np = Gather(w, r)\na = Add(x, p)';
    const text = `in x [1,8,16]\nconst w [64,16]\nconst v [16,16]\n${positions}\nb = MatMul(a, v)\ny = Tanh(b)\nout y`;
    const model = modelOf(graphOf(text), 18);
    const data = { ...dataOf(model, [randomFeeds(model.graph)]), runtime: serverRuntime() };
    expect((await structurePrices(data, { technique: 'both' })).macs).toBe(8 * 16 * 16);
  });

  test('needs samples', async () => {
    const none: SegmentData = { ...data, async *samples() {} };
    await expect(structurePrices(none, { technique: 'channels' })).rejects.toMatchObject({ code: 'BAD_INPUT' });
  });

  test('together with others gives what costs least, wherever that is', () => {
    const [first, second] = [of('channels'), cheaper(of('channels'), 100)];
    const choices = chooseTogether([first, second], 0.8);
    const kept = choices.map(({ macs }) => macs / first.macs) as [number, number];
    expect((kept[0] + kept[1]) / 2).toBeLessThanOrEqual(0.8);
    expect((kept[0] + kept[1]) / 2).toBeGreaterThan(0.7);
    expect(kept[1]).toBeLessThan(kept[0]);
    expect(chooseTogether([first, second], 1).map(({ macs }) => macs)).toEqual([first.macs, first.macs]);
  });
});

/** The same segment, whose errors matter less. */
function cheaper(prices: StructurePrices, times: number): StructurePrices {
  return {
    ...prices,
    choose({ priceMax = Number.POSITIVE_INFINITY, ...target }) {
      const choice = prices.choose({ ...target, priceMax: priceMax * times });
      return { ...choice, price: choice.price / times };
    },
  };
}
