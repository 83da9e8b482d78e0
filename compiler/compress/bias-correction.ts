/**
 * What a changed weight does to a layer's mean output, taken back by its bias (Nagel et al.: "Data-Free Quantization Through
 * Weight Equalization and Bias Correction", 2019, with the mean of calibration samples). Kept only where samples that it was
 * not made of agree.
 */
import { constantOf, floatAttribute, floatConstant, freshName, type Graph, usedValues } from '../graph/graph.ts';
import type { Moments } from '../linalg/moments.ts';
import type { LayerGrams } from './layer-grams.ts';
import { type Layer, layersOf, weightRows } from './layers.ts';

/** What the sums over rows are of. */
type Sums = Pick<Moments, 'columns' | 'count' | 'sum'>;

/**
 * Corrects biases in place; Conv and Gemm that have none get one.
 * @param graph its layers are found by name, whatever now makes their weights
 * @param original the same before its weights were changed
 * @param weights what the changed weights are now, by name, in their own layout: `storeWeights` gives them
 * @param grams of the samples that means are taken from
 * @param heldOut of others
 * @returns names of the layers whose bias was changed: those whose squared error on the held-out samples fell
 */
export function correctBiases(
  graph: Graph,
  original: Graph,
  weights: ReadonlyMap<string, Float32Array>,
  grams: LayerGrams,
  heldOut: LayerGrams,
): string[] {
  const corrected: string[] = [];
  const nodes = new Map(graph.nodes.map((node) => [node.outputs[0], node]));
  for (const layer of layersOf(original)) {
    const after = weights.get(layer.weight);
    const before = floatConstant(original, layer.weight)?.data;
    const [seen, unseen] = [grams.get(layer.name), heldOut.get(layer.name)];
    const node = nodes.get(layer.name);
    if (!after || !before || !seen || !unseen || !node) continue;
    const difference = weightRows(
      layer,
      after.map((value, i) => value - (before[i] as number)),
    );
    const shift = biasShift(difference, seen);
    if (errorSaved(difference, unseen, shift) <= 0) continue;
    if (addToBias(graph, { ...layer, node }, shift)) corrected.push(layer.name);
  }
  return corrected;
}

/**
 * What to add to each output channel's bias so that the mean output is what it was: -(W~ - W) E[x].
 * @param difference W~ - W, [rows, columns], rows of all groups one after the other
 * @param moments one a group
 */
export function biasShift(difference: Float32Array, moments: readonly Sums[]): Float32Array {
  const shift = new Float32Array(rowsIn(difference, moments));
  eachRow(difference, moments, (row, at, { columns, count, sum }) => {
    let moved = 0;
    for (let c = 0; c < columns; c++) moved += (difference[at + c] as number) * (sum[c] as number);
    shift[row] = count > 0 ? -moved / count : 0;
  });
  return shift;
}

/**
 * By how much a shift of the bias lessens the squared error of a layer's output, exactly: the sum over rows x of
 * |(W~ - W) x|^2 - |(W~ - W) x + shift|^2. What is squared in x is in both: means are enough.
 * @param shift added to the bias, by output channel
 */
export function errorSaved(difference: Float32Array, moments: readonly Sums[], shift: Float32Array): number {
  let saved = 0;
  eachRow(difference, moments, (row, at, { columns, count, sum }) => {
    const added = shift[row] as number;
    let moved = 0;
    for (let c = 0; c < columns; c++) moved += (difference[at + c] as number) * (sum[c] as number);
    saved -= added * (2 * moved + count * added);
  });
  return saved;
}

/**
 * Adds to a layer's bias in place.
 * @returns false where it has none and can get none: a MatMul, a Gemm that scales, a bias that is computed or is not one value a channel
 */
export function addToBias(graph: Graph, { node, kind }: Layer, shift: Float32Array): boolean {
  const isScaled = floatAttribute(node, 'alpha', 1) !== 1 || floatAttribute(node, 'beta', 1) !== 1;
  if (kind === 'matmul' || (kind === 'gemm' && isScaled)) return false;
  const name = node.inputs[2] ?? '';
  const bias = name === '' ? undefined : floatConstant(graph, name);
  if (name !== '' && (bias?.data.length !== shift.length || bias.shape.at(-1) !== shift.length)) return false;
  const data = shift.map((value, i) => value + (bias?.data[i] ?? 0));
  const isShared = graph.nodes.some((other) => other !== node && usedValues(other).includes(name));
  const to = bias && !isShared ? name : freshName(graph, `${node.outputs[0]}.bias`);
  graph.initializers.set(to, constantOf({ dtype: 'float32', shape: bias?.shape ?? [shift.length], data }));
  node.inputs[2] = to;
  return true;
}

function rowsIn(difference: Float32Array, [first]: readonly Sums[]): number {
  return difference.length / (first?.columns ?? 1);
}

function eachRow(
  difference: Float32Array,
  moments: readonly Sums[],
  visit: (row: number, at: number, sums: Sums) => void,
): void {
  const perGroup = rowsIn(difference, moments) / moments.length;
  for (const [group, sums] of moments.entries()) {
    for (let row = group * perGroup; row < (group + 1) * perGroup; row++) visit(row, row * sums.columns, sums);
  }
}
