/**
 * How a boundary lies over the input: most networks keep the order of places, so that what one place of the boundary knows
 * of the input is the cell under it. A boundary that lies over it no such way can only be taken as a whole.
 */
import type { TensorSpec } from '../../shared/plan.ts';
import type { Tensor, Tensors } from '../../shared/tensor.ts';
import type { Matrix } from './matrices.ts';
import type { Plane } from './plane.ts';

/** What is wider has its places in some other axis. */
const CHANNELS_MAX = 1024;

/** A tensor whose axes are places; all others together are channels. */
export interface PlacedTensor {
  readonly name: string;
  readonly rowAxis: number | null;
  readonly columnAxis: number;
}

/** A tensor as rows x columns places of channels. */
export interface PlaceGrid {
  readonly rows: number;
  readonly columns: number;
  /** [rows * columns, channels] */
  readonly places: Matrix;
}

/**
 * The tensors of a boundary that lie over the input; undefined where there is none.
 * @param boundary one that was seen, made of an input that looks like `view`
 */
export function placedTensors(
  specs: readonly TensorSpec[],
  boundary: Tensors,
  view: Plane,
): readonly PlacedTensor[] | undefined {
  const placed = specs.flatMap((spec) => {
    const shape = boundary[spec.name]?.shape ?? [];
    const found = spec.dtype === 'float32' ? placedTensor(spec, shape, view) : undefined;
    return found && channelsOf(shape, found) <= CHANNELS_MAX ? [found] : [];
  });
  return placed.length === 0 ? undefined : placed;
}

function channelsOf(shape: readonly number[], { rowAxis, columnAxis }: PlacedTensor): number {
  return shape.reduce((product, dim, axis) => (axis === rowAxis || axis === columnAxis ? product : product * dim), 1);
}

function placedTensor({ name, shape: dims }: TensorSpec, shape: readonly number[], view: Plane) {
  const divides = (size: number, axis: number) => size % (shape[axis] ?? 0) === 0;
  // As convolutions have it: one sample, channels, rows, columns.
  if (shape.length === 4 && shape[0] === 1 && divides(view.rows, 2) && divides(view.columns, 3)) {
    return { name, rowAxis: 2, columnAxis: 3 };
  }
  const axes = shape.map((_, axis) => axis).filter((axis) => (shape[axis] ?? 0) > 1 && divides(view.columns, axis));
  // What grows with the input lies along it; else what has as many places as it.
  const grown = axes.find((axis) => typeof dims[axis] === 'string');
  const columnAxis = grown ?? axes.find((axis) => shape[axis] === view.columns) ?? axes.at(-1);
  return columnAxis === undefined ? undefined : { name, rowAxis: null, columnAxis };
}

/** Throws RangeError for a tensor that has no such axes. */
export function placeGrid({ shape, data }: Tensor, { rowAxis, columnAxis }: PlacedTensor): PlaceGrid {
  const strides = shape.map((_, axis) => shape.slice(axis + 1).reduce((product, dim) => product * dim, 1));
  const sizeOf = (axis: number | null) => (axis === null ? 1 : (shape[axis] ?? 0));
  const strideOf = (axis: number | null) => (axis === null ? 0 : (strides[axis] ?? 0));
  const [rows, columns] = [sizeOf(rowAxis), sizeOf(columnAxis)];
  if (rows * columns === 0) throw new RangeError(`expected axes ${rowAxis} and ${columnAxis}, got shape [${shape}]`);
  const channels = data.length / (rows * columns);
  const values = new Float32Array(data.length);
  const offsets = channelOffsets(shape, strides, [rowAxis, columnAxis]);
  for (let c = 0; c < channels; c++) {
    const offset = offsets[c] as number;
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        const from = offset + row * strideOf(rowAxis) + column * strideOf(columnAxis);
        values[(row * columns + column) * channels + c] = Number(data[from]);
      }
    }
  }
  return { rows, columns, places: { rows: rows * columns, columns: channels, data: values } };
}

/** Where each channel's first value is. */
function channelOffsets(
  shape: readonly number[],
  strides: readonly number[],
  places: readonly (number | null)[],
): number[] {
  let offsets = [0];
  for (const [axis, dim] of shape.entries()) {
    if (places.includes(axis)) continue;
    offsets = offsets.flatMap((offset) =>
      Array.from({ length: dim }, (_, i) => offset + i * (strides[axis] as number)),
    );
  }
  return offsets;
}
