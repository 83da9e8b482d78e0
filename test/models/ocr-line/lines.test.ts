import { GlobalFonts } from '@napi-rs/canvas';
import { afterEach, describe, expect, test, vi } from 'vitest';
import type { Split } from '../../../models/drawn-text.ts';
import { type LabelledLine, textLines } from '../../../models/ocr-line/lines.ts';

vi.setConfig({ testTimeout: 30_000 });
afterEach(() => vi.restoreAllMocks());

async function lines(split: Split, count: number, seed = 1): Promise<LabelledLine[]> {
  const all: LabelledLine[] = [];
  for await (const line of textLines(split, count, seed)) all.push(line);
  return all;
}

/** Words of three letters or more, in lower case: what is not a figure. */
function wordsIn(drawn: readonly LabelledLine[]): Set<string> {
  return new Set(drawn.flatMap(({ text }) => text.toLowerCase().match(/[a-z]{3,}/g) ?? []));
}

/** Font families that a split draws with. */
async function fontsOf(split: Split): Promise<string[]> {
  const register = vi.spyOn(GlobalFonts, 'registerFromPath').mockClear();
  await lines(split, 1);
  expect(register.mock.results.every(({ value }) => value !== null)).toBe(true);
  return register.mock.calls.map(([, family]) => family as string);
}

describe('text lines', () => {
  test('are the same to the pixel for the same seed, and a shorter list is the beginning of a longer one', async () => {
    const [four, two, other] = [await lines('test', 4), await lines('test', 2), await lines('test', 2, 2)];
    expect(two).toEqual(four.slice(0, 2));
    expect(other).not.toEqual(two);
    expect(new Set(four.map(({ text }) => text)).size).toBe(4);
  });

  test('are RGBA pictures that show more than paper', async () => {
    for (const { picture } of await lines('calibration', 10)) {
      const { width, height, data } = picture;
      expect(data).toHaveLength(width * height * 4);
      expect(width).toBeGreaterThan(height / 2);
      const levels = [...data].filter((_, i) => i % 4 === 1);
      // Ink and paper are at least 80 levels apart; noise alone is not.
      expect(Math.max(...levels) - Math.min(...levels)).toBeGreaterThan(60);
      expect(data.filter((_, i) => i % 4 === 3).every((alpha) => alpha === 255)).toBe(true);
    }
  });

  test('share no word and no text between calibration and test', async () => {
    const [calibration, tested] = [await lines('calibration', 300), await lines('test', 300)];
    const [known, unknown] = [wordsIn(calibration), wordsIn(tested)];
    expect(Math.min(known.size, unknown.size)).toBeGreaterThan(150);
    expect([...unknown].filter((word) => known.has(word))).toEqual([]);
    const texts = new Set(calibration.map(({ text }) => text));
    expect(tested.filter(({ text }) => texts.has(text))).toEqual([]);
    for (const { text } of [...calibration, ...tested]) expect(text).toMatch(/[a-z]{3,}/i);
  });

  test('share no font between calibration and test', async () => {
    const [calibration, tested] = [new Set(await fontsOf('calibration')), new Set(await fontsOf('test'))];
    expect(Math.min(calibration.size, tested.size)).toBeGreaterThanOrEqual(4);
    expect([...tested].filter((family) => calibration.has(family))).toEqual([]);
  });
});
