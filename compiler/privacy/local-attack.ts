/**
 * Cell by cell: from what a place of the boundary and its neighbours hold to the cell of the input under it, by ridge
 * regression, and by ridge regression on random rectified features (Rahimi and Recht, "Random features for large-scale kernel
 * machines", 2007), which is a network of one hidden layer whose first layer is not trained. Both come out of one factor.
 */
import { gaussian, seededRandom } from '../../shared/random.ts';
import type { Tensors } from '../../shared/tensor.ts';
import { type Moments, newMoments } from '../linalg/moments.ts';
import { type Attack, type AttackSamples, best, type Score } from './attack.ts';
import { cellsAt, type FeatureBasis, type FeatureMap, featureMap, hasCells, viewOfCells } from './features.ts';
import type { Matrices, Matrix } from './matrices.ts';
import type { Plane } from './plane.ts';
import { differenceOf, type Fitted, ridgeSolution, ridgeSolutions, sumOf } from './ridge-solutions.ts';

export interface LocalAttackOptions {
  readonly basis: FeatureBasis;
  readonly seed: number;
  /** Places that equations are made of, over all training samples. */
  readonly places: number;
  /** Random features; 0 for a linear attack alone. */
  readonly hidden: number;
  /** Shares of the mean diagonal. */
  readonly ridges: readonly number[];
  /** Into how many parts training samples are divided, one after the other, for `unseen`. */
  readonly parts?: number;
  /** Of what is told of the held-out samples, that the ridge is chosen by. */
  readonly score: Score;
}

export interface LocalAttack extends Attack {
  /** What is told of training samples, in their order, by equations that the part they are in has no part in. */
  unseen(): Promise<readonly Plane[]>;
}

/** The layer of random features: undefined where there is none. */
interface Hidden {
  readonly weights: Matrix;
  readonly offsets: Matrix;
}

/** Places that are looked at in one go: what is known of each is some thousand bytes. */
const PLACES_AT_ONCE = 4096;

/** The better of both attacks; undefined where the input cannot be divided into cells as the boundary's places lie. */
export async function localAttack(
  matrices: Matrices,
  { training, heldOut }: AttackSamples,
  options: LocalAttackOptions,
): Promise<LocalAttack | undefined> {
  const { basis, seed, parts = 1 } = options;
  const random = seededRandom(seed);
  const [first] = training;
  const firstMap = first && (await featureMap(matrices, basis, first.boundary));
  if (!firstMap || !hasCells(firstMap, first.view)) return undefined;
  const height = first.view.rows / firstMap.rows;
  const hidden = options.hidden > 0 ? randomLayer(basis.columns, options.hidden, random) : undefined;
  const targets = (first.view.rows * first.view.columns) / (firstMap.rows * firstMap.columns);
  const moments = Array.from({ length: parts }, () => newMoments(basis.columns + options.hidden, targets));
  const share = Math.ceil(options.places / training.length);
  for (const [i, { boundary, view }] of training.entries()) {
    const map = await featureMap(matrices, basis, boundary);
    const chosen = somePlaces(map, share, random);
    const features = await widened(matrices, map.at(chosen), hidden);
    await matrices.add(moments[i % parts] as Moments, features.data, cellsAt(view, map, chosen).data);
  }
  const tell = (boundary: Tensors, fitted: readonly Fitted[]) => {
    return told({ matrices, basis, hidden, height }, boundary, fitted);
  };
  const all = parts > 1 ? sumOf(moments) : (moments[0] as Moments);
  const found: { readonly ridge: number; readonly fitted: Fitted; readonly planes: Plane[] }[] = [];
  for (const ridge of options.ridges) {
    const solutions = await ridgeSolutions(matrices, all, ridge, basis.columns);
    found.push(...solutions.map((fitted) => ({ ridge, fitted, planes: [] })));
  }
  for (const { boundary } of heldOut) {
    const planes = await tell(
      boundary,
      found.map(({ fitted }) => fitted),
    );
    for (const [i, plane] of planes.entries()) found[i]?.planes.push(plane);
  }
  const { fitted, ridge, planes } = best(found, (one) => options.score(one.planes));
  return {
    ...{ name: fitted.isLinear ? 'ridge on places' : 'ridge on random features of places', ridge, heldOut: planes },
    reconstruct: async (boundary) => (await tell(boundary, [fitted]))[0] as Plane,
    async unseen() {
      const others: Fitted[] = [];
      for (const part of moments) {
        const rest = parts > 1 ? differenceOf(all, part) : part;
        others.push(await ridgeSolution(matrices, rest, ridge, basis.columns, fitted.isLinear));
      }
      const known: Plane[] = [];
      for (const [i, { boundary }] of training.entries()) {
        known.push(...(await tell(boundary, [others[i % parts] as Fitted])));
      }
      return known;
    },
  };
}

interface Telling {
  readonly matrices: Matrices;
  readonly basis: FeatureBasis;
  readonly hidden: Hidden | undefined;
  /** Of a cell. */
  readonly height: number;
}

/** All cells of a boundary's view, by each of some solutions. */
async function told(
  { matrices, basis, hidden, height }: Telling,
  boundary: Tensors,
  fitted: readonly Fitted[],
): Promise<Plane[]> {
  const map = await featureMap(matrices, basis, boundary);
  const places = map.rows * map.columns;
  const direct = sideBySide(fitted.map((one) => one.direct));
  const bent = hidden && sideBySide(fitted.map((one) => one.bent ?? zerosOf(hidden, one.direct.columns)));
  const isBent = fitted.some((one) => one.bent !== undefined);
  const cells = fitted.map(({ intercept: { length } }): Matrix => {
    return { rows: places, columns: length, data: new Float32Array(places * length) };
  });
  for (let from = 0; from < places; from += PLACES_AT_ONCE) {
    const count = Math.min(PLACES_AT_ONCE, places - from);
    const features = map.at(Array.from({ length: count }, (_, i) => from + i));
    const { data, columns } =
      isBent && hidden && bent
        ? await matrices.network(features, hidden.weights, hidden.offsets, direct, bent)
        : await matrices.multiply(features, direct);
    for (const [i, { intercept }] of fitted.entries()) {
      const to = cells[i]?.data as Float32Array;
      const width = intercept.length;
      for (let place = 0; place < count; place++) {
        for (let target = 0; target < width; target++) {
          const value = data[place * columns + i * width + target] as number;
          to[(from + place) * width + target] = value + (intercept[target] as number);
        }
      }
    }
  }
  return cells.map((one) => viewOfCells(one, map, height));
}

function sideBySide(parts: readonly Matrix[]): Matrix {
  const [first] = parts as [Matrix, ...Matrix[]];
  if (parts.length === 1) return first;
  const columns = parts.reduce((sum, part) => sum + part.columns, 0);
  const data = new Float32Array(first.rows * columns);
  let to = 0;
  for (const part of parts) {
    for (let row = 0; row < part.rows; row++) {
      data.set(part.data.subarray(row * part.columns, (row + 1) * part.columns), row * columns + to);
    }
    to += part.columns;
  }
  return { rows: first.rows, columns, data };
}

function zerosOf({ offsets }: Hidden, columns: number): Matrix {
  return { rows: offsets.columns, columns, data: new Float32Array(offsets.columns * columns) };
}

/** Each at most once. */
function somePlaces({ rows, columns }: FeatureMap, count: number, random: () => number): number[] {
  const all = Array.from({ length: rows * columns }, (_, place) => place);
  if (count >= all.length) return all;
  for (let i = 0; i < count; i++) {
    const other = i + Math.floor(random() * (all.length - i));
    [all[i], all[other]] = [all[other] as number, all[i] as number];
  }
  return all.slice(0, count);
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
