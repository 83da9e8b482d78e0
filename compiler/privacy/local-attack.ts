/**
 * Cell by cell: from what a place of the boundary and its neighbours hold to the cell of the input under it, by ridge
 * regression, and by ridge regression on random rectified features (Rahimi and Recht, "Random features for large-scale kernel
 * machines", 2007), which is a network of one hidden layer whose first layer is not trained. Both come out of one factor.
 */
import { gaussian, seededRandom } from '../../shared/random.ts';
import type { Tensors } from '../../shared/tensor.ts';
import { cholesky, choleskySolve } from '../linalg/cholesky.ts';
import { type Moments, newMoments } from '../linalg/moments.ts';
import { addRidge, secondMoments } from '../linalg/ridge.ts';
import type { Attack, AttackSamples, Seen } from './attack.ts';
import { cellsAt, type FeatureBasis, type FeatureMap, featureMap, hasCells, viewOfCells } from './features.ts';
import type { Matrices, Matrix } from './matrices.ts';

export interface LocalAttackOptions {
  readonly basis: FeatureBasis;
  readonly seed: number;
  /** Places that equations are made of, over all training samples. */
  readonly places: number;
  /** Random features; 0 for a linear attack alone. */
  readonly hidden: number;
  /** Shares of the mean diagonal. */
  readonly ridges: readonly number[];
}

/** A linear map from features to a cell. */
interface Fitted {
  readonly weights: Matrix;
  readonly intercept: Float32Array;
}

/** The layer of random features: undefined where there is none. */
interface Hidden {
  readonly weights: Matrix;
  readonly offsets: Matrix;
}

/** The better of both attacks; undefined where the input cannot be divided into cells as the boundary's places lie. */
export async function localAttack(
  matrices: Matrices,
  { training, heldOut }: AttackSamples,
  options: LocalAttackOptions,
): Promise<Attack | undefined> {
  const { basis, seed } = options;
  const random = seededRandom(seed);
  const [first] = training;
  const firstMap = first && (await featureMap(matrices, basis, first.boundary));
  if (!firstMap || !hasCells(firstMap, first.view)) return undefined;
  const height = first.view.rows / firstMap.rows;
  const hidden = options.hidden > 0 ? randomLayer(basis.columns, options.hidden, random) : undefined;
  const columns = basis.columns + options.hidden;
  const targets = (first.view.rows * first.view.columns) / (firstMap.rows * firstMap.columns);
  const rowsOf = async (samples: readonly Seen[], places: number) => {
    const share = Math.ceil(places / samples.length);
    const taken: { features: Matrix; cells: Matrix }[] = [];
    for (const { boundary, view } of samples) {
      const map = await featureMap(matrices, basis, boundary);
      const chosen = somePlaces(map, share, random);
      taken.push({ features: await widened(matrices, map.at(chosen), hidden), cells: cellsAt(view, map, chosen) });
    }
    return taken;
  };
  const moments = newMoments(columns, targets);
  for (const { features, cells } of await rowsOf(training, options.places)) {
    await matrices.add(moments, features.data, cells.data);
  }
  const judged = await rowsOf(heldOut, Math.ceil(options.places / 8));
  const found: (Omit<Attack, 'reconstruct'> & { readonly fitted: Fitted; readonly isLinear: boolean })[] = [];
  for (const ridge of options.ridges) {
    for (const { fitted, isLinear } of solutions(moments, ridge, basis.columns)) {
      let [error, count] = [0, 0];
      for (const { features, cells } of judged) {
        const told = await applied(matrices, fitted, isLinear ? leading(features, basis.columns) : features);
        for (const [i, value] of told.data.entries()) error += (value - (cells.data[i] as number)) ** 2;
        count += told.data.length;
      }
      const name = isLinear ? 'ridge on places' : 'ridge on random features of places';
      found.push({ name, error: error / Math.max(1, count), ridge, fitted, isLinear });
    }
  }
  const { fitted, isLinear, ...best } = found.reduce((one, other) => (other.error < one.error ? other : one));
  return {
    ...best,
    async reconstruct(boundary: Tensors) {
      const map = await featureMap(matrices, basis, boundary);
      const features = map.at(Array.from({ length: map.rows * map.columns }, (_, place) => place));
      const told = await applied(matrices, fitted, isLinear ? features : await widened(matrices, features, hidden));
      return viewOfCells(told, map, height);
    },
  };
}

function somePlaces({ rows, columns }: FeatureMap, count: number, random: () => number): number[] {
  const all = Array.from({ length: rows * columns }, (_, place) => place);
  if (count >= all.length) return all;
  return Array.from({ length: count }, () => Math.floor(random() * all.length));
}

/** Draws that take a feature vector of ordinary size to about 1. */
function randomLayer(columns: number, count: number, random: () => number): Hidden {
  const scale = 1 / Math.sqrt(columns);
  const weights = Float32Array.from({ length: columns * count }, () => scale * gaussian(random));
  const offsets = Float32Array.from({ length: count }, () => random() - 0.5);
  return {
    weights: { rows: columns, columns: count, data: weights },
    offsets: { rows: 1, columns: count, data: offsets },
  };
}

/** The features themselves, and behind them the random ones. */
async function widened(matrices: Matrices, features: Matrix, hidden: Hidden | undefined): Promise<Matrix> {
  if (!hidden) return features;
  const more = await matrices.rectified(features, hidden.weights, hidden.offsets);
  const columns = features.columns + more.columns;
  const data = new Float32Array(features.rows * columns);
  for (let row = 0; row < features.rows; row++) {
    data.set(features.data.subarray(row * features.columns, (row + 1) * features.columns), row * columns);
    data.set(more.data.subarray(row * more.columns, (row + 1) * more.columns), row * columns + features.columns);
  }
  return { rows: features.rows, columns, data };
}

function leading({ rows, columns, data }: Matrix, count: number): Matrix {
  const result = new Float32Array(rows * count);
  for (let row = 0; row < rows; row++) result.set(data.subarray(row * columns, row * columns + count), row * count);
  return { rows, columns: count, data: result };
}

async function applied(matrices: Matrices, { weights, intercept }: Fitted, features: Matrix): Promise<Matrix> {
  const told = await matrices.multiply(features, weights);
  for (let i = 0; i < told.data.length; i++) {
    told.data[i] = (told.data[i] as number) + (intercept[i % told.columns] as number);
  }
  return told;
}

/** Of all features, and of the leading ones alone, whose factor is a part of the other's. */
function solutions(moments: Moments, ridge: number, linear: number): { fitted: Fitted; isLinear: boolean }[] {
  const { columns } = moments;
  const gram = secondMoments(moments, true);
  addRidge(gram, columns, ridge);
  const factor = cholesky(gram, columns);
  const whole = { fitted: solved(moments, factor, columns), isLinear: columns === linear };
  if (columns === linear) return [whole];
  const block = new Float64Array(linear * linear);
  for (let row = 0; row < linear; row++) {
    block.set(factor.subarray(row * columns, row * columns + linear), row * linear);
  }
  return [{ fitted: solved(moments, block, linear), isLinear: true }, whole];
}

function solved({ count, sum, targets, targetSum, cross }: Moments, factor: Float64Array, columns: number): Fitted {
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
  const weights = { rows: columns, columns: targets, data: Float32Array.from(solution) };
  return { weights, intercept: Float32Array.from(intercept) };
}
