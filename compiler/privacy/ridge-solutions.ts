/**
 * Ridge regressions out of one set of moments: on all columns and on the leading ones alone, and with a part of the samples
 * left out, which is no more than a difference of sums.
 */
import { cholesky, choleskySolve } from '../linalg/cholesky.ts';
import { type Moments, newMoments } from '../linalg/moments.ts';
import { addRidge, secondMoments } from '../linalg/ridge.ts';
import type { Matrix } from './matrices.ts';

export { newMoments } from '../linalg/moments.ts';

export interface Fitted {
  readonly isLinear: boolean;
  /** Of the leading columns. */
  readonly direct: Matrix;
  /** Of the others; undefined where there are none, or they are left out. */
  readonly bent: Matrix | undefined;
  /** [targets] */
  readonly intercept: Float32Array;
}

/** Of all columns, and of the leading ones alone, whose factor is a part of the other's. */
export function ridgeSolutions(moments: Moments, ridge: number, leading: number): Fitted[] {
  const { columns } = moments;
  const gram = ridged(moments, ridge);
  const factor = cholesky(gram, columns);
  const whole = solved(moments, factor, columns, leading);
  if (columns === leading) return [whole];
  return [solved(moments, leadingBlock(factor, columns, leading), leading, leading), whole];
}

/** One of them. */
export function ridgeSolution(moments: Moments, ridge: number, leading: number, isLinear: boolean): Fitted {
  const { columns } = moments;
  const gram = ridged(moments, ridge);
  const used = isLinear ? leading : columns;
  return solved(moments, cholesky(leadingBlock(gram, columns, used), used), used, leading);
}

function ridged(moments: Moments, ridge: number): Float64Array {
  const gram = secondMoments(moments, true);
  addRidge(gram, moments.columns, ridge);
  return gram;
}

function leadingBlock(matrix: Float64Array, columns: number, leading: number): Float64Array {
  if (columns === leading) return matrix;
  const block = new Float64Array(leading * leading);
  for (let row = 0; row < leading; row++) {
    block.set(matrix.subarray(row * columns, row * columns + leading), row * leading);
  }
  return block;
}

function solved(
  { count, sum, targets, targetSum, cross }: Moments,
  factor: Float64Array,
  columns: number,
  leading: number,
): Fitted {
  const solution = new Float64Array(columns * targets);
  for (let c = 0; c < columns; c++) {
    const mean = (sum[c] as number) / count;
    for (let t = 0; t < targets; t++) {
      solution[c * targets + t] =
        (cross[c * targets + t] as number) / count - (mean * (targetSum[t] as number)) / count;
    }
  }
  choleskySolve(factor, columns, solution, targets);
  const intercept = Float64Array.from(targetSum, (total) => total / count);
  for (let c = 0; c < columns; c++) {
    const mean = (sum[c] as number) / count;
    for (let t = 0; t < targets; t++) {
      intercept[t] = (intercept[t] as number) - mean * (solution[c * targets + t] as number);
    }
  }
  const rowsOf = (from: number, to: number): Matrix => {
    return {
      rows: to - from,
      columns: targets,
      data: Float32Array.from(solution.subarray(from * targets, to * targets)),
    };
  };
  return {
    isLinear: columns === leading,
    direct: rowsOf(0, leading),
    bent: columns === leading ? undefined : rowsOf(leading, columns),
    intercept: Float32Array.from(intercept),
  };
}

export function sumOf(parts: readonly Moments[]): Moments {
  const [first] = parts as [Moments, ...Moments[]];
  return parts.reduce((sum, part) => combined(sum, part, 1), newMoments(first.columns, first.targets));
}

/** Of what is in `all` and not in `part`. */
export function differenceOf(all: Moments, part: Moments): Moments {
  return combined(all, part, -1);
}

function combined(a: Moments, b: Moments, sign: 1 | -1): Moments {
  const each = (x: Float64Array, y: Float64Array) => x.map((value, i) => value + sign * (y[i] as number));
  return {
    ...{ columns: a.columns, targets: a.targets, count: a.count + sign * b.count },
    ...{ sum: each(a.sum, b.sum), gram: each(a.gram, b.gram) },
    ...{ targetSum: each(a.targetSum, b.targetSum), cross: each(a.cross, b.cross) },
  };
}
