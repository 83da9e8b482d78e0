/**
 * Where a CPU may compute wrongly: x64 without VNNI multiplies uint8 by int8 and adds two neighbouring products in int16, which
 * holds no more than 32,767, and two products can make 64,770. Layers that can reach it are found by a bound on their weights,
 * and by doing their sums on samples as such a CPU would. With weights of 7 bits none can. Source: Intel's VPMADDUBSW;
 * onnxruntime PR 12088.
 *
 * Which products are neighbours is an assumption: the first with the second of a row, the third with the fourth and so on, rows
 * of convolutions with the channel fastest. It was never seen on such a CPU, and another packing would pair other weights.
 */
import { asFloat32 } from '../../shared/tensor.ts';
import { floatConstant } from '../graph/graph.ts';
import type { ValueRange } from './activation-ranges.ts';
import { inputColumns, inputRows } from './input-rows.ts';
import { activationCodes, activationScale, weightCodeMax, weightCodes, weightScales } from './integer-codes.ts';
import { type Layer, layersOf, rowCount, weightRows } from './layers.ts';
import { type SegmentData, visitValues } from './segment-data.ts';

/** 255 · (|a| + |b|) ≤ 32,767 for neighbouring weights a and b. */
const PAIR_MAX = Math.floor(32_767 / 255);
/** Rows of its input that each layer is tried on, per sample and group. */
const ROWS_MAX = 32;

export interface Saturation {
  readonly layer: Layer;
  /** Share of the sums of two products that left int16 on the samples; 0 for a layer that only might. */
  readonly share: number;
}

/**
 * The layers whose weights in 8 bits could saturate.
 * @param ranges of the layers' inputs; a layer without is left out
 */
export async function saturatingLayers(
  data: SegmentData,
  ranges: ReadonlyMap<string, ValueRange>,
  granularity: 'tensor' | 'channel',
): Promise<Saturation[]> {
  const { graph } = data.model;
  const tried = layersOf(graph).flatMap((layer) => {
    const weight = floatConstant(graph, layer.weight);
    const range = ranges.get(layer.node.inputs[0] ?? '');
    if (!weight || !range || !pairsProducts(layer)) return [];
    const codes = codesOf(layer, weight.data, granularity, 8);
    if (!canSaturate(codes, inputColumns(layer))) return [];
    return [{ layer, codes, scale: activationScale(range), pairs: 0, saturated: 0 }];
  });
  const inputs = [...new Set(tried.map(({ layer }) => layer.node.inputs[0] ?? ''))];
  await visitValues(data.model, data, inputs, (values) => {
    for (const entry of tried) {
      const { layer, codes, scale } = entry;
      const x = values[layer.node.inputs[0] ?? ''];
      if (!x) continue;
      const perGroup = codes.length / layer.groups;
      for (const [group, { rows, columns }] of inputRows(layer, { ...x, data: asFloat32(x) }, ROWS_MAX).entries()) {
        const activations = inProductOrder(layer, activationCodes(rows, scale));
        const weights = codes.subarray(group * perGroup, (group + 1) * perGroup);
        entry.saturated += saturatedPairs(activations, weights, columns);
        entry.pairs += ((activations.length / columns) * weights.length) / 2;
      }
    }
  });
  return tried.map(({ layer, pairs, saturated }) => ({ layer, share: pairs === 0 ? 0 : saturated / pairs }));
}

/** int8 codes of a weight as rows, in the order that its products are assumed to be summed in. */
export function codesOf(layer: Layer, weight: Float32Array, granularity: 'tensor' | 'channel', bits: 7 | 8): Int8Array {
  const rows = weightRows(layer, weight);
  const channels = rowCount(layer);
  const codeMax = weightCodeMax(bits);
  const scales = weightScales(rows, channels, granularity, codeMax, undefined, 1);
  return inProductOrder(
    layer,
    weightCodes({ shape: [channels, rows.length / channels], data: rows }, 0, scales, codeMax),
  );
}

/** Whether two neighbours in a row can make more than int16 holds, whatever they are multiplied with. */
export function canSaturate(codes: Int8Array, columns: number): boolean {
  for (let i = 0; i < codes.length; i++) {
    const column = i % columns;
    if (column % 2 !== 0 || column + 1 >= columns) continue;
    if (Math.abs(codes[i] as number) + Math.abs(codes[i + 1] as number) > PAIR_MAX) return true;
  }
  return false;
}

/** How many sums of two neighbouring products are no int16, over all pairs of rows. */
export function saturatedPairs(activations: Uint8Array, weights: Int8Array, columns: number): number {
  let saturated = 0;
  for (let a = 0; a < activations.length; a += columns) {
    for (let w = 0; w < weights.length; w += columns) {
      for (let k = 0; k + 1 < columns; k += 2) {
        const sum =
          (activations[a + k] as number) * (weights[w + k] as number) +
          (activations[a + k + 1] as number) * (weights[w + k + 1] as number);
        if (sum > 32_767 || sum < -32_768) saturated++;
      }
    }
  }
  return saturated;
}

/** Depthwise convolutions have a kernel of their own, which adds in 32 bits. */
function pairsProducts({ kind, shape, groups }: Layer): boolean {
  return kind !== 'conv-transpose' && !(groups > 1 && shape[1] === 1);
}

/** Integer convolutions are channels last, so a row is assumed to have the channel run fastest. */
function inProductOrder<T extends Uint8Array | Int8Array>(layer: Layer, rows: T): T {
  const channels = layer.shape[1] ?? 1;
  const columns = inputColumns(layer);
  if (layer.kind !== 'conv' || columns === channels) return rows;
  const taps = columns / channels;
  return rows.map((_, i) => {
    const [row, column] = [Math.floor(i / columns), i % columns];
    return rows[row * columns + (column % channels) * taps + Math.floor(column / channels)] as number;
  }) as T;
}
