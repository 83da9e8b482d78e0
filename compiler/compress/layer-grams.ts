/**
 * Second moments of what flows into each layer: for its weight W they say how much an error in W costs in its output, as
 * the sum over rows x of ((W~ - W) x)^2. GPTQ, the choice of scales and the correction of biases stand on them.
 */
import { asFloat32, type Tensor, type Tensors } from '../../shared/tensor.ts';
import { intAttribute, type Node } from '../graph/graph.ts';
import { finishMoments, type Moments, newMoments } from '../linalg/moments.ts';
import { newProducts, type Products } from '../linalg/products.ts';
import { inputColumns, inputRows } from './input-rows.ts';
import type { Layer } from './layers.ts';
import { type SegmentData, valuesOf } from './segment-data.ts';

/** By the layer's name; one a group, each over the columns of `inputRows`. */
export type LayerGrams = ReadonlyMap<string, readonly Moments[]>;

/** Rows over all samples, for each column: fewer leave a Gram matrix that is hardly more than its damping. */
const ROWS_PER_COLUMN = 3;
/** Of one sample and group at least, where it has as many: narrow layers have plenty, and they cost little. */
const ROWS_PER_SAMPLE_MIN = 64;
/** Wider layers have none: their rows take 3 n^3 / 2 multiplications here, and GPTQ n^3 / 6. 2,880 is 320 channels, 3 x 3. */
const COLUMNS_MAX = 2880;

/**
 * One pass over the samples; memory does not grow with their number. A value that several layers read is fetched once, and
 * layers that see it through the same window share their moments.
 *
 * Left out are layers whose input rows are not those of one matrix: transposed convolutions (each weight meets its input at
 * many outputs), Gemm with a transposed input, products with a stack of matrices; layers whose input is a constant; and
 * those wider than COLUMNS_MAX. Their weights are rounded.
 * @param samples how many there are, to spread the rows that a layer needs over them
 */
export async function layerGrams(data: SegmentData, layers: readonly Layer[], samples: number): Promise<LayerGrams> {
  const { graph } = data.model;
  const grams = new Map<string, readonly Moments[]>();
  const windows = new Map<string, { layer: Layer; moments: readonly Moments[] }>();
  const made = new Set([...graph.inputs.map(({ name }) => name), ...graph.nodes.flatMap(({ outputs }) => outputs)]);
  for (const layer of layers) {
    if (!hasRows(layer) || !made.has(inputOf(layer))) continue;
    const key = windowKey(layer);
    const known = windows.get(key)?.moments;
    const moments = known ?? Array.from({ length: layer.groups }, () => newMoments(inputColumns(layer)));
    if (!known) windows.set(key, { layer, moments });
    grams.set(layer.name, moments);
  }
  const names = new Set([...windows.values()].map(({ layer }) => inputOf(layer)));
  const products = await newProducts(data.runtime);
  try {
    for await (const values of valuesOf(data, [...names])) {
      for (const { layer, moments } of windows.values()) await addSample(products, layer, moments, values, samples);
    }
  } finally {
    await products.release();
  }
  for (const { moments } of windows.values()) for (const group of moments) finishMoments(group);
  return grams;
}

async function addSample(
  products: Products,
  layer: Layer,
  moments: readonly Moments[],
  values: Tensors,
  samples: number,
): Promise<void> {
  const x = values[inputOf(layer)] as Tensor;
  asFloat32(x);
  const rowsMax = Math.max(ROWS_PER_SAMPLE_MIN, Math.ceil((ROWS_PER_COLUMN * inputColumns(layer)) / samples));
  for (const [group, sums] of moments.entries()) {
    await products.add(sums, inputRows(layer, x, group, rowsMax).rows);
  }
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
