import { describe, expect, test } from 'vitest';
import { addRows, newMoments } from '../../../compiler/linalg/moments.ts';
import { addRidge, fitRidge, secondMoments } from '../../../compiler/linalg/ridge.ts';
import { gaussian, seededRandom } from '../../../shared/random.ts';

const [COLUMNS, TARGETS, COUNT] = [3, 2, 40];

/** Rows about a mean of 2, and what a linear map with a bias makes of them, with noise. */
function drawn(noise: number) {
  const random = seededRandom(3);
  const x = Float32Array.from({ length: COUNT * COLUMNS }, () => 2 + gaussian(random));
  const truth = [1, -2, 0.5, 3, 0, -1];
  const bias = [0.25, -4];
  const z = Float32Array.from({ length: COUNT * TARGETS }, (_, i) => {
    const [r, t] = [Math.floor(i / TARGETS), i % TARGETS];
    const products = [0, 1, 2].map((c) => (x[r * COLUMNS + c] as number) * (truth[t * COLUMNS + c] as number));
    return products.reduce((a, b) => a + b, bias[t] as number) + noise * gaussian(random);
  });
  const moments = newMoments(COLUMNS, TARGETS);
  addRows(moments, x, z);
  return { x, z, truth, bias, moments };
}

/** What the fit minimises: mean squared error, and the ridge times the distance to what it is held to. */
function loss(
  { x, z }: ReturnType<typeof drawn>,
  rows: Float32Array,
  bias: number[],
  held: Float32Array,
  ridge: number,
) {
  let sum = 0;
  for (let r = 0; r < COUNT; r++) {
    for (let t = 0; t < TARGETS; t++) {
      let predicted = bias[t] as number;
      for (let c = 0; c < COLUMNS; c++) predicted += (x[r * COLUMNS + c] as number) * (rows[t * COLUMNS + c] as number);
      sum += (predicted - (z[r * TARGETS + t] as number)) ** 2 / COUNT;
    }
  }
  return sum + ridge * rows.reduce((all, value, i) => all + (value - (held[i] as number)) ** 2, 0);
}

describe('least squares held to weights', () => {
  test('finds the map and the bias that made the targets', () => {
    const { truth, bias, moments } = drawn(0);
    const fit = fitRidge(moments, Float32Array.from(truth), true);
    for (const [i, value] of truth.entries()) expect(fit.rows[i]).toBeCloseTo(value, 4);
    for (const [i, value] of bias.entries()) expect(fit.intercept?.[i]).toBeCloseTo(value, 4);
  });

  test.each([true, false])('is at the minimum of what it minimises, with an intercept: %s', (hasIntercept) => {
    const data = drawn(1);
    const held = new Float32Array([9, 9, 9, -9, -9, -9]);
    const fit = fitRidge(data.moments, held, hasIntercept);
    const ridge = addRidge(secondMoments(data.moments, hasIntercept), COLUMNS);
    const bias = [...(fit.intercept ?? [0, 0])];
    const best = loss(data, fit.rows, bias, held, ridge);
    for (let i = 0; i < fit.rows.length; i++) {
      for (const step of [-0.02, 0.02]) {
        expect(loss(data, fit.rows.with(i, (fit.rows[i] as number) + step), bias, held, ridge)).toBeGreaterThan(best);
      }
    }
    if (!hasIntercept) return;
    for (const step of [-0.02, 0.02]) {
      expect(loss(data, fit.rows, bias.with(0, (bias[0] as number) + step), held, ridge)).toBeGreaterThan(best);
    }
  });

  test('keeps the weight of a column that is always 0', () => {
    const moments = newMoments(2, 1);
    addRows(moments, Float32Array.of(1, 0, 2, 0, 3, 0), Float32Array.of(2, 4, 6));
    const fit = fitRidge(moments, Float32Array.of(0, 7), false);
    expect(fit.rows[0]).toBeCloseTo(2, 2);
    expect(fit.rows[1]).toBeCloseTo(7, 5);
  });
});
