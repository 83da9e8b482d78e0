import { describe, expect, it } from 'vitest';
import { likenessTo, PSNR_MAX_DB, psnr, squaredError, ssim } from '../../../compiler/privacy/similarity.ts';
import type { Plane } from '../../../compiler/recipe.ts';
import { gaussian, seededRandom } from '../../../shared/random.ts';

const plane = (rows: number, columns: number, of: (row: number, column: number) => number): Plane => ({
  ...{ rows, columns },
  data: Float32Array.from({ length: rows * columns }, (_, i) => of(Math.floor(i / columns), i % columns)),
});
const stripes = plane(24, 40, (_, column) => (column % 8 < 4 ? 0.2 : 0.9));

function noisy(deviation: number): Plane {
  const random = seededRandom(3);
  return { ...stripes, data: stripes.data.map((value) => value + deviation * gaussian(random)) };
}

describe('psnr', () => {
  it('is that of the mean squared error', () => {
    const moved = { ...stripes, data: stripes.data.map((value) => value + 0.1) };
    expect(squaredError(stripes, moved)).toBeCloseTo(0.01, 6);
    expect(psnr(stripes, moved)).toBeCloseTo(20, 3);
  });

  it('has a ceiling where nothing differs', () => {
    expect(psnr(stripes, stripes)).toBe(PSNR_MAX_DB);
  });
});

describe('ssim', () => {
  it('is 1 for the same plane, and falls with noise', () => {
    expect(ssim(stripes, stripes)).toBeCloseTo(1, 6);
    const [little, much] = [ssim(stripes, noisy(0.05)), ssim(stripes, noisy(0.4))];
    expect(little).toBeGreaterThan(0.9);
    expect(much).toBeLessThan(0.7);
    expect(much).toBeGreaterThan(0);
  });

  it('is what the formula gives by hand for two even planes: luminance alone', () => {
    const [dark, light] = [plane(16, 16, () => 0.2), plane(16, 16, () => 0.8)];
    expect(ssim(dark, light)).toBeCloseTo((2 * 0.16 + 1e-4) / (0.04 + 0.64 + 1e-4), 5);
  });

  it('is negative where light and dark are exchanged, and near 0 for an even plane over stripes', () => {
    expect(ssim(stripes, { ...stripes, data: stripes.data.map((value) => 1.1 - value) })).toBeLessThan(-0.3);
    expect(
      ssim(
        stripes,
        plane(24, 40, () => 0.55),
      ),
    ).toBeLessThan(0.1);
  });

  it('has a value for planes narrower than its window, and none for two sizes', () => {
    expect(
      ssim(
        plane(1, 9, (_, x) => x / 9),
        plane(1, 9, (_, x) => x / 9),
      ),
    ).toBeCloseTo(1, 6);
    expect(() =>
      ssim(
        plane(2, 3, () => 0),
        plane(3, 2, () => 0),
      ),
    ).toThrow(RangeError);
  });
});

describe('likenessTo', () => {
  it('grows with every value as its gradient says, up to the edges', () => {
    const [a, b] = [plane(9, 14, (row, column) => ((row + column) % 5) / 5), noisy(0.2)];
    const told = { ...a, data: b.data.slice(0, a.data.length) };
    const { ssim: value, gradient } = likenessTo(a)(told);
    expect(value).toBeCloseTo(ssim(a, told), 9);
    const steepest = Math.max(...gradient.map(Math.abs));
    for (let i = 0; i < gradient.length; i += 5) {
      const moved = (by: number) => ({ ...told, data: told.data.map((v, at) => (at === i ? v + by : v)) });
      const slope = (ssim(a, moved(0.01)) - ssim(a, moved(-0.01))) / 0.02;
      expect(Math.abs((gradient[i] as number) - slope)).toBeLessThan(0.01 * steepest);
    }
  });
});
