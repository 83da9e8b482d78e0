/**
 * What a local attack looks at in one place: all channels there, the principal components of those around it, and where it
 * is. Components are fitted once on undefended boundaries: whoever attacks has the model, and samples of his own.
 */

import type { Tensors } from '../../shared/tensor.ts';
import { EIGEN_MAX, symmetricEigen } from '../linalg/eigen.ts';
import { newMoments } from '../linalg/moments.ts';
import { secondMoments } from '../linalg/ridge.ts';
import { type PlacedTensor, type PlaceGrid, placeGrid } from './layout.ts';
import type { Matrices, Matrix } from './matrices.ts';
import type { Plane } from './plane.ts';

/** Columns that one place has at most, but for tensors of more channels than that. */
const COLUMNS_MAX = 720;
/** Components whose mean over all places is told: how light an input is as a whole. */
const OVERALL_MAX = 16;
/** Rows that are told apart one by one; of more, how far down they are is told. */
const ROWS_NAMED_MAX = 16;

/** How a tensor is brought to about 1, and what is kept of its places' neighbours. */
interface TensorBasis {
  readonly placed: PlacedTensor;
  readonly channels: number;
  /** [channels], and one over the deviation over all channels. */
  readonly mean: Float32Array;
  readonly scale: number;
  /** [channels, components] */
  readonly components: Matrix;
  readonly offsets: readonly (readonly [row: number, column: number])[];
}

export interface FeatureBasis {
  readonly tensors: readonly TensorBasis[];
  readonly columns: number;
  readonly namedRows: number;
  /** Of boundaries that were looked at before: each is, several times over. */
  readonly known: WeakMap<Tensors, FeatureMap>;
}

/** One boundary, ready to be looked at. */
export interface FeatureMap {
  readonly rows: number;
  readonly columns: number;
  /** Means over all places, of all tensors. */
  readonly overall: Float32Array;
  /** Values of some places, counted row by row. */
  at(places: readonly number[]): Matrix;
}

/**
 * @param boundaries that components are fitted on
 * @param radius of what is looked at around a place; by default near, and farther along a tensor of a single row
 */
export async function fitBasis(
  matrices: Matrices,
  placed: readonly PlacedTensor[],
  boundaries: readonly Tensors[],
  radius?: number,
): Promise<FeatureBasis> {
  const grids = placed.map((tensor) => boundaries.map((boundary) => gridOf(boundary, tensor)));
  const namedRows = Math.max(...grids.map(([first]) => first?.rows ?? 1));
  const offsets = grids.map(([first]) => neighbours(first?.rows ?? 1, radius));
  const channels = grids.map(([first]) => first?.places.columns ?? 0);
  const isNamed = namedRows > 1 && namedRows <= ROWS_NAMED_MAX;
  const own = channels.reduce((sum, count) => sum + count, 0) + (isNamed ? namedRows : 2);
  const around = offsets.reduce((sum, { length }) => sum + length, 0);
  const share = Math.max(4, Math.floor((COLUMNS_MAX - own) / Math.max(1, around)));
  const tensors: TensorBasis[] = [];
  for (const [i, tensor] of placed.entries()) {
    const components = Math.min(share, channels[i] as number);
    tensors.push(
      await tensorBasis(matrices, tensor, grids[i] as PlaceGrid[], offsets[i] as [number, number][], components),
    );
  }
  const columns = tensors.reduce(
    (sum, { channels: count, components, offsets: places }) => sum + count + components.columns * places.length,
    isNamed ? namedRows : 2,
  );
  return { tensors, columns, namedRows: isNamed ? namedRows : 0, known: new WeakMap() };
}

function gridOf(boundary: Tensors, placed: PlacedTensor): PlaceGrid {
  return placeGrid(boundary[placed.name] as Tensors[string], placed);
}

function neighbours(rows: number, radius: number | undefined): [number, number][] {
  const [down, across] = radius !== undefined ? [Math.min(radius, rows - 1), radius] : rows === 1 ? [0, 3] : [1, 1];
  const offsets: [number, number][] = [];
  for (let row = -down; row <= down; row++) {
    for (let column = -across; column <= across; column++) if (row !== 0 || column !== 0) offsets.push([row, column]);
  }
  return offsets;
}

async function tensorBasis(
  matrices: Matrices,
  placed: PlacedTensor,
  grids: readonly PlaceGrid[],
  offsets: readonly [number, number][],
  count: number,
): Promise<TensorBasis> {
  const channels = grids[0]?.places.columns ?? 0;
  const moments = newMoments(channels);
  for (const { places } of grids) await matrices.add(moments, places.data);
  // Products by the runtime fill both triangles, sums here the lower one: the second moments need no more.
  const second = secondMoments(moments, true);
  let variance = 0;
  for (let c = 0; c < channels; c++) variance += second[c * channels + c] as number;
  const scale = 1 / Math.sqrt(Math.max(1e-20, variance / Math.max(1, channels)));
  const mean = Float32Array.from(moments.sum, (sum) => sum / Math.max(1, moments.count));
  const components = new Float32Array(channels * count);
  const vectors = channels <= EIGEN_MAX ? symmetricEigen(second, channels).vectors : undefined;
  for (let component = 0; component < count; component++) {
    // Of what is too wide for eigenvectors, channels evenly over all.
    const picked = Math.floor((component * channels) / count);
    for (let c = 0; c < channels; c++) {
      components[c * count + component] = vectors
        ? (vectors[component * channels + c] as number)
        : Number(c === picked);
    }
  }
  return { placed, channels, mean, scale, components: { rows: channels, columns: count, data: components }, offsets };
}

export async function featureMap(matrices: Matrices, basis: FeatureBasis, boundary: Tensors): Promise<FeatureMap> {
  const map = basis.known.get(boundary) ?? (await newFeatureMap(matrices, basis, boundary));
  basis.known.set(boundary, map);
  return map;
}

async function newFeatureMap(matrices: Matrices, basis: FeatureBasis, boundary: Tensors): Promise<FeatureMap> {
  const parts: { grid: PlaceGrid; projected: Matrix; overall: Float32Array; tensor: TensorBasis }[] = [];
  for (const tensor of basis.tensors) {
    const grid = gridOf(boundary, tensor.placed);
    const { data, columns } = grid.places;
    for (let i = 0; i < data.length; i++) {
      data[i] = ((data[i] as number) - (tensor.mean[i % columns] as number)) * tensor.scale;
    }
    const projected = await matrices.multiply(grid.places, tensor.components);
    parts.push({ grid, projected, overall: overallOf(projected), tensor });
  }
  const rows = Math.max(...parts.map(({ grid }) => grid.rows));
  const columns = Math.max(...parts.map(({ grid }) => grid.columns));
  return {
    rows,
    columns,
    overall: Float32Array.from(parts.flatMap(({ overall }) => [...overall])),
    at(places) {
      const result = new Float32Array(places.length * basis.columns);
      for (const [i, place] of places.entries()) {
        const [row, column] = [Math.floor(place / columns), place % columns];
        let to = i * basis.columns;
        for (const { grid, projected, tensor } of parts) {
          const ownRow = scaled(row, rows, grid.rows);
          const ownColumn = scaled(column, columns, grid.columns);
          to = copyPlace(grid.places, ownRow * grid.columns + ownColumn, result, to);
          for (const offset of tensor.offsets) {
            const nextRow = ownRow + offset[0];
            const nextColumn = ownColumn + offset[1];
            const isInside = nextRow >= 0 && nextRow < grid.rows && nextColumn >= 0 && nextColumn < grid.columns;
            if (isInside) copyPlace(projected, nextRow * grid.columns + nextColumn, result, to);
            to += projected.columns;
          }
        }
        if (basis.namedRows > 0) result[to + row] = 1;
        else {
          result[to] = row / rows;
          result[to + 1] = (row / rows) ** 2;
        }
      }
      return { rows: places.length, columns: basis.columns, data: result };
    },
  };
}

function overallColumns({ columns }: Matrix): number {
  return Math.min(OVERALL_MAX, columns);
}

function overallOf(projected: Matrix): Float32Array {
  const mean = new Float32Array(overallColumns(projected));
  for (let place = 0; place < projected.rows; place++) {
    for (let i = 0; i < mean.length; i++) {
      mean[i] = (mean[i] as number) + (projected.data[place * projected.columns + i] as number) / projected.rows;
    }
  }
  return mean;
}

function scaled(place: number, of: number, to: number): number {
  return Math.min(to - 1, Math.floor((place * to) / of));
}

/** Value by value: a tensor that is one pixel a place has a great many of them. */
function copyPlace({ columns, data }: Matrix, place: number, to: Float32Array, at: number): number {
  const from = place * columns;
  for (let c = 0; c < columns; c++) to[at + c] = data[from + c] as number;
  return at + columns;
}

/** Whether the view can be divided into a cell a place. */
export function hasCells({ rows, columns }: Pick<FeatureMap, 'rows' | 'columns'>, view: Plane): boolean {
  return view.rows % rows === 0 && view.columns % columns === 0;
}

/** The cells of a view under some places, each row by row. */
export function cellsAt(view: Plane, map: Pick<FeatureMap, 'rows' | 'columns'>, places: readonly number[]): Matrix {
  const [height, width] = [view.rows / map.rows, view.columns / map.columns];
  const data = new Float32Array(places.length * height * width);
  for (const [i, place] of places.entries()) {
    const [top, left] = [Math.floor(place / map.columns) * height, (place % map.columns) * width];
    for (let row = 0; row < height; row++) {
      const from = (top + row) * view.columns + left;
      data.set(view.data.subarray(from, from + width), (i * height + row) * width);
    }
  }
  return { rows: places.length, columns: height * width, data };
}

/** The other way: all cells, in the order of places. */
export function viewOfCells(cells: Matrix, map: Pick<FeatureMap, 'rows' | 'columns'>, height: number): Plane {
  const width = cells.columns / height;
  const view = { rows: map.rows * height, columns: map.columns * width };
  const data = new Float32Array(view.rows * view.columns);
  for (let place = 0; place < cells.rows; place++) {
    const [top, left] = [Math.floor(place / map.columns) * height, (place % map.columns) * width];
    for (let row = 0; row < height; row++) {
      const from = (place * height + row) * width;
      data.set(cells.data.subarray(from, from + width), (top + row) * view.columns + left);
    }
  }
  return { ...view, data };
}
