import { expect, test } from 'vitest';
import { addRows, finishMoments, newMoments } from '../../../compiler/linalg/moments.ts';
import { newProducts } from '../../../compiler/linalg/products.ts';
import { gaussian, seededRandom } from '../../../shared/random.ts';
import { literal } from '../run-graph.ts';

test.each([3, 60])('moments of %i columns by the runtime are those by a loop', async (columns) => {
  const random = seededRandom(1);
  const [fast, slow] = [newMoments(columns, 2), newMoments(columns, 2)];
  const products = await newProducts(literal);
  for (const count of [5, 0, 12]) {
    const rows = Float32Array.from({ length: count * columns }, () => gaussian(random));
    const targets = Float32Array.from({ length: count * 2 }, () => gaussian(random));
    await products.add(fast, rows, targets);
    addRows(slow, rows, targets);
  }
  await products.release();
  for (const moments of [fast, slow]) finishMoments(moments);
  expect(fast.count).toBe(17);
  for (const key of ['sum', 'gram', 'targetSum', 'cross'] as const) {
    for (const [i, value] of slow[key].entries()) expect(fast[key][i]).toBeCloseTo(value, 4);
  }
});
