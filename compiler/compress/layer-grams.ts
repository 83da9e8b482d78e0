/**
 * Second moments of what flows into each layer: for its weight W they say how much an error in W costs in its output, as
 * the sum over rows x of ((W~ - W) x)^2. GPTQ, the choice of scales and the correction of biases stand on them.
 */
import { asFloat32, type Tensor } from '../../shared/tensor.ts';
import { intAttribute, type Node } from '../graph/graph.ts';
import { finishMoments, type Moments, newMoments } from '../linalg/moments.ts';
import { newProducts } from '../linalg/products.ts';
import { inputColumns, inputRows } from './input-rows.ts';
import type { Layer } from './layers.ts';
import { type SegmentData, valuesOf } from './segment-data.ts';

/** By the layer's name; one a group, each over the columns of `inputRows`. */
export type LayerGrams = ReadonlyMap<string, readonly Moments[]>;

/** Rows of one sample and group that are looked at, where it has as many. */
export type RowsOf = (layer: Layer) => number;

/**
 * Enough to round by: over all samples three rows a column, for fewer leave a Gram matrix that is hardly more than its
 * damping. Narrow layers have plenty, and they cost little.
 */
export function rowsToRound(samples: number): RowsOf {
  return (layer) => Math.max(64, Math.ceil((3 * inputColumns(layer)) / samples));
}

/** Enough to fit by: a few samples then say more than there are weights. */
export const rowsToFit: RowsOf = (layer) => Math.max(128, inputColumns(layer));

/** Wider layers have none: their rows take 3 n^3 / 2 multiplications here, and GPTQ n^3 / 6. 2,880 is 320 channels, 3 x 3. */
const COLUMNS_MAX = 2880;

/**
 * One pass over the samples; memory does not grow with their number. A value that several layers read is fetched once, and
 * layers that see it through the same window share their moments.
 *
 * Left out are layers whose input rows are not those of one matrix: transposed convolutions (each weight meets its input at
 * many outputs), Gemm with a transposed input, products with a stack of matrices; layers whose input is a constant; and
 * those wider than COLUMNS_MAX. Their weights are rounded.
 */
export async function layerGrams(data: SegmentData, layers: readonly Layer[], rowsOf: RowsOf): Promise<LayerGrams> {
  return (await splitGrams(data, layers, [rowsOf], () => 0))[0] as LayerGrams;
}

/**
 * The same of several parts of the samples, in the one pass.
 * @param parts what is looked at of each part's samples
 * @param partOf of the sample at an index, from 0
 */
export async function splitGrams(
  data: SegmentData,
  layers: readonly Layer[],
  parts: readonly RowsOf[],
  partOf: (sample: number) => number,
): Promise<LayerGrams[]> {
  const { graph } = data.model;
  const grams = parts.map(() => new Map<string, readonly Moments[]>());
  const windows = new Map<string, { layer: Layer; byPart: readonly (readonly Moments[])[] }>();
  const made = new Set([...graph.inputs.map(({ name }) => name), ...graph.nodes.flatMap(({ outputs }) => outputs)]);
  for (const layer of layers) {
    if (!hasRows(layer) || !made.has(inputOf(layer))) continue;
    const key = windowKey(layer);
    const window = windows.get(key) ?? { layer, byPart: grams.map(() => momentsOf(layer)) };
    windows.set(key, window);
    for (const [part, own] of grams.entries()) own.set(layer.name, window.byPart[part] ?? []);
  }
  const names = new Set([...windows.values()].map(({ layer }) => inputOf(layer)));
  const products = await newProducts(data.runtime);
  let sample = 0;
  try {
    for await (const values of valuesOf(data, [...names])) {
      const part = partOf(sample++);
      for (const { layer, byPart } of windows.values()) {
        const x = values[inputOf(layer)] as Tensor;
        asFloat32(x);
        for (const [group, { rows }] of inputRows(layer, x, parts[part]?.(layer)).entries()) {
          await products.add(byPart[part]?.[group] as Moments, rows);
        }
      }
    }
  } finally {
    await products.release();
  }
  for (const { byPart } of windows.values()) for (const moments of byPart.flat()) finishMoments(moments);
  return grams;
}

function momentsOf(layer: Layer): Moments[] {
  return Array.from({ length: layer.groups }, () => newMoments(inputColumns(layer)));
}

function hasRows(layer: Layer): boolean {
  const { kind, node, shape } = layer;
  if (inputColumns(layer) > COLUMNS_MAX) return false;
  if (kind === 'conv') return true;
  return shape.length === 2 && kind !== 'conv-transpose' && intAttribute(node, 'transA', 0) === 0;
}

/** The same for layers whose rows are the same. */
function windowKey(layer: Layer): string {
  const { node, kind, shape, groups } = layer;
  const input = inputOf(layer);
  return kind === 'conv'
    ? JSON.stringify([input, groups, shape.slice(1), windowAttributes(node)])
    : `${input} as it is`;
}

function windowAttributes({ attributes }: Node): string[] {
  return ['strides', 'dilations', 'pads', 'auto_pad'].map((name) => {
    const value = attributes.get(name)?.value;
    return value === undefined ? '' : String(value);
  });
}

function inputOf({ node }: Layer): string {
  return node.inputs[0] ?? '';
}
