import { createHash } from 'node:crypto';
import { GlobalFonts } from '@napi-rs/canvas';
import { afterEach, describe, expect, test, vi } from 'vitest';
import type { Split } from '../../../models/drawn-text.ts';
import type { Box } from '../../../models/text-detector/boxes.ts';
import { overlapOf } from '../../../models/text-detector/metric.ts';
import { type LabelledPage, textPages } from '../../../models/text-detector/pages.ts';
import type { Picture } from '../../../shared/preprocess/resize.ts';

vi.setConfig({ testTimeout: 30_000 });
afterEach(() => vi.restoreAllMocks());

async function pages(split: Split, count: number, seed = 1): Promise<LabelledPage[]> {
  const all: LabelledPage[] = [];
  for await (const page of textPages(split, count, seed)) all.push(page);
  return all;
}

/** Two pages of a million bytes are not compared one by one. */
async function digests(split: Split, count: number, seed?: number): Promise<string[]> {
  return (await pages(split, count, seed)).map(({ picture: { width, height, data }, lines }) =>
    createHash('sha256')
      .update(JSON.stringify([width, height, lines]))
      .update(data)
      .digest('hex'),
  );
}

/** Words of three letters or more, in lower case: what is not a figure. */
function wordsOf(text: string): string[] {
  return text.toLowerCase().match(/[a-z]{3,}/g) ?? [];
}

/** Between the darkest and the lightest fiftieth of a box, in green. */
function contrastOf({ width, data }: Picture, { left, top, right, bottom }: Box): number {
  const levels: number[] = [];
  for (let y = Math.ceil(top); y < bottom; y++) {
    for (let x = Math.ceil(left); x < right; x++) levels.push(data[(y * width + x) * 4 + 1] as number);
  }
  levels.sort((a, b) => a - b);
  const at = (share: number) => levels[Math.floor(share * levels.length)] as number;
  return at(0.98) - at(0.02);
}

/** Font families that a split draws with. */
async function fontsOf(split: Split): Promise<string[]> {
  const register = vi.spyOn(GlobalFonts, 'registerFromPath').mockClear();
  await pages(split, 1);
  return register.mock.calls.map(([, family]) => family as string);
}

describe('pages of text', () => {
  test('are the same to the pixel for the same seed, and a shorter list is the beginning of a longer one', async () => {
    const [three, two, other] = [await digests('test', 3), await digests('test', 2), await digests('test', 2, 2)];
    expect(two).toEqual(three.slice(0, 2));
    expect(new Set([...three, ...other, ...(await digests('calibration', 1))]).size).toBe(6);
  });

  test('have lines within the picture that do not touch each other', async () => {
    const drawn = await pages('calibration', 12);
    for (const { picture, lines } of drawn) {
      expect(picture.data).toHaveLength(picture.width * picture.height * 4);
      for (const [i, line] of lines.entries()) {
        expect(Math.min(line.left, line.top, line.right - line.left, line.bottom - line.top)).toBeGreaterThan(0);
        expect(line.right).toBeLessThan(picture.width);
        expect(line.bottom).toBeLessThan(picture.height);
        for (const other of lines.slice(i + 1)) expect(overlapOf(line, other)).toBe(0);
      }
    }
    expect(drawn.reduce((sum, { lines }) => sum + lines.length, 0)).toBeGreaterThan(2 * drawn.length);
  });

  test('show in three of four lines more contrast than noise makes', async () => {
    const contrasts = (await pages('test', 6)).flatMap(({ picture, lines }) =>
      lines.map((line) => contrastOf(picture, line)),
    );
    expect(contrasts.length).toBeGreaterThan(15);
    expect(contrasts.filter((contrast) => contrast > 50).length).toBeGreaterThan(0.75 * contrasts.length);
  });

  test('share no word between calibration and test', async () => {
    const words = async (split: Split) =>
      new Set((await pages(split, 12)).flatMap(({ lines }) => lines.flatMap(({ text }) => wordsOf(text))));
    const [calibration, tested] = [await words('calibration'), await words('test')];
    expect(Math.min(calibration.size, tested.size)).toBeGreaterThan(40);
    expect([...tested].filter((word) => calibration.has(word))).toEqual([]);
  });

  test('share no font between calibration and test', async () => {
    const [calibration, tested] = [new Set(await fontsOf('calibration')), new Set(await fontsOf('test'))];
    expect(Math.min(calibration.size, tested.size)).toBeGreaterThanOrEqual(4);
    expect([...tested].filter((family) => calibration.has(family))).toEqual([]);
  });
});
