/**
 * Ridge regressions out of one set of moments: on all columns and on the leading ones alone, and with a part of the samples
 * left out, which is no more than a difference of sums.
 */
import { type Moments, newMoments } from '../linalg/moments.ts';
import { addRidge, secondMoments } from '../linalg/ridge.ts';
import { blockedCholesky, blockedSolve } from './blocked-cholesky.ts';
import type { Matrices, Matrix } from './matrices.ts';

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
export async function ridgeSolutions(
  matrices: Matrices,
  moments: Moments,
  ridge: number,
  leading: number,
): Promise<Fitted[]> {
  const { columns } = moments;
  const factor = await blockedCholesky(matrices.product64, ridged(moments, ridge), columns);
  const whole = await solved(matrices, moments, factor, columns, leading);
  return columns === leading ? [whole] : [await solved(matrices, moments, factor, leading, leading), whole];
}

/** One of them. */
export async function ridgeSolution(
  matrices: Matrices,
  moments: Moments,
  ridge: number,
  leading: number,
  isLinear: boolean,
): Promise<Fitted> {
  const { columns } = moments;
  const factor = await blockedCholesky(matrices.product64, ridged(moments, ridge), columns);
  return solved(matrices, moments, factor, isLinear ? leading : columns, leading);
}

function ridged(moments: Moments, ridge: number): Float64Array {
  const gram = secondMoments(moments, true);
  addRidge(gram, moments.columns, ridge);
  return gram;
}

/** @param columns that are used, of those that the factor is of */
async function solved(
  { product64 }: Matrices,
  { count, sum, columns: all, targets, targetSum, cross }: Moments,
  factor: Float64Array,
  columns: number,
  leading: number,
): Promise<Fitted> {
  const solution = new Float64Array(columns * targets);
  for (let c = 0; c < columns; c++) {
    const mean = (sum[c] as number) / count;
    for (let t = 0; t < targets; t++) {
      solution[c * targets + t] =
        (cross[c * targets + t] as number) / count - (mean * (targetSum[t] as number)) / count;
    }
  }
  await blockedSolve(product64, factor, all, columns, solution, targets);
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
