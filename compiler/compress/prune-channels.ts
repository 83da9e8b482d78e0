/** What removing channels of each group costs in error: an order by least squares, its price by trials. */
import type { Channels } from './channel-groups.ts';
import { type Reader, removalOrder } from './channel-order.ts';
import { inputColumns } from './input-rows.ts';
import { layerGrams, rowsToFit } from './layer-grams.ts';
import { readWeights } from './layer-weights.ts';
import { layersOf } from './layers.ts';
import { COLUMNS_MAX } from './reconstruct.ts';
import type { SegmentData } from './segment-data.ts';
import type { Trial } from './trial.ts';

/** Shares of a group that are tried; between them the least-squares error is followed. */
const TRIED_SHARES = [1 / 8, 1 / 4, 1 / 2, 3 / 4];

export interface ChannelCurve {
  /** The units, the first to go first. */
  readonly order: readonly number[];
  /** By the number of units removed, from 0: error of the segment's outputs, as the trial has it. Infinite for all. */
  readonly errors: Float64Array;
}

/** Groups whose readers are too wide, or no layers that can be fitted, are left out. */
export async function channelCurves(
  data: SegmentData,
  channels: Channels,
  trial: Trial,
  step: number,
): Promise<ChannelCurve[]> {
  const readers = await readersOf(data, channels);
  const curves: ChannelCurve[] = [];
  for (const group of channels.groups) {
    const own = new Set(group.units);
    const slices = channels.slices.filter(({ role, units }) => role === 'input' && units.some((unit) => own.has(unit)));
    const found = slices.map((slice) => readers.get(slice.reader));
    const known = found.filter((reader) => reader !== undefined);
    if (known.length === 0 || known.length < found.length || group.units.length < 2) continue;
    const counts = triedCounts(group.units.length);
    const { order, errors, weights } = removalOrder(group.units, known, step, counts);
    const tried: [number, number][] = [];
    for (const count of counts) tried.push([count, await trial(weights.get(count) ?? new Map())]);
    curves.push({ order, errors: priced(errors, tried) });
  }
  return curves;
}

function triedCounts(units: number): number[] {
  const counts = TRIED_SHARES.map((share) => Math.round(share * units));
  return [...new Set(counts)].filter((count) => count > 0 && count < units);
}

async function readersOf(data: SegmentData, channels: Channels): Promise<ReadonlyMap<string, Reader>> {
  const { graph } = data.model;
  const inputs = new Map(channels.slices.filter(({ role }) => role === 'input').map((slice) => [slice.reader, slice]));
  const layers = layersOf(graph).filter(
    (layer) => inputs.has(layer.name) && inputColumns(layer) <= COLUMNS_MAX && readWeights(graph, layer),
  );
  const moments = await layerGrams(data, layers, rowsToFit);
  return new Map(
    layers.map((layer) => {
      const weights = readWeights(graph, layer) as Reader['weights'];
      const { units } = inputs.get(layer.name) as { units: Reader['units'] };
      return [layer.name, { layer, weights, moments: moments.get(layer.name) ?? [], units }];
    }),
  );
}

/** Least-squares errors times what trials found of them to arrive at the outputs, linear between trials. */
export function priced(errors: Float64Array, tried: readonly (readonly [number, number])[]): Float64Array {
  const ratios = tried.map(([count, error]) => [count, error / Math.max(1e-30, errors[count] as number)] as const);
  const ratioAt = (count: number) => {
    const next = ratios.findIndex(([at]) => at >= count);
    const [after, before] = [ratios[next] ?? ratios.at(-1), ratios[next - 1] ?? ratios[0]];
    if (!after || !before) return 1;
    if (after[0] === before[0] || next < 0) return after[1];
    return before[1] + ((after[1] - before[1]) * (count - before[0])) / (after[0] - before[0]);
  };
  const result = errors.map((error, count) => error * ratioAt(count));
  // More is never cheaper, whatever trials of few samples say.
  for (let i = 1; i < result.length; i++) result[i] = Math.max(result[i] as number, result[i - 1] as number);
  return result;
}
