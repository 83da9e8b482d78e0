import { describe, expect, test } from 'vitest';
import { type CalibrationMethod, calibrateRanges, rangeOf } from '../../../compiler/compress/activation-ranges.ts';
import { addValues, type Histogram, newHistogram } from '../../../compiler/compress/histogram.ts';
import { gaussian, seededRandom } from '../../../shared/random.ts';
import { float32, type Tensors } from '../../../shared/tensor.ts';
import { literal, modelOf } from '../run-graph.ts';
import { graphOf } from '../text-graph.ts';

const random = seededRandom(3);
const gaussians = Float32Array.from({ length: 4000 }, () => gaussian(random));
const rectified = gaussians.map((value) => Math.max(0, value));
const heavy = gaussians.map((value, i) => (i % 1000 === 0 ? 30 * value : value) + 0.5);
const DATA: [string, Float32Array][] = [
  ['normally distributed', gaussians],
  ['rectified', rectified],
  ['heavy-tailed', heavy],
];
const bounded: [string, Float32Array] = ['bounded', gaussians.map((value) => Math.max(-0.5, value))];

function histogramOf(values: Float32Array, batch = 100): Histogram {
  const histogram = newHistogram();
  for (let i = 0; i < values.length; i += batch) addValues(histogram, values.subarray(i, i + batch));
  return histogram;
}

/** Mean squared error of 8-bit codes with a zero point over the values themselves. */
function codingError(values: Float32Array, low: number, high: number): number {
  const step = (high - low) / 255;
  const zeroPoint = Math.round(-low / step);
  let error = 0;
  for (const value of values) {
    const code = Math.min(255, Math.max(0, Math.round(value / step) + zeroPoint));
    error += ((code - zeroPoint) * step - value) ** 2;
  }
  return error / values.length;
}

describe('a histogram of values that come batch by batch', () => {
  test('has the same counts as one made of all values at once over its bins', () => {
    const histogram = histogramOf(heavy, 7);
    const { first, width, counts, sums, zeros } = histogram;
    const [expected, expectedSums] = [counts.map(() => 0), sums.map(() => 0)];
    for (const value of heavy) {
      const bin = Math.floor(value / width) - first;
      expected[bin] = (expected[bin] as number) + 1;
      expectedSums[bin] = (expectedSums[bin] as number) + value;
    }
    expect(counts).toEqual(expected);
    for (const [i, sum] of sums.entries()) expect(sum).toBeCloseTo(expectedSums[i] as number, 6);
    expect(zeros).toBe(0);
    expect([histogram.min, histogram.max]).toEqual([Math.min(...heavy), Math.max(...heavy)]);
  });

  test('knows how many values lie at either end, whichever batch the end came in', () => {
    const values = Float32Array.of(1, 1, -2, 3, -2, 3, 0.5, -2, 4, Number.NaN, 4, 3, -1, 4);
    for (const batch of [1, 2, 5, 14]) {
      const { min, max, atMin, atMax } = histogramOf(values, batch);
      expect([min, max, atMin, atMax]).toEqual([-2, 4, 3, 3]);
    }
  });

  test('stays bounded when values grow a millionfold, and counts them all', () => {
    const histogram = newHistogram();
    for (let scale = 1; scale <= 2 ** 20; scale *= 2) addValues(histogram, Float32Array.of(scale, -scale / 3, 0));
    expect(histogram.counts.length).toBeLessThanOrEqual(8192);
    expect(histogram.counts.reduce((a, b) => a + b, 0) + histogram.zeros).toBe(63);
    expect(histogram.count).toBe(63);
    expect(histogram.zeros).toBe(21);
  });

  test('leaves out what is not finite', () => {
    const histogram = histogramOf(Float32Array.of(Number.NaN, 1, Number.POSITIVE_INFINITY, -2));
    expect([histogram.count, histogram.min, histogram.max]).toEqual([2, -2, 1]);
  });
});

describe('the range of an activation', () => {
  test.each(DATA)('by min-max is all that was seen, %s', (_, values) => {
    const range = rangeOf(histogramOf(values), 'min-max');
    expect(range).toEqual({ low: Math.min(0, ...values), high: Math.max(0, ...values) });
  });

  test.each(['min-max', 'percentile', 'entropy', 'mse'] as CalibrationMethod[])('by %s holds 0', (method) => {
    const above = rangeOf(histogramOf(gaussians.map((value) => 5 + value / 4)), method);
    const below = rangeOf(histogramOf(gaussians.map((value) => -5 - value / 4)), method);
    expect(above.low).toBe(0);
    expect(below.high).toBe(0);
    expect(above.high).toBeGreaterThan(5);
    expect(below.low).toBeLessThan(-5);
    expect(rangeOf(histogramOf(new Float32Array(5)), method)).toEqual({ low: 0, high: 0 });
    expect(rangeOf(newHistogram(), method)).toEqual({ low: 0, high: 0 });
  });

  test('by percentile leaves out the share that sorting finds, to a bin', () => {
    const many = Float32Array.from({ length: 500_000 }, () => gaussian(random));
    const histogram = histogramOf(many, 5000);
    const range = rangeOf(histogram, 'percentile');
    const sorted = many.toSorted();
    // 2.5 of 500,000 at each end: two may go.
    expect(Math.abs(range.low - (sorted[2] as number))).toBeLessThanOrEqual(histogram.width);
    expect(Math.abs(range.high - (sorted.at(-3) as number))).toBeLessThanOrEqual(histogram.width);
    expect(range.high).toBeLessThan(sorted.at(-1) as number);
  });

  test.each(DATA)('by squared error is as good as the best of a fine grid, %s', (_, values) => {
    const { low, high } = rangeOf(histogramOf(values), 'mse');
    const [min, max] = [Math.min(0, ...values), Math.max(0, ...values)];
    let best = Number.POSITIVE_INFINITY;
    for (let a = 1; a <= 60; a++) {
      for (let b = 1; b <= 60; b++) best = Math.min(best, codingError(values, (min * a) / 60, (max * b) / 60));
    }
    // The zero point is rounded afterwards, which moves both ends by up to half a step: a grid of 3,600 finds lucky ones.
    expect(codingError(values, low, high)).toBeLessThanOrEqual(best * 1.05);
  });

  test('by squared error is where its own objective is least', () => {
    const values = heavy.map((value) => Math.round(value * 8) / 8);
    const histogram = histogramOf(values, 4000);
    const nonZero = values.filter((value) => value !== 0);
    const objective = (low: number, high: number) =>
      nonZero.reduce((sum, value) => sum + Math.max(0, value - high, low - value) ** 2, 0) +
      (nonZero.length * ((high - low) / 255) ** 2) / 12;
    const { low, high } = rangeOf(histogram, 'mse');
    const least = objective(low, high);
    for (const [dLow, dHigh] of [
      [0.01, 0],
      [-0.01, 0],
      [0, 0.01],
      [0, -0.01],
      [0.01, 0.01],
      [-0.01, 0.01],
    ] as const) {
      expect(objective(low + dLow, high + dHigh)).toBeGreaterThanOrEqual(least);
    }
  });

  test.each([...DATA, bounded])('by entropy has the least divergence of all thresholds, %s', (_, data) => {
    // On a grid wider than bins, so that a bin's mean is its values.
    const values = data.map((value) => Math.round(value * 32) / 32);
    const range = rangeOf(histogramOf(values, 4000), 'entropy');
    const [min, max] = [Math.min(0, ...values), Math.max(0, ...values)];
    const farthest = Math.max(-min, max);
    const cell = (max - min) / 2048;
    const divergences = Array.from({ length: 128 }, (_, i) => {
      const threshold = farthest * (1 / 8 + ((7 / 8) * (i + 1)) / 128);
      return plainDivergence(values, Math.max(min, -threshold), Math.min(max, threshold), cell);
    });
    const found = plainDivergence(values, range.low, range.high, cell);
    expect(found).toBeCloseTo(Math.min(...divergences), 9);
  });

  const many = Float32Array.from({ length: 100_000 }, () => gaussian(random));
  test.each([
    ['a ReLU', 0, Number.POSITIVE_INFINITY],
    ['a lower bound', -0.5, Number.POSITIVE_INFINITY],
    ['an upper bound', Number.NEGATIVE_INFINITY, 0.75],
    ['two bounds', -0.5, 1.5],
  ])('by entropy hardly differs for what %s piled up', (_, least, most) => {
    const piled = many.map((value) => Math.min(most, Math.max(least, value)));
    const without = piled.filter((value) => value > least && value < most);
    const [range, expected] = [piled, without].map((values) => rangeOf(histogramOf(values, 5000), 'entropy'));
    // About its minimum the divergence is flat: chance moves it by a tenth.
    const little = 0.15 * Math.max(...piled.map(Math.abs));
    expect(Math.abs((range?.low ?? 0) - (expected?.low ?? 0))).toBeLessThanOrEqual(little);
    expect(Math.abs((range?.high ?? 0) - (expected?.high ?? 0))).toBeLessThanOrEqual(little);
  });
});

/** Of values coded over a range against themselves, by the definition, value by value. Zeros and ends are coded exactly. */
function plainDivergence(values: Float32Array, low: number, high: number, cell: number): number {
  const cells = Math.max(256, Math.round((high - low) / cell));
  const cellOf = (value: number) =>
    Math.min(cells - 1, Math.max(0, Math.floor(((value - low) / (high - low)) * cells)));
  const levelOf = (i: number) => Math.floor(((i + 1) * 256 - 1) / cells);
  const [all, inside, kinds] = [new Map<number, number>(), new Map<number, number>(), new Map<number, Set<number>>()];
  const count = (map: Map<number, number>, key: number) => map.set(key, (map.get(key) ?? 0) + 1);
  const exact = new Map<number, number>([Math.min(...values), Math.max(...values), 0].map((value) => [value, 0]));
  for (const value of values) {
    if (exact.has(value) && value >= low && value <= high) {
      count(exact, value);
      continue;
    }
    const at = cellOf(value);
    count(all, at);
    kinds.set(levelOf(at), (kinds.get(levelOf(at)) ?? new Set()).add(at));
    if (value >= low && value <= high) count(inside, levelOf(at));
  }
  const coded = [...inside.values(), ...exact.values()].reduce((a, b) => a + b, 0);
  let sum = 0;
  for (const number of exact.values()) {
    if (number > 0) sum += (number / values.length) * Math.log(number / values.length / (number / coded));
  }
  for (const [at, number] of all) {
    const level = levelOf(at);
    const q = (inside.get(level) ?? 0) / (kinds.get(level)?.size ?? 1);
    sum += (number / values.length) * Math.log(number / values.length / ((q || 1e-4) / coded));
  }
  return sum;
}

test('ranges are calibrated on inner values over all samples in one pass', async () => {
  const graph = graphOf('in x [1,4]\na = Mul(x, 2)\ny = Relu(a)\nout y');
  let passes = 0;
  const samples = async function* (): AsyncIterable<Tensors> {
    passes++;
    yield { x: float32([1, 4], Float32Array.of(1, -3, 0, 2)) };
    yield { x: float32([1, 4], Float32Array.of(1, -1, 5, 2)) };
  };
  const ranges = await calibrateRanges(
    { model: modelOf(graph), samples, runtime: literal, literal },
    ['x', 'a', 'y'],
    'min-max',
  );
  expect(passes).toBe(1);
  expect(Object.fromEntries(ranges)).toEqual({
    x: { low: -3, high: 5 },
    a: { low: -6, high: 10 },
    y: { low: 0, high: 10 },
  });
});
