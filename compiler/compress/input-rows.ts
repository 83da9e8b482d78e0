/**
 * What a layer multiplies its weight with, as rows: output[r] = rows[r] · weightᵀ (+ bias). For a convolution that is im2col,
 * one row an output position.
 */
import { elementCount, type Tensor } from '../../shared/tensor.ts';
import { intsAttribute, type Node, stringAttribute } from '../graph/graph.ts';
import type { Layer } from './layers.ts';

export interface InputRows {
  /** [count, columns] */
  readonly rows: Float32Array;
  readonly columns: number;
  /** Which output positions the rows are of: flat indices over batch and space, or over all leading axes. */
  readonly positions: Int32Array;
}

/** Columns of one row. */
export function inputColumns({ kind, shape, axis }: Layer): number {
  if (kind === 'conv') return elementCount(shape.slice(1));
  return axis === 0 ? (shape[1] ?? 1) : (shape.at(-2) ?? 1);
}

/**
 * One entry a group, all of the same positions.
 * @param layer not `conv-transpose`; of a gemm, not with a transposed input
 * @param x the node's first input, float32; of a convolution [n, channels, ...space]
 * @param rowsMax at most so many rows, evenly spread over the positions
 */
export function inputRows(layer: Layer, x: Tensor, rowsMax = Number.POSITIVE_INFINITY): InputRows[] {
  const columns = inputColumns(layer);
  const data = x.data as Float32Array;
  if (layer.kind === 'conv') return patches(layer, x, columns, rowsMax);
  const positions = spread(data.length / columns, rowsMax);
  const rows = new Float32Array(positions.length * columns);
  for (const [r, p] of positions.entries()) rows.set(data.subarray(p * columns, (p + 1) * columns), r * columns);
  return [{ rows, columns, positions }];
}

function patches(layer: Layer, x: Tensor, columns: number, rowsMax: number): InputRows[] {
  const space = x.shape.slice(2);
  const kernel = layer.shape.slice(2);
  const window = windowOf(layer.node, space, kernel);
  const output = outputSpace(window, space, kernel);
  const perImage = elementCount(output);
  const positions = spread((x.shape[0] ?? 1) * perImage, rowsMax);
  const groups = Array.from({ length: layer.groups }, () => new Float32Array(positions.length * columns));
  const data = x.data as Float32Array;
  const plane = elementCount(space);
  const taps = elementCount(kernel);
  // Where each tap of a position lies in a channel's plane; -1 outside.
  const offsets = new Int32Array(taps);
  for (const [r, position] of positions.entries()) {
    tapOffsets(offsets, unflatten(position % perImage, output), window, space, kernel);
    let from = Math.floor(position / perImage) * (x.shape[1] ?? 1) * plane;
    for (const rows of groups) {
      for (let to = r * columns; to < (r + 1) * columns; to += taps) {
        copyTaps(rows, to, data, from, offsets);
        from += plane;
      }
    }
  }
  return groups.map((rows) => ({ rows, columns, positions }));
}

function copyTaps(rows: Float32Array, to: number, data: Float32Array, from: number, offsets: Int32Array): void {
  for (let t = 0; t < offsets.length; t++) {
    const offset = offsets[t] as number;
    if (offset >= 0) rows[to + t] = data[from + offset] as number;
  }
}

interface Window {
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  /** Before each axis. */
  readonly pads: readonly number[];
  readonly padsAfter: readonly number[];
}

function windowOf(node: Node, space: readonly number[], kernel: readonly number[]): Window {
  const ones = space.map(() => 1);
  const strides = intsAttribute(node, 'strides') ?? ones;
  const dilations = intsAttribute(node, 'dilations') ?? ones;
  const mode = stringAttribute(node, 'auto_pad', 'NOTSET');
  if (mode === 'SAME_UPPER' || mode === 'SAME_LOWER') {
    const totals = space.map((size, i) => {
      const [stride, dilation, taps] = [strides[i] ?? 1, dilations[i] ?? 1, kernel[i] ?? 1];
      return Math.max(0, (Math.ceil(size / stride) - 1) * stride + (taps - 1) * dilation + 1 - size);
    });
    const pads = totals.map((total) => (mode === 'SAME_UPPER' ? Math.floor(total / 2) : Math.ceil(total / 2)));
    return { strides, dilations, pads, padsAfter: totals.map((total, i) => total - (pads[i] ?? 0)) };
  }
  const given = mode === 'VALID' ? undefined : intsAttribute(node, 'pads');
  const pads = given?.slice(0, space.length) ?? space.map(() => 0);
  return { strides, dilations, pads, padsAfter: given?.slice(space.length) ?? space.map(() => 0) };
}

function outputSpace(
  { strides, dilations, pads, padsAfter }: Window,
  space: readonly number[],
  kernel: readonly number[],
): number[] {
  return space.map((size, i) => {
    const reach = ((kernel[i] ?? 1) - 1) * (dilations[i] ?? 1) + 1;
    return Math.floor((size + (pads[i] ?? 0) + (padsAfter[i] ?? 0) - reach) / (strides[i] ?? 1)) + 1;
  });
}

function tapOffsets(
  offsets: Int32Array,
  position: readonly number[],
  { strides, dilations, pads }: Window,
  space: readonly number[],
  kernel: readonly number[],
): void {
  for (let t = 0; t < offsets.length; t++) {
    const tap = unflatten(t, kernel);
    let offset = 0;
    for (let i = 0; i < space.length; i++) {
      const size = space[i] as number;
      const at =
        (position[i] as number) * (strides[i] ?? 1) - (pads[i] ?? 0) + (tap[i] as number) * (dilations[i] ?? 1);
      if (at < 0 || at >= size) {
        offset = -1;
        break;
      }
      offset = offset * size + at;
    }
    offsets[t] = offset;
  }
}

function unflatten(index: number, shape: readonly number[]): number[] {
  const result: number[] = [];
  let rest = index;
  for (let i = shape.length - 1; i >= 0; i--) {
    const size = shape[i] as number;
    result[i] = rest % size;
    rest = Math.floor(rest / size);
  }
  return result;
}

function spread(count: number, most: number): Int32Array {
  const taken = Math.min(count, most);
  return Int32Array.from({ length: taken }, (_, i) => Math.floor((i * count) / taken));
}
