import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { addNoise, type Noise, rootMeanSquare } from '../../../shared/codec/noise.ts';
import { gaussian, seededRandom } from '../../../shared/random.ts';

const COUNT = 100_000;

/** Values around 3, whose root mean square is not their deviation. */
function someValues(): Float32Array {
  const random = seededRandom(5);
  return Float32Array.from({ length: COUNT }, () => 3 + 4 * gaussian(random));
}

function addedBy(noise: Noise): { mean: number; deviation: number; kurtosis: number; correlation: number } {
  const values = someValues();
  const noisy = addNoise(values, noise, seededRandom(7));
  const rms = rootMeanSquare(values);
  const added = noisy.map((value, i) => (value - (values[i] as number)) / rms);
  const mean = added.reduce((sum, x) => sum + x, 0) / COUNT;
  const moment = (power: number) => added.reduce((sum, x) => sum + (x - mean) ** power, 0) / COUNT;
  const deviation = Math.sqrt(moment(2));
  const correlation = added.reduce((sum, x, i) => sum + x * ((values[i] as number) - 3), 0) / COUNT / (deviation * 4);
  return { mean, deviation, kurtosis: moment(4) / moment(2) ** 2, correlation };
}

describe('addNoise', () => {
  it('adds Gaussian noise of the deviation asked for, in root mean squares, which does not depend on the values', () => {
    const { mean, deviation, kurtosis, correlation } = addedBy({ type: 'gaussian', scale: 0.5 });
    expect(mean).toBeCloseTo(0, 2);
    expect(deviation / 0.5).toBeCloseTo(1, 1);
    expect(Math.abs(deviation / 0.5 - 1)).toBeLessThan(0.01);
    expect(Math.abs(kurtosis - 3)).toBeLessThan(0.1);
    expect(Math.abs(correlation)).toBeLessThan(0.01);
  });

  it('adds Laplace noise of the same deviation, with the longer tails that it has', () => {
    const { mean, deviation, kurtosis, correlation } = addedBy({ type: 'laplace', scale: 2 });
    expect(Math.abs(mean / 2)).toBeLessThan(0.01);
    expect(Math.abs(deviation / 2 - 1)).toBeLessThan(0.01);
    expect(Math.abs(kurtosis - 6)).toBeLessThan(0.5);
    expect(Math.abs(correlation)).toBeLessThan(0.01);
  });

  it('drops the share of values that is asked for, and leaves the others as they are', () => {
    const values = someValues();
    const dropped = addNoise(values, { type: 'dropout', scale: 0.3 }, seededRandom(7));
    const zeros = dropped.filter((value) => value === 0).length;
    expect(Math.abs(zeros / COUNT - 0.3)).toBeLessThan(0.005);
    expect(dropped.every((value, i) => value === 0 || value === values[i])).toBe(true);
  });

  it('holds values within the clip before it adds anything', () => {
    const values = new Float32Array([1, -1, 1, -7]);
    const rms = rootMeanSquare(values);
    const clipped = addNoise(values, { type: 'gaussian', scale: 0, clip: 0.5 }, seededRandom(1));
    expect([...clipped]).toEqual([1, -1, 1, Math.fround(-0.5 * rms)]);
  });

  it('is the same for the same seed, another for another, and never touches what it was given', () => {
    const values = someValues().subarray(0, 50);
    const before = [...values];
    const noisy = (seed: number) => [...addNoise(values, { type: 'laplace', scale: 1 }, seededRandom(seed))];
    expect(noisy(1)).toEqual(noisy(1));
    expect(noisy(1)).not.toEqual(noisy(2));
    expect([...values]).toEqual(before);
  });

  it('gives finite values for any finite ones, whatever the random numbers', () => {
    const noise = fc.record({
      type: fc.constantFrom('gaussian' as const, 'laplace' as const, 'dropout' as const),
      scale: fc.double({ min: 0, max: 4, noNaN: true }),
      clip: fc.option(fc.double({ min: 0.01, max: 8, noNaN: true }), { nil: undefined }),
    });
    const values = fc.array(fc.float({ min: -1e6, max: 1e6, noNaN: true }), { maxLength: 20 });
    const extremes = fc.constantFrom(0, 0.5, 1 - 2 ** -53);
    fc.assert(
      fc.property(noise, values, extremes, (asked, given, draw) => {
        const noisy = addNoise(Float32Array.from(given), asked, () => draw);
        expect(noisy).toHaveLength(given.length);
        expect(noisy.every(Number.isFinite)).toBe(true);
      }),
    );
  });
});
