import { describe, expect, test } from 'vitest';
import { channelWeights } from '../../../compiler/compress/channel-weights.ts';
import { float32, type Tensor } from '../../../shared/tensor.ts';
import { runGraph } from '../run-graph.ts';
import { graphOf } from '../text-graph.ts';

const CHANNELS = 4;

/** By how much each channel of x, raised by 1 at one inner position, moves the outputs: the sum of squares. */
async function movedBy(graph: ReturnType<typeof graphOf>, feeds: Record<string, Tensor>): Promise<number[]> {
  const [, , height = 1, width = 1] = feeds['x']?.shape ?? [];
  const plain = await runGraph(graph, feeds);
  const moved: number[] = [];
  for (let c = 0; c < CHANNELS; c++) {
    const data = Float32Array.from(feeds['x']?.data as Float32Array);
    const at = (c * height + (height >> 1)) * width + (width >> 1);
    data[at] = (data[at] as number) + 1;
    const other = await runGraph(graph, { ...feeds, x: float32([1, CHANNELS, height, width], data) });
    let sum = 0;
    for (const [name, { data: values }] of Object.entries(other)) {
      for (const [i, value] of (values as Float32Array).entries()) {
        sum += (value - (plain[name]?.data[i] as number)) ** 2;
      }
    }
    moved.push(sum);
  }
  return moved;
}

const zeros = (channels: number) => float32([1, channels, 5, 5], new Float32Array(channels * 25));

describe('what channels weigh', () => {
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
  ])('behind %s is what an error in them does to what comes of it', async (_, text) => {
    const graph = graphOf(text);
    const feeds = Object.fromEntries(graph.inputs.map(({ name, shape }) => [name, zeros(Number(shape?.[1]))]));
    const moved = await movedBy(graph, feeds);
    const mean = moved.reduce((sum, value) => sum + value, 0) / CHANNELS;
    const weights = channelWeights([graph], 'x', CHANNELS);
    expect(weights).toHaveLength(CHANNELS);
    for (const [c, weight] of (weights ?? []).entries()) {
      expect(weight ** 2).toBeCloseTo((moved[c] as number) / mean + 0.05, 4);
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
    expect(channelWeights([graphOf(text)], 'x', CHANNELS)).toBeUndefined();
  });

  test('adds up over the graphs of a tail', () => {
    const first = graphOf('in x [1,4,5,5]\nconst w [6,4,1,1]\ny = Conv(x, w)\nout y');
    const both = channelWeights([first, first], 'x', CHANNELS);
    expect(both).toEqual(channelWeights([first], 'x', CHANNELS));
  });
});
