import { describe, expect, test } from 'vitest';
import { channelMetric, times } from '../../../compiler/compress/channel-metric.ts';
import { gaussian, seededRandom } from '../../../shared/random.ts';
import { float32, type Tensor } from '../../../shared/tensor.ts';
import { runGraph } from '../run-graph.ts';
import { graphOf } from '../text-graph.ts';

const CHANNELS = 4;

/** By how much an error in x's channels at one inner position moves the outputs: the sum of squares. */
async function movedBy(
  graph: ReturnType<typeof graphOf>,
  feeds: Record<string, Tensor>,
  error: readonly number[],
): Promise<number> {
  const data = Float32Array.from(feeds['x']?.data as Float32Array);
  for (const [c, value] of error.entries()) data[c * 25 + 12] = (data[c * 25 + 12] as number) + value;
  const [plain, other] = [
    await runGraph(graph, feeds),
    await runGraph(graph, { ...feeds, x: float32([1, CHANNELS, 5, 5], data) }),
  ];
  let sum = 0;
  for (const [name, { data: values }] of Object.entries(other)) {
    for (const [i, value] of (values as Float32Array).entries()) {
      sum += (value - (plain[name]?.data[i] as number)) ** 2;
    }
  }
  return sum;
}

function lengthAfter(matrix: Float64Array, error: readonly number[]): number {
  const row = times(Float64Array.from(error), matrix, CHANNELS);
  return row.reduce((sum, value) => sum + value ** 2, 0);
}

const zeros = (channels: number) => float32([1, channels, 5, 5], new Float32Array(channels * 25));

describe('what errors in channels matter', () => {
  test.each([
    ['a convolution', 'in x [1,4,5,5]\nconst w [6,4,3,3]\ny = Conv(x, w) pads=[1,1,1,1]\nout y'],
    ['groups', 'in x [1,4,5,5]\nconst w [6,2,3,3]\ny = Conv(x, w) pads=[1,1,1,1] group=2\nout y'],
    [
      'two readers',
      'in x [1,4,5,5]\nconst w [3,4,1,1]\nconst v [5,4,1,1]\ny = Conv(x, w)\nz = Conv(x, v)\nout y\nout z',
    ],
    [
      'a Concat that begins with it',
      'in x [1,4,5,5]\nin u [1,3,5,5]\nconst w [2,7,1,1]\nc = Concat(x, u) axis=1\ny = Conv(c, w)\nout y',
    ],
    [
      'a Concat that ends with it',
      'in u [1,3,5,5]\nin x [1,4,5,5]\nconst w [2,7,1,1]\nc = Concat(u, x) axis=1\ny = Conv(c, w)\nout y',
    ],
  ])('behind %s is what they do to what comes of it', async (_, text) => {
    const graph = graphOf(text);
    const feeds = Object.fromEntries(graph.inputs.map(({ name, shape }) => [name, zeros(Number(shape?.[1]))]));
    const metric = channelMetric([graph], 'x', CHANNELS);
    if (!metric) throw new Error('expected a metric');
    const unit = (c: number) => Array.from({ length: CHANNELS }, (_, i) => Number(i === c));
    let trace = 0;
    for (let c = 0; c < CHANNELS; c++) trace += await movedBy(graph, feeds, unit(c));
    const random = seededRandom(7);
    for (let i = 0; i < 5; i++) {
      const error = unit(0).map(() => gaussian(random));
      const own = error.reduce((sum, value) => sum + value ** 2, 0);
      const moved = (await movedBy(graph, feeds, error)) * (CHANNELS / trace);
      expect(lengthAfter(metric.root, error)).toBeCloseTo(moved + 0.1 * own, 3);
      const back = times(times(Float64Array.from(error), metric.root, CHANNELS), metric.inverse, CHANNELS);
      for (const [c, value] of back.entries()) expect(value).toBeCloseTo(error[c] as number, 9);
    }
  });

  test.each([
    ['something else', 'in x [1,4,5,5]\nconst w [6,4,1,1]\ny = Conv(x, w)\nz = Relu(x)\nout y\nout z'],
    [
      'a Concat along another axis',
      'in x [1,4,5,5]\nconst w [6,4,1,1]\nc = Concat(x, x) axis=2\ny = Conv(c, w)\nout y',
    ],
    ['nothing', 'in x [1,4,5,5]\nin u [1,4,5,5]\ny = Relu(u)\nout y'],
  ])('is not known where %s reads them', (_, text) => {
    expect(channelMetric([graphOf(text)], 'x', CHANNELS)).toBeUndefined();
  });

  test('adds up over the graphs of a tail', () => {
    const first = graphOf('in x [1,4,5,5]\nconst w [6,4,1,1]\ny = Conv(x, w)\nout y');
    const [both, one] = [[first, first], [first]].map((graphs) => channelMetric(graphs, 'x', CHANNELS));
    for (const [i, value] of (both?.root ?? []).entries()) expect(value).toBeCloseTo(one?.root[i] ?? Number.NaN, 9);
    expect(both?.root).toHaveLength(CHANNELS ** 2);
  });
});
