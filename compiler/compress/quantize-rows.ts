/** Rows of a weight on a grid of few levels: the choice of steps, and the nearest codes. GPTQ finds better codes on the same grid. */

/** Where values can lie: code times scale, codes from -levels to levels. */
export interface RowGrid {
  /** Of one row. */
  readonly columns: number;
  /** 127, 7 or 3: of 8, 4 or 3 bits. Symmetric, so that 0 is a code. */
  readonly levels: number;
  /** So many neighbouring columns of a row share a scale; the last ones of a row may be fewer. */
  readonly block: number;
  /** [rows, blocks of a row]; 0 where all is 0. */
  readonly scales: Float32Array;
}

/** The largest code is tried at these shares of the largest weight, from 1 down. */
const CLIP_STEPS = 40;
const CLIP_STEP = 0.02;
/** Of the mean importance, added to that of each column. */
const IMPORTANCE_FLOOR = 0.2;

/**
 * The scales under which rounding loses least in the weighted mean square.
 * @param rows [rows, columns]
 * @param importance of each column, from `columnImportance`. Without it all are alike
 */
export function chooseGrid(
  rows: Float32Array,
  { columns, levels, block = columns }: Omit<RowGrid, 'scales' | 'block'> & { readonly block?: number },
  importance?: ArrayLike<number>,
): RowGrid {
  const blocks = Math.ceil(columns / block);
  const scales = new Float32Array((rows.length / columns) * blocks);
  const weighed = importance ? Float64Array.from(importance) : new Float64Array(columns).fill(1);
  for (let i = 0; i < scales.length; i++) {
    const from = (i % blocks) * block;
    const to = Math.min(columns, from + block);
    const start = Math.floor(i / blocks) * columns;
    scales[i] = bestScale(rows.subarray(start + from, start + to), levels, weighed.subarray(from, to));
  }
  return { columns, levels, block, scales };
}

/**
 * What `chooseGrid` takes for the importance of columns: the Gram matrix's diagonal, and a share of its mean. Without that
 * share steps fit the samples too well (ocr-line, 8 bits, GPTQ, lines held out: 11 % more error).
 * @param gram [columns, columns]
 */
export function columnImportance(gram: Float64Array, columns: number): Float64Array {
  const diagonal = Float64Array.from({ length: columns }, (_, i) => gram[i * columns + i] as number);
  const mean = diagonal.reduce((sum, value) => sum + value, 0) / columns;
  return diagonal.map((value) => value + IMPORTANCE_FLOOR * mean);
}

/** The nearest code of every weight, [rows, columns]. */
export function roundRows(rows: Float32Array, grid: RowGrid): Int8Array {
  const codes = new Int8Array(rows.length);
  for (let i = 0; i < codes.length; i++) codes[i] = nearestCode(rows[i] as number, scaleAt(grid, i), grid.levels);
  return codes;
}

/** What codes on a grid stand for, in float32 as a runtime computes it. */
export function valuesOf(codes: Int8Array, grid: RowGrid): Float32Array {
  const values = new Float32Array(codes.length);
  for (let i = 0; i < values.length; i++) values[i] = (codes[i] as number) * scaleAt(grid, i);
  return values;
}

export function nearestCode(value: number, scale: number, levels: number): number {
  return scale === 0 ? 0 : Math.max(-levels, Math.min(levels, Math.round(value / scale)));
}

/** Of the weight at a flat index. */
export function scaleAt({ columns, block, scales }: RowGrid, index: number): number {
  const row = Math.floor(index / columns);
  return scales[row * Math.ceil(columns / block) + Math.floor((index % columns) / block)] as number;
}

function bestScale(weights: Float32Array, levels: number, importance: Float64Array): number {
  let largest = 0;
  for (const weight of weights) largest = Math.max(largest, Math.abs(weight));
  let best = Math.fround(largest / levels);
  let bestError = Number.POSITIVE_INFINITY;
  for (let step = 0; step < CLIP_STEPS; step++) {
    const scale = Math.fround((largest * (1 - step * CLIP_STEP)) / levels);
    const error = errorUpTo(bestError, weights, scale, levels, importance);
    if (error < bestError) [best, bestError] = [scale, error];
  }
  return best;
}

/** The weighted squared error of rounding at a scale; no less than `most` where it is that much. */
function errorUpTo(
  most: number,
  weights: Float32Array,
  scale: number,
  levels: number,
  importance: Float64Array,
): number {
  let error = 0;
  for (let k = 0; k < weights.length && !(error >= most); k++) {
    const weight = weights[k] as number;
    error += (importance[k] as number) * (weight - scale * nearestCode(weight, scale, levels)) ** 2;
  }
  return error;
}
