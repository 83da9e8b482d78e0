import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Picture, resizePicture } from '../../../shared/preprocess/resize.ts';
import { seededRandom } from '../../../shared/random.ts';

type Colour = readonly [number, number, number, number];

function picture(width: number, height: number, colourAt: (x: number, y: number) => Colour): Picture {
  const data = new Uint8Array(width * height * 4);
  for (let i = 0; i < width * height; i++) data.set(colourAt(i % width, Math.floor(i / width)), i * 4);
  return { width, height, data };
}

function noise(width: number, height: number, seed = 1): Picture {
  const random = seededRandom(seed);
  const level = () => Math.floor(random() * 256);
  return picture(width, height, () => [level(), level(), level(), 255]);
}

/** The red channel, row by row. */
function reds({ width, height, data }: Picture): number[][] {
  return Array.from({ length: height }, (_, y) =>
    Array.from({ length: width }, (_, x) => data[(y * width + x) * 4] ?? -1),
  );
}

function meanRed(of: Picture): number {
  const all = reds(of).flat();
  return all.reduce((a, b) => a + b) / all.length;
}

const sides = fc.integer({ min: 1, max: 40 });
const levels = fc.nat(255);

describe('resizing a picture', () => {
  test('to the size it has changes no pixel', () => {
    fc.assert(
      fc.property(sides, sides, fc.nat(), (width, height, seed) => {
        const original = noise(width, height, seed);
        const resized = resizePicture(original, width, height);
        expect(resized.data).toEqual(Uint8ClampedArray.from(original.data));
      }),
      { numRuns: 50 },
    );
  });

  // A weight that does not count, or weights that do not sum to 1, would show.
  test('of one colour gives that colour at any size', () => {
    const colours = fc.tuple(levels, levels, levels).map((rgb): Colour => [...rgb, 255]);
    fc.assert(
      fc.property(sides, sides, sides, sides, colours, (width, height, toWidth, toHeight, colour) => {
        const resized = resizePicture(
          picture(width, height, () => colour),
          toWidth,
          toHeight,
        );
        expect(resized).toMatchObject({ width: toWidth, height: toHeight });
        expect(resized.data).toEqual(new Uint8ClampedArray(picture(toWidth, toHeight, () => colour).data));
      }),
    );
  });

  test('lays what is transparent over white', () => {
    const blended = (alpha: number) => [
      ...resizePicture(
        picture(3, 2, () => [200, 100, 0, alpha]),
        1,
        1,
      ).data,
    ];
    expect(blended(255)).toEqual([200, 100, 0, 255]);
    expect(blended(0)).toEqual([255, 255, 255, 255]);
    expect(blended(102)).toEqual([233, 193, 153, 255]);
  });

  test('never lets the colour of a transparent pixel bleed into its neighbours', () => {
    const half = picture(8, 4, (x) => (x < 4 ? [0, 0, 0, 255] : [255, 0, 0, 0]));
    const { data } = resizePicture(half, 4, 2);
    for (let i = 0; i < data.length; i += 4) expect(data[i]).toBe(data[i + 1]);
  });

  test('stays between the darkest and the brightest', () => {
    fc.assert(
      fc.property(sides, sides, sides, sides, (width, height, toWidth, toHeight) => {
        const original = picture(width, height, (x, y) => [((x * 7 + y * 13) % 100) + 50, 0, 0, 255]);
        const [before, after] = [original, resizePicture(original, toWidth, toHeight)].map((of) => reds(of).flat());
        expect(Math.min(...(after ?? []))).toBeGreaterThanOrEqual(Math.min(...(before ?? [])));
        expect(Math.max(...(after ?? []))).toBeLessThanOrEqual(Math.max(...(before ?? [])));
      }),
    );
  });

  test.each([2, 3, 4])('keeps the mean when shrinking by %i', (factor) => {
    // Where the border is of one colour, the kernels that the edge cuts off lose nothing.
    const side = 24 * factor;
    const isInside = (at: number) => at >= 2 * factor && at < side - 2 * factor;
    const random = seededRandom(factor);
    const framed = picture(side, side, (x, y) => [isInside(x) && isInside(y) ? random() * 256 : 128, 0, 0, 255]);
    expect(Math.abs(meanRed(resizePicture(framed, side / factor, side / factor)) - meanRed(framed))).toBeLessThan(0.1);
  });

  test('by half weighs four pixels 1:3:3:1, as a triangle filter does', () => {
    const line = (at: number) => picture(8, 1, (x) => [x === at ? 240 : 0, 0, 0, 255]);
    const halved = (at: number) => reds(resizePicture(line(at), 4, 1))[0];
    expect(halved(3)).toEqual([0, 90, 30, 0]);
    expect(halved(4)).toEqual([0, 30, 90, 0]);
  });

  test('to twice the size takes 3 parts of the nearer pixel and 1 of the other', () => {
    const line = picture(2, 1, (x) => [x * 100, 0, 0, 255]);
    expect(reds(resizePicture(line, 4, 1))[0]).toEqual([0, 25, 75, 100]);
  });

  test('treats rows as it treats columns', () => {
    const { data } = noise(9, 6);
    const turned = picture(6, 9, (x, y) => {
      const at = (x * 9 + y) * 4;
      return [data[at] ?? 0, 0, 0, 255];
    });
    const columns = reds(resizePicture({ width: 9, height: 6, data }, 4, 5));
    const rows = reds(resizePicture(turned, 5, 4));
    // Rounding happens once, after both passes, whose order differs.
    for (const [y, row] of columns.entries()) {
      for (const [x, value] of row.entries()) expect(Math.abs(value - (rows[x]?.[y] ?? -9))).toBeLessThanOrEqual(1);
    }
  });
});
