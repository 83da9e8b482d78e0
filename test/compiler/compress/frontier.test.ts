import { expect, test } from 'vitest';
import { newFrontier } from '../../../compiler/compress/frontier.ts';
import type { Tensors } from '../../../shared/tensor.ts';
import { expectClose, literal, modelOf, randomFeeds, runGraph } from '../run-graph.ts';
import { graphOf } from '../text-graph.ts';

const TEXT =
  'in x [1,2,4]\na = Relu(x)\nb = Add(a, x)\nc = Shape(b)\nd = Mul(b, a)\ne = Reshape(d, c)\nf = Neg(e)\nout f';

test.each([
  ['keeps what later nodes read', 2 ** 20],
  ['runs anew from where values still fit', 0],
])('a graph run step by step %s', async (_, bytesMax) => {
  const model = modelOf(graphOf(TEXT), 13);
  const samples = [1, 2, 3].map((seed) => randomFeeds(model.graph, seed));
  let begun = 0;
  async function* feeds() {
    begun++;
    yield* samples;
  }
  const frontier = newFrontier(model, feeds, literal, bytesMax);
  const whole = { ...model.graph, outputs: ['x', 'b', 'd', 'f'].slice(1).map(output) };
  for (const [end, name] of [
    [0, 'x'],
    [2, 'b'],
    [4, 'd'],
    [6, 'f'],
  ] as const) {
    let i = 0;
    for await (const value of frontier(end, name)) {
      const sample = samples[i++] as Tensors;
      const expected = name === 'x' ? sample : await runGraph(whole, sample, 13);
      expectClose({ [name]: value }, { [name]: expected[name] as never }, 0);
    }
    expect(i).toBe(3);
  }
  // To look at the first, and to run: once where everything is kept, else each time.
  expect(begun).toBe(bytesMax > 0 ? 2 : 8);
});

function output(name: string) {
  return { name, elementType: 'float32', shape: null } as const;
}
