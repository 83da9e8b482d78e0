import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { findBoxes, type ProbabilityMap, type TextBox } from '../../../models/text-detector/boxes.ts';

/** Digits are tenths, a dot is 0. */
function map(...rows: string[]): ProbabilityMap {
  const data = rows.join('').replaceAll('.', '0');
  return {
    width: rows[0]?.length ?? 0,
    height: rows.length,
    data: Float32Array.from(data, (tenth) => Number(tenth) / 10),
  };
}

/** The same by its definition: labels spread from neighbour to neighbour until none changes. */
function definedBoxes({ width, height, data }: ProbabilityMap): TextBox[] {
  const text = Array.from(data, (probability, i) => ({
    i,
    x: i % width,
    y: Math.floor(i / width),
    probability,
  })).filter(({ probability }) => probability > 0.3);
  const label = new Map(text.map(({ i }) => [i, i]));
  for (let changed = true; changed; ) {
    changed = false;
    for (const a of text) {
      for (const b of text) {
        if (Math.abs(a.x - b.x) > 1 || Math.abs(a.y - b.y) > 1) continue;
        const lower = Math.min(label.get(a.i) as number, label.get(b.i) as number);
        if (lower !== label.get(a.i)) changed = true;
        label.set(a.i, lower);
      }
    }
  }
  const boxes = [...new Set(label.values())].flatMap((name) => {
    const pixels = text.filter(({ i }) => label.get(i) === name);
    const [xs, ys] = [pixels.map(({ x }) => x), pixels.map(({ y }) => y)];
    const [left, top, right, bottom] = [Math.min(...xs), Math.min(...ys), Math.max(...xs) + 1, Math.max(...ys) + 1];
    const score = pixels.reduce((sum, { probability }) => sum + probability, 0) / pixels.length;
    if (right - left < 3 || bottom - top < 3 || score < 0.6) return [];
    const d = ((right - left) * (bottom - top) * 1.5) / (2 * (right - left + bottom - top));
    const grown = { left: Math.max(0, left - d), top: Math.max(0, top - d) };
    return [{ ...grown, right: Math.min(width, right + d), bottom: Math.min(height, bottom + d), score }];
  });
  return boxes.sort((a, b) => a.top - b.top || a.left - b.left);
}

const rounded = (boxes: readonly TextBox[]) =>
  boxes.map((box) => Object.values(box).map((value) => Math.round(value * 1e9) / 1e9));

describe('boxes of a map', () => {
  test('are those that its definition gives', () => {
    const pixel = fc.oneof(
      { weight: 4, arbitrary: fc.constant(0) },
      { weight: 6, arbitrary: fc.integer({ min: 2, max: 10 }) },
    );
    const maps = fc
      .record({ width: fc.integer({ min: 1, max: 13 }), height: fc.integer({ min: 1, max: 11 }) })
      .chain(({ width, height }) =>
        fc
          .array(pixel, { minLength: width * height, maxLength: width * height })
          .map((tenths) => ({ width, height, data: tenths.map((tenth) => tenth / 10) })),
      );
    let found = 0;
    fc.assert(
      fc.property(maps, (given) => {
        const boxes = findBoxes(given);
        found += boxes.length;
        expect(rounded(boxes)).toEqual(rounded(definedBoxes(given)));
      }),
      { numRuns: 200, seed: 1 },
    );
    expect(found).toBeGreaterThan(50);
  });

  test('are grown by the area times 1.5 over the perimeter, and cut off at the edge of the map', () => {
    const rows = ['.............', '.............', '.............', '.999999......', '.999999......', '.999999......'];
    const [box, ...others] = findBoxes(map(...rows));
    expect(others).toEqual([]);
    // 6 x 3 pixels: 18 * 1.5 / 18 = 1.5 on each side.
    expect(box).toMatchObject({ left: 0, top: 1.5, right: 8.5, bottom: 6 });
    expect(box?.score).toBeCloseTo(0.9, 6);
  });

  test('hold together over corners, and not over pixels of less than 0.3', () => {
    expect(findBoxes(map('99....', '99....', '..99..', '..99..'))).toHaveLength(1);
    expect(findBoxes(map('9992999', '9992999', '9992999'))).toHaveLength(2);
    expect(findBoxes(map('9994999', '9994999', '9994999'))).toHaveLength(1);
  });

  test('are three pixels high and wide at least, and sure by 0.6 on average', () => {
    expect(findBoxes(map('99999', '99999'))).toEqual([]);
    expect(findBoxes(map('99', '99', '99'))).toEqual([]);
    expect(findBoxes(map('555', '555', '555'))).toEqual([]);
    expect(findBoxes(map('777', '777', '777'))).toHaveLength(1);
  });

  test('come from the top down, and from the left on one height', () => {
    const boxes = findBoxes(
      map('......999', '......999', '999...999', '999......', '999...777', '......777', '......777'),
    );
    expect(boxes.map(({ score }) => Math.round(score * 10))).toEqual([9, 9, 7]);
    expect(boxes.map(({ top }) => top)).toEqual([...boxes.map(({ top }) => top)].sort((a, b) => a - b));
    const level = findBoxes(map('999....777', '999....777', '999....777'));
    expect(level.map(({ score }) => Math.round(score * 10))).toEqual([9, 7]);
  });

  test('of an empty map are none, and NaN is no text', () => {
    expect(findBoxes({ width: 0, height: 0, data: [] })).toEqual([]);
    expect(findBoxes({ width: 3, height: 3, data: new Float32Array(9).fill(Number.NaN) })).toEqual([]);
  });

  test('are a thousand at most', () => {
    const [width, height] = [4 * 40, 4 * 30];
    const data = Float32Array.from({ length: width * height }, (_, i) =>
      i % 4 < 3 && Math.floor(i / width) % 4 < 3 ? 1 : 0,
    );
    expect(findBoxes({ width, height, data })).toHaveLength(1000);
  });

  test.each([5, 7])('refuses a map of 3 x 2 with %d pixels', (length) => {
    expect(() => findBoxes({ width: 3, height: 2, data: new Float32Array(length) })).toThrow(
      new RangeError(`expected a map of 3 x 2 = 6 pixels, got ${length}`),
    );
  });
});
