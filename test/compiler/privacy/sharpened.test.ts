import { describe, expect, test } from 'vitest';
import type { Attack, Seen } from '../../../compiler/privacy/attack.ts';
import { bestSharpened, sharpen, sharpened } from '../../../compiler/privacy/sharpened.ts';
import { ssim } from '../../../compiler/privacy/similarity.ts';
import type { Plane } from '../../../compiler/recipe.ts';
import { gaussian, seededRandom } from '../../../shared/random.ts';
import { asFloat32, float32 } from '../../../shared/tensor.ts';

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
function seen(view: Plane): Seen {
  return { view, boundary: { h: float32([1, view.data.length], view.data) } };
}

function attackBy(name: string, change: (value: number, at: number) => number): Attack {
  return {
    ...{ name, score: 0, ridge: 0 },
    reconstruct: async ({ h }) => ({ ...SIZE, data: asFloat32(h as never).map(change) }),
  };
}

const HELD_OUT = [1, 2, 3].map((seed) => seen(strokes(seed)));
const TEST = seen(strokes(9));

async function likenessOf({ reconstruct }: Attack): Promise<number> {
  return ssim(TEST.view, await reconstruct(TEST.boundary));
}

/** Half as strong as it was, and uneasy. */
function faint(): Attack {
  const random = seededRandom(5);
  return attackBy('faint', (value) => 0.8 + 0.5 * (value - 0.8) + 0.03 * gaussian(random));
}

describe('sharpening', () => {
  test('takes unrest off the background and makes strokes as strong as they were', async () => {
    const plain = await likenessOf(faint());
    const { attack, score } = await sharpened(faint(), HELD_OUT);
    expect(plain).toBeLessThan(0.7);
    expect(await likenessOf(attack)).toBeGreaterThan(0.9);
    expect(score).toBeGreaterThan(0.9);
    expect(attack.name).toBe('faint, sharpened');
  });

  test('leaves alone what it would only spoil', async () => {
    const noise = seededRandom(7);
    const grain = { ...SIZE, data: Float32Array.from({ length: 1440 }, () => 0.5 + 0.1 * gaussian(noise)) };
    const exact = attackBy('exact', (value) => value);
    const { attack, score } = await sharpened(exact, [seen(grain)]);
    expect([attack.name, score > 0.999]).toEqual(['exact', true]);
  });

  test('does not need a background in the middle of the range', () => {
    for (const level of [0, 1]) {
      const plane: Plane = { rows: 1, columns: 4, data: Float32Array.of(level, level, level, 0.5) };
      const { data } = sharpen(plane, { threshold: 0.1, gain: 1 });
      expect(data[0]).toBe(level);
      expect(data[3]).toBeCloseTo(level === 0 ? 0.4 : 0.6, 6);
    }
  });

  test('is what attacks are chosen after, by likeness and not by squared error', async () => {
    const even = attackBy('even', () => 0.75);
    const best = await bestSharpened([even, faint()], HELD_OUT);
    expect(best?.name).toBe('faint, sharpened');
  });
});
