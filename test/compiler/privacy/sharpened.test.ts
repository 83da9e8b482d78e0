import { describe, expect, test } from 'vitest';
import type { Attack } from '../../../compiler/privacy/attack.ts';
import { bestSharpened, sharpen } from '../../../compiler/privacy/sharpened.ts';
import { squaredError, ssim } from '../../../compiler/privacy/similarity.ts';
import type { Plane } from '../../../compiler/recipe.ts';
import { gaussian, seededRandom } from '../../../shared/random.ts';
import { asFloat32, float32, type Tensor } from '../../../shared/tensor.ts';

const SIZE = { rows: 24, columns: 60 } as const;

/** Dark strokes on an even light background. */
function strokes(seed: number): Plane {
  const random = seededRandom(seed);
  const data = new Float32Array(SIZE.rows * SIZE.columns).fill(0.8);
  for (let stroke = 0; stroke < 5; stroke++) {
    const column = Math.floor(random() * (SIZE.columns - 3));
    for (let row = 6; row < 18; row++) data.fill(0.2, row * SIZE.columns + column, row * SIZE.columns + column + 3);
  }
  return { ...SIZE, data };
}

/** What is sent is the view, so that an attack may do to it what it likes. */
function attackBy(name: string, views: readonly Plane[], change: (value: number) => number): Attack {
  const told = (data: Float32Array): Plane => ({ ...SIZE, data: data.map(change) });
  return {
    ...{ name, ridge: 0, heldOut: views.map(({ data }) => told(data)) },
    reconstruct: async ({ h }) => told(asFloat32(h as Tensor)),
  };
}

const VIEWS = [1, 2, 3].map(strokes);
const TEST = strokes(9);

async function likenessOf(attack: Attack | undefined): Promise<number> {
  const told = await attack?.reconstruct({ h: float32([1, TEST.data.length], TEST.data) });
  return ssim(TEST, told as Plane);
}

/** Half as strong as it was, and uneasy. */
function faint(): Attack {
  const random = seededRandom(5);
  return attackBy('faint', VIEWS, (value) => 0.8 + 0.5 * (value - 0.8) + 0.03 * gaussian(random));
}

describe('sharpening', () => {
  test('takes unrest off the background and makes strokes as strong as they were', async () => {
    const best = bestSharpened([faint()], VIEWS);
    expect(await likenessOf(faint())).toBeLessThan(0.7);
    expect(await likenessOf(best)).toBeGreaterThan(0.9);
    expect(best?.name).toBe('faint, sharpened');
    expect(best?.heldOut.every((plane, i) => ssim(VIEWS[i] as Plane, plane) > 0.9)).toBe(true);
  });

  test('leaves alone what it would only spoil', () => {
    const noise = seededRandom(7);
    const grain = { ...SIZE, data: Float32Array.from({ length: 1440 }, () => 0.5 + 0.1 * gaussian(noise)) };
    const exact = attackBy('exact', [grain], (value) => value);
    expect(bestSharpened([exact], [grain])).toBe(exact);
  });

  test('does not need a background in the middle of the range', () => {
    for (const level of [0, 1]) {
      const plane: Plane = { rows: 1, columns: 4, data: Float32Array.of(level, level, level, 0.5) };
      const { data } = sharpen(plane, { threshold: 0.1, gain: 1 });
      expect(data[0]).toBe(level);
      expect(data[3]).toBeCloseTo(level === 0 ? 0.4 : 0.6, 6);
    }
  });

  test('is what attacks are chosen after, by likeness and not by squared error', () => {
    const even = attackBy('even', VIEWS, () => 0.75);
    const dark = attackBy('dark', VIEWS, (value) => 0.5 + 0.5 * (value - 0.8));
    const errorOf = ({ heldOut }: Attack) => squaredError(VIEWS[0] as Plane, heldOut[0] as Plane);
    expect(errorOf(even)).toBeLessThan(errorOf(dark));
    expect(bestSharpened([even, dark], VIEWS)?.name).toMatch(/^dark/);
    expect(bestSharpened([dark, even], VIEWS)?.name).toMatch(/^dark/);
  });
});
