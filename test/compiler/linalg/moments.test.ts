import { describe, expect, test } from 'vitest';
import { addRows, finishMoments, newMoments } from '../../../compiler/linalg/moments.ts';
import { gaussian, seededRandom } from '../../../shared/random.ts';

describe('moments', () => {
  test('of batches are the sums over all rows', () => {
    const random = seededRandom(5);
    const [columns, targets, count] = [4, 3, 11];
    const x = Float32Array.from({ length: count * columns }, (_, i) => (i % 5 === 0 ? 0 : gaussian(random)));
    const z = Float32Array.from({ length: count * targets }, () => gaussian(random));
    const moments = newMoments(columns, targets);
    for (const [from, to] of [
      [0, 4],
      [4, 5],
      [5, 11],
    ] as const) {
      addRows(moments, x.subarray(from * columns, to * columns), z.subarray(from * targets, to * targets));
    }
    finishMoments(moments);
    const sum = (of: (r: number) => number) =>
      Array.from({ length: count }, (_, r) => of(r)).reduce((a, b) => a + b, 0);
    const at = (m: Float32Array, width: number, r: number, c: number) => m[r * width + c] as number;
    expect(moments.count).toBe(count);
    for (let i = 0; i < columns; i++) {
      expect(moments.sum[i]).toBeCloseTo(
        sum((r) => at(x, columns, r, i)),
        9,
      );
      for (let j = 0; j < columns; j++) {
        expect(moments.gram[i * columns + j]).toBeCloseTo(
          sum((r) => at(x, columns, r, i) * at(x, columns, r, j)),
          9,
        );
      }
      for (let t = 0; t < targets; t++) {
        expect(moments.cross[i * targets + t]).toBeCloseTo(
          sum((r) => at(x, columns, r, i) * at(z, targets, r, t)),
          9,
        );
      }
    }
    for (let t = 0; t < targets; t++)
      expect(moments.targetSum[t]).toBeCloseTo(
        sum((r) => at(z, targets, r, t)),
        9,
      );
  });
});
