import { describe, expect, test } from 'vitest';
import { gaussian, pick, randomInt, seededRandom } from '../../shared/random.ts';

function draw<T>(count: number, make: () => T): T[] {
  return Array.from({ length: count }, make);
}

describe('seeded randomness', () => {
  test('gives the numbers that it always gave', () => {
    expect(draw(3, seededRandom(1))).toEqual([0.6270739405881613, 0.002735721180215478, 0.5274470399599522]);
  });

  test('gives the same numbers for the same seed and others for another', () => {
    expect(draw(20, seededRandom(7))).toEqual(draw(20, seededRandom(7)));
    expect(draw(20, seededRandom(7))).not.toEqual(draw(20, seededRandom(8)));
  });

  test('is uniform over [0, 1)', () => {
    const tenths = new Array<number>(10).fill(0);
    for (const value of draw(10_000, seededRandom(2)))
      tenths[Math.floor(value * 10)] = (tenths[Math.floor(value * 10)] ?? 0) + 1;
    expect(tenths).toHaveLength(10);
    for (const count of tenths) expect(Math.abs(count - 1000)).toBeLessThan(120);
  });
});

test('a random integer takes every value of its range, both ends included', () => {
  const random = seededRandom(3);
  const seen = new Set(draw(200, () => randomInt(random, -1, 2)));
  expect([...seen].sort((a, b) => a - b)).toEqual([-1, 0, 1, 2]);
});

test('a pick takes every item', () => {
  const random = seededRandom(4);
  expect(new Set(draw(100, () => pick(random, ['a', 'b', 'c'])))).toEqual(new Set(['a', 'b', 'c']));
});

test('normal numbers have mean 0 and deviation 1, and are finite', () => {
  const random = seededRandom(5);
  const values = draw(20_000, () => gaussian(random));
  const mean = values.reduce((a, b) => a + b) / values.length;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
  expect(Math.abs(mean)).toBeLessThan(0.03);
  expect(Math.abs(variance - 1)).toBeLessThan(0.05);
  expect(gaussian(() => 0)).toBeCloseTo(0, 12);
  expect(Number.isFinite(gaussian(() => 1 - 2 ** -32))).toBe(true);
});
