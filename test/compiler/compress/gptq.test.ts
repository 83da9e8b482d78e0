import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { gptq } from '../../../compiler/compress/gptq.ts';
import { chooseGrid, type RowGrid, roundRows, scaleAt, valuesOf } from '../../../compiler/compress/quantize-rows.ts';
import { gaussian, type Random, seededRandom } from '../../../shared/random.ts';

const of = (values: ArrayLike<number> | undefined, i: number) => values?.[i] as number;

/** Sums of x xᵀ of rows whose columns depend on each other, as neighbouring pixels do. */
function gramOf(columns: number, random: Random, count = 4 * columns): Float64Array {
  const gram = new Float64Array(columns * columns);
  for (let r = 0; r < count; r++) {
    const common = gaussian(random);
    const x = Array.from({ length: columns }, (_, i) => (common + gaussian(random)) * (1 + (i % 3)));
    for (let i = 0; i < columns; i++) {
      for (let j = 0; j < columns; j++) gram[i * columns + j] = (gram[i * columns + j] as number) + of(x, i) * of(x, j);
    }
  }
  return gram;
}

/** As GPTQ sees it: with its damping. */
function damped(gram: Float64Array, n: number): number[][] {
  let trace = 0;
  for (let i = 0; i < n; i++) trace += of(gram, i * n + i);
  return Array.from({ length: n }, (_, i) =>
    Array.from({ length: n }, (_, j) => of(gram, i * n + j) + (i === j ? (0.01 * trace) / n : 0)),
  );
}

/** Of one row's errors: eᵀ H e. */
function quadratic(h: readonly number[][], error: readonly number[]): number {
  return h.reduce((sum, row, i) => sum + of(error, i) * row.reduce((s, value, j) => s + value * of(error, j), 0), 0);
}

function errorOf(h: number[][], weights: Float32Array, codes: Int8Array, grid: RowGrid): number {
  const values = valuesOf(codes, grid);
  return quadratic(
    h,
    [...weights].map((weight, i) => weight - of(values, i)),
  );
}

function inverse(matrix: readonly number[][]): number[][] {
  const n = matrix.length;
  const rows = matrix.map((row, i) => [...row, ...row.map((_, j) => (i === j ? 1 : 0))]);
  for (let p = 0; p < n; p++) {
    const pivot = of(rows[p], p);
    rows[p] = (rows[p] ?? []).map((value) => value / pivot);
    for (let r = 0; r < n; r++) {
      const factor = of(rows[r], p);
      if (r !== p) rows[r] = (rows[r] ?? []).map((value, c) => value - factor * of(rows[p], c));
    }
  }
  return rows.map((row) => row.slice(n));
}

/**
 * Optimal brain quantization in a fixed order, as its paper has it (Frantar and Alistarh, 2022): round a weight, move the rest by
 * the inverse's column, take the weight out of the inverse.
 */
function directObq(h: number[][], weights: Float32Array, grid: RowGrid, sequence: readonly number[]): number[] {
  const left = [...weights];
  let inv = inverse(h);
  const codes: number[] = [];
  for (const p of sequence) {
    const scale = scaleAt(grid, p);
    codes[p] = Math.max(-grid.levels, Math.min(grid.levels, Math.round(of(left, p) / scale))) | 0;
    const step = (of(left, p) - of(codes, p) * scale) / of(inv[p], p);
    for (let k = 0; k < left.length; k++) left[k] = of(left, k) - step * of(inv[k], p);
    const [column, pivot] = [inv.map((row) => of(row, p)), of(inv[p], p)];
    inv = inv.map((row, i) => row.map((value, j) => value - (of(column, i) * of(column, j)) / pivot));
  }
  return codes;
}

const randomRows = (count: number, random: Random) => Float32Array.from({ length: count }, () => gaussian(random));

describe('GPTQ', () => {
  test.each([3, 7, 127])('to %i levels gives the codes of direct elimination, largest diagonal first', (levels) => {
    const random = seededRandom(levels);
    for (const columns of [1, 2, 5, 13, 24]) {
      const gram = gramOf(columns, random);
      // Seven rows: more than are rounded in one go, and no multiple of that.
      const rows = randomRows(7 * columns, random);
      const grid = chooseGrid(rows, { columns, levels });
      const codes = gptq(rows, gram, grid);
      const sequence = Array.from({ length: columns }, (_, i) => i);
      sequence.sort((a, b) => of(gram, b * columns + b) - of(gram, a * columns + a));
      for (let row = 0; row < 7; row++) {
        const own = rows.subarray(row * columns, (row + 1) * columns);
        const expected = directObq(
          damped(gram, columns),
          own,
          { ...grid, scales: grid.scales.subarray(row) },
          sequence,
        );
        expect([...codes.subarray(row * columns, (row + 1) * columns)]).toEqual(expected);
      }
    }
  });

  test('is nowhere far from the best codes, and over many rows much nearer than rounding', () => {
    const random = seededRandom(4);
    const total = { best: 0, gptq: 0, nearest: 0 };
    for (let run = 0; run < 60; run++) {
      const columns = 2 + (run % 3);
      const gram = gramOf(columns, random);
      const h = damped(gram, columns);
      const rows = randomRows(columns, random);
      const grid = chooseGrid(rows, { columns, levels: 3 });
      const error = (codes: Int8Array) => errorOf(h, rows, codes, grid);
      let best = Number.POSITIVE_INFINITY;
      for (let i = 0; i < 7 ** columns; i++) {
        best = Math.min(best, error(Int8Array.from(rows, (_, c) => (Math.floor(i / 7 ** c) % 7) - 3)));
      }
      const found = error(gptq(rows, gram, grid));
      expect(found).toBeGreaterThanOrEqual(best * (1 - 1e-9));
      expect(found / best).toBeLessThan(6);
      total.best += best;
      total.gptq += found;
      total.nearest += error(roundRows(rows, grid));
    }
    expect(total.gptq / total.best).toBeLessThan(1.3);
    expect(total.nearest / total.gptq).toBeGreaterThan(1.5);
  });

  test('loses less than rounding in every wide layer', () => {
    fc.assert(
      fc.property(fc.integer({ min: 16, max: 40 }), fc.constantFrom(3, 7, 127), fc.nat(), (columns, levels, seed) => {
        const random = seededRandom(seed);
        const gram = gramOf(columns, random);
        const rows = randomRows(8 * columns, random);
        const grid = chooseGrid(rows, { columns, levels });
        const h = damped(gram, columns);
        const error = (codes: Int8Array) => {
          let sum = 0;
          for (let row = 0; row < 8; row++) {
            const own = [row * columns, (row + 1) * columns] as const;
            const part = { ...grid, scales: grid.scales.subarray(row) };
            sum += errorOf(h, rows.subarray(...own), codes.subarray(...own), part);
          }
          return sum;
        };
        expect(error(gptq(rows, gram, grid))).toBeLessThan(error(roundRows(rows, grid)));
      }),
      { numRuns: 40 },
    );
  });

  test('rounds where no sample says more: dead columns, and a layer that nothing reached', () => {
    const random = seededRandom(8);
    const columns = 6;
    const rows = randomRows(3 * columns, random);
    const grid = chooseGrid(rows, { columns, levels: 7 });
    const nearest = roundRows(rows, grid);
    expect(gptq(rows, new Float64Array(columns * columns), grid)).toEqual(nearest);
    const gram = gramOf(columns, random);
    for (let i = 0; i < columns; i++) gram[2 * columns + i] = gram[i * columns + 2] = 0;
    const codes = gptq(rows, gram, grid);
    for (let row = 0; row < 3; row++) expect(codes[row * columns + 2]).toBe(nearest[row * columns + 2]);
    expect(codes).not.toEqual(nearest);
  });

  test('has a scale for every block of columns', () => {
    const random = seededRandom(9);
    const columns = 10;
    const rows = randomRows(2 * columns, random).map((value, i) => (i % columns < 4 ? value * 100 : value));
    const grid = chooseGrid(rows, { columns, levels: 7, block: 4 });
    expect(grid.scales).toHaveLength(6);
    const codes = gptq(rows, gramOf(columns, random), grid);
    // Small weights beside large ones are not lost.
    expect(codes.subarray(4, 10).some((code) => Math.abs(code) > 3)).toBe(true);
  });
});

describe('the grid of a row', () => {
  test('is the best of many for the weighted error', () => {
    const random = seededRandom(3);
    const columns = 40;
    const importance = Array.from({ length: columns }, () => random() ** 4);
    const rows = randomRows(columns, random);
    // Larger than the others, and of no importance.
    rows[7] = 5;
    importance[7] = 1e-4;
    const error = (scale: number) => {
      const grid = { columns, levels: 3, block: columns, scales: Float32Array.of(scale) };
      const values = valuesOf(roundRows(rows, grid), grid);
      return rows.reduce((sum, value, i) => sum + of(importance, i) * (value - of(values, i)) ** 2, 0);
    };
    const { scales } = chooseGrid(rows, { columns, levels: 3 }, importance);
    const largest = Math.max(...rows.map(Math.abs)) / 3;
    const finest = Math.min(...Array.from({ length: 800 }, (_, i) => error((largest * (i + 201)) / 1000)));
    expect(error(of(scales, 0))).toBeLessThan(finest * 1.05);
    expect(error(of(scales, 0))).toBeLessThan(error(largest) * 0.9);
  });

  test('is exact where a row is all zeros', () => {
    const rows = new Float32Array(4);
    const grid = chooseGrid(rows, { columns: 4, levels: 7 });
    expect([...valuesOf(roundRows(rows, grid), grid)]).toEqual([0, 0, 0, 0]);
  });
});
