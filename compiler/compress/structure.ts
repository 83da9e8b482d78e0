/**
 * A segment made smaller in structure: channels removed, layers split into thinner ones, and what is left fitted to the
 * original by least squares. No gradients; the same samples give the same model.
 */

import { TandemError } from '../../shared/errors.ts';
import { costOf } from '../graph/cost.ts';
import { cloneGraph, type Graph, indexGraph, type Model } from '../graph/graph.ts';
import { inferTypes } from '../graph/infer.ts';
import { observeTypes } from '../graph/observe.ts';
import { verifyGraph } from '../graph/verify.ts';
import type { Moments } from '../linalg/moments.ts';
import { secondMoments } from '../linalg/ridge.ts';
import { channelsOf } from './channel-groups.ts';
import { chooseStructure, type StructureChoice } from './choose-structure.ts';
import { type Form, factorsOf, formCost, totalCost } from './layer-forms.ts';
import { readWeights, withMeanKept, writeWeights } from './layer-weights.ts';
import { type Layer, rowCount } from './layers.ts';
import { channelCurves } from './prune-channels.ts';
import { outputEigen, rankCurves } from './rank-options.ts';
import { reconstruct } from './reconstruct.ts';
import { keptPositions, withoutChannels } from './remove-channels.ts';
import type { SegmentData, SegmentSamples } from './segment-data.ts';
import { splitLayer } from './split-layer.ts';
import { newTrial, type OutputError, squaredError } from './trial.ts';

export interface StructureOptions {
  readonly technique: 'channels' | 'low-rank' | 'both';
  /** Kept channels and ranks are multiples of it; default 8, what a SIMD kernel takes at once. */
  readonly step?: number | undefined;
  /** Default: squared error of the outputs over their squared size. */
  readonly errorOf?: OutputError | undefined;
  /** Samples that prices are tried on; default 8. */
  readonly trialSamples?: number | undefined;
}

/** How much is to go. */
export interface StructureTarget {
  /** Share of multiply-accumulates to keep, in (0, 1]; default 0: as little as the price allows. */
  readonly macsShare?: number | undefined;
  /** Most error of the outputs for each multiply-accumulate saved; default: any. */
  readonly priceMax?: number | undefined;
}

/** What was found about a segment: many choices can be made from it, and compared with those of other segments. */
export interface StructurePrices {
  /** Of the original, on the first sample. */
  readonly macs: number;
  choose(target: StructureTarget): StructureChoice;
}

/**
 * The costly part: orders, prices and ranks, once for all sizes.
 * @throws BAD_INPUT where there are no samples
 */
export async function structurePrices(
  data: SegmentData,
  { technique, step = 8, errorOf = squaredError, trialSamples = 8 }: StructureOptions,
): Promise<StructurePrices> {
  const types = await shapesOf(data);
  const channels = channelsOf(data.model, types);
  const cost = costOf(data.model.graph, types);
  const trial = await newTrial(data, trialSamples, errorOf);
  const curves = {
    channelCurves: technique === 'low-rank' ? [] : await channelCurves(data, channels, trial, step),
    rankCurves: technique === 'channels' ? [] : await rankCurves(data, trial, step),
  };
  const { graph } = data.model;
  return {
    macs: cost.macs,
    choose: ({ macsShare = 0, priceMax = Number.POSITIVE_INFINITY }) =>
      chooseStructure({ graph, cost, channels, ...curves, step, macsMax: macsShare * cost.macs, priceMax }),
  };
}

/** How often a price is halved on the way to the one that gives the number asked for. */
const PRICE_STEPS = 60;

/**
 * Choices for several segments at one price for all, so that together they keep a share of their multiply-accumulates:
 * segments that can spare more give more. Prices must be in one currency: see `endError`.
 */
export function chooseTogether(segments: readonly StructurePrices[], macsShare: number): StructureChoice[] {
  const macsMax = macsShare * segments.reduce((sum, { macs }) => sum + macs, 0);
  const at = (priceMax: number) => segments.map((prices) => prices.choose({ priceMax }));
  const all = segments.map((prices) => prices.choose({}));
  let [low, high] = [1e-24, 2 * Math.max(1e-24, ...all.map(({ price }) => price))];
  for (let i = 0; i < PRICE_STEPS; i++) {
    const middle = Math.sqrt(low * high);
    if (at(middle).reduce((sum, { macs }) => sum + macs, 0) > macsMax) low = middle;
    else high = middle;
  }
  // The last change may be a large one: it is made as far as needed.
  const choices = at(low);
  for (const [i, prices] of segments.entries()) {
    const excess = choices.reduce((sum, { macs }) => sum + macs, 0) - macsMax;
    if (excess <= 0) break;
    const own = ((choices[i] as StructureChoice).macs - excess) / prices.macs;
    choices[i] = prices.choose({ priceMax: high, macsShare: Math.max(0, own) });
  }
  return choices;
}

/**
 * The segment made smaller by a choice, fitted.
 * @param samples what compressed segments before this one make of the same samples, in the same order; default: the samples
 */
export async function rebuildStructure(
  data: SegmentData,
  { removed, forms }: Pick<StructureChoice, 'removed' | 'forms'>,
  samples?: SegmentSamples,
): Promise<Model> {
  const channels = channelsOf(data.model, await shapesOf(data));
  const pruned = withoutChannels(data.model, channels, removed);
  const { producer } = indexGraph(data.model.graph);
  const outputs = new Map(
    channels.slices
      .filter(({ role, constant, reader }) => role !== 'input' && producer.get(reader)?.inputs[1] === constant)
      .map(({ reader, units }) => [reader, keptPositions(units, removed)]),
  );
  await reconstruct(data, {
    ...{ graph: pruned.graph, samples, isForced: (layer) => forms.has(layer) },
    keptOutputs: (layer) => outputs.get(layer),
    settled: (layer, [inputs]) => {
      const form = forms.get(layer.name);
      if (form && inputs) split(pruned.graph, layer, inputs, form);
    },
  });
  verifyGraph(pruned.graph, 'after a segment was made smaller');
  return pruned;
}

async function shapesOf({ model, literal, samples }: SegmentData) {
  const typed = { ...model, graph: cloneGraph(model.graph) };
  for await (const sample of samples()) {
    await inferTypes(typed, literal);
    return observeTypes(typed, literal, sample);
  }
  throw new TandemError('BAD_INPUT', 'expected samples of what flows into the segment, got none');
}

function split(graph: Graph, layer: Layer, inputs: Moments, form: Form): void {
  const weights = readWeights(graph, layer);
  const { columns } = inputs;
  // Channels that went may have left less than the form would cost.
  if (!weights || totalCost(formCost(layer, form)) >= columns * rowCount(layer)) return;
  const eigen = outputEigen(weights.rows, secondMoments(inputs, weights.bias !== undefined), columns);
  const factors = factorsOf(layer, weights.rows, eigen, form);
  writeWeights(graph, layer, withMeanKept(weights, factors.rows, inputs));
  splitLayer(graph, layer, factors);
}
