import { describe, expect, test } from 'vitest';
import { type Reader, removalOrder } from '../../../compiler/compress/channel-order.ts';
import { readWeights } from '../../../compiler/compress/layer-weights.ts';
import { type Layer, layersOf } from '../../../compiler/compress/layers.ts';
import { addRows, newMoments } from '../../../compiler/linalg/moments.ts';
import { fitRidge } from '../../../compiler/linalg/ridge.ts';
import { gaussian, seededRandom } from '../../../shared/random.ts';
import { graphOf } from '../text-graph.ts';

const [COLUMNS, COUNT] = [6, 200];

/** A product whose inputs 4 and 5 are sums of others: they can go for nothing. Units are pairs where `taps` is 2. */
function reader(taps: number): { reader: Reader; rows: Float32Array } {
  const graph = graphOf('in x [200,6]\nconst w [4,6]\nconst b [4]\ny = Gemm(x, w, b) transB=1\nout y');
  const [layer] = layersOf(graph) as [Layer];
  const random = seededRandom(2);
  const rows = new Float32Array(COUNT * COLUMNS);
  for (let r = 0; r < COUNT; r++) {
    const [a, b, c, d] = Array.from({ length: 4 }, () => gaussian(random) + 1) as [number, number, number, number];
    rows.set([a, b, c, d, a + b, c - d], r * COLUMNS);
  }
  const moments = newMoments(COLUMNS);
  addRows(moments, rows);
  const units = Int32Array.from({ length: COLUMNS }, (_, i) => Math.floor(i / taps));
  return {
    rows,
    reader: { layer, weights: readWeights(graph, layer) as Reader['weights'], moments: [moments], units },
  };
}

/** Squared error of the outputs with other weights, over their variance about the mean. */
function errorOf(
  rows: Float32Array,
  { weights }: Reader,
  other: { rows: Float32Array; bias: Float32Array | undefined },
) {
  let [error, power] = [0, 0];
  const output = (from: { rows: Float32Array; bias: Float32Array | undefined }, r: number, o: number) => {
    let sum = from.bias?.[o] ?? 0;
    for (let c = 0; c < COLUMNS; c++) sum += (rows[r * COLUMNS + c] as number) * (from.rows[o * COLUMNS + c] as number);
    return sum;
  };
  for (let o = 0; o < 4; o++) {
    const values = Array.from({ length: COUNT }, (_, r) => output(weights, r, o));
    const mean = values.reduce((a, b) => a + b, 0) / COUNT;
    for (const [r, value] of values.entries()) {
      power += (value - mean) ** 2;
      error += (output(other, r, o) - value) ** 2;
    }
  }
  return error / power;
}

describe('the order in which channels go', () => {
  test('begins with those that others can stand for, at no error', () => {
    const { reader: one } = reader(1);
    const { order, errors } = removalOrder([0, 1, 2, 3, 4, 5], [one], 1, []);
    // One of {a, b, a+b}, and one of {c, d, c-d}.
    expect([order[0], order[1]].map((unit) => [0, 1, 4].includes(unit as number)).sort()).toEqual([false, true]);
    expect(errors[2]).toBeLessThan(0.01);
    expect(errors[3]).toBeGreaterThan(4 * (errors[2] as number));
    expect(errors[6]).toBe(Number.POSITIVE_INFINITY);
    expect([...order].sort()).toEqual([0, 1, 2, 3, 4, 5]);
  });

  test.each([
    [1, [1, 2, 3, 4]],
    [2, [1, 2]],
  ])('tells the error that the weights which it gives have, with %i columns a unit', (taps, counts) => {
    const { reader: one, rows } = reader(taps);
    const units = [...new Set(one.units)];
    const { order, errors, weights } = removalOrder(units, [one], 1, counts);
    for (const count of counts) {
      const changed = weights.get(count)?.get('y') as Reader['weights'];
      for (const unit of order.slice(0, count)) {
        for (const [c, owner] of one.units.entries()) {
          if (owner === unit) for (let o = 0; o < 4; o++) expect(changed.rows[o * COLUMNS + c]).toBe(0);
        }
      }
      const actual = errorOf(rows, one, changed);
      // The ridge is in the predicted one.
      expect(actual).toBeLessThanOrEqual((errors[count] as number) + 1e-6);
      expect(actual).toBeGreaterThan((errors[count] as number) * 0.8 - 0.01);
    }
  });

  test('begins with the best of all by brute force', () => {
    const { reader: one, rows } = reader(2);
    const { order } = removalOrder([0, 1, 2], [one], 1, []);
    const alone = [0, 1, 2].map((unit) =>
      errorOf(
        rows,
        one,
        refitted(one, rows, (c) => one.units[c] !== unit),
      ),
    );
    expect(order[0]).toBe(alone.indexOf(Math.min(...alone)));
    expect(Math.min(...alone)).toBeLessThan(Math.max(...alone) / 1.5);
  });
});

/** Least squares on some of the columns, by themselves. */
function refitted({ weights }: Reader, rows: Float32Array, isKept: (column: number) => boolean) {
  const kept = Array.from({ length: COLUMNS }, (_, c) => c).filter(isKept);
  const moments = newMoments(kept.length, 4);
  for (let r = 0; r < COUNT; r++) {
    const x = rows.subarray(r * COLUMNS, (r + 1) * COLUMNS);
    const outputs = Array.from({ length: 4 }, (_, o) =>
      x.reduce((sum, value, c) => sum + value * (weights.rows[o * COLUMNS + c] as number), weights.bias?.[o] ?? 0),
    );
    addRows(
      moments,
      Float32Array.from(kept, (c) => x[c] as number),
      Float32Array.from(outputs),
    );
  }
  const { rows: found, intercept } = fitRidge(moments, new Float32Array(4 * kept.length), true);
  const whole = new Float32Array(4 * COLUMNS);
  for (let o = 0; o < 4; o++) {
    for (const [k, c] of kept.entries()) whole[o * COLUMNS + c] = found[o * kept.length + k] as number;
  }
  return { rows: whole, bias: intercept };
}
