import { describe, expect, it } from 'vitest';
import { distanceCorrelation } from '../../../compiler/privacy/distance-correlation.ts';
import { gaussian, seededRandom } from '../../../shared/random.ts';

const COUNT = 200;

function vectors(columns: number, seed: number) {
  const random = seededRandom(seed);
  return { count: COUNT, data: Float32Array.from({ length: COUNT * columns }, () => gaussian(random)) };
}

describe('distanceCorrelation', () => {
  it('is 1 for a copy that is moved and scaled', () => {
    const a = vectors(7, 1);
    expect(distanceCorrelation(a, { ...a, data: a.data.map((value) => 5 - 3 * value) })).toBeCloseTo(1, 5);
  });

  it('is about 0 for independent vectors however many columns they have', () => {
    for (const columns of [1, 30, 400])
      expect(distanceCorrelation(vectors(columns, 1), vectors(columns, 2))).toBeLessThan(0.2);
  });

  it('sees what no correlation does: a square', () => {
    const a = vectors(1, 1);
    expect(distanceCorrelation(a, { ...a, data: a.data.map((value) => value * value) })).toBeGreaterThan(0.35);
  });

  it('falls with noise', () => {
    const [a, noise] = [vectors(5, 1), vectors(5, 2)];
    const under = (scale: number) =>
      distanceCorrelation(a, { ...a, data: a.data.map((value, i) => value + scale * (noise.data[i] as number)) });
    expect(under(0.3)).toBeGreaterThan(under(1) + 0.05);
    expect(under(1)).toBeGreaterThan(under(3) + 0.05);
  });
});
