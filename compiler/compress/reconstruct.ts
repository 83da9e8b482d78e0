/**
 * Least squares, layer by layer in the graph's order: each layer of a rewritten graph gets the weights that make the most
 * of what now comes in, towards what the original gives before its activation. Errors do not pile up, because targets
 * are the original's and inputs the rewritten graph's own (He et al. 2017; the asymmetric form of Zhang et al. 2015).
 */

import { TandemError } from '../../shared/errors.ts';
import type { Tensor } from '../../shared/tensor.ts';
import type { Graph } from '../graph/graph.ts';
import { finishMoments, type Moments, newMoments } from '../linalg/moments.ts';
import { newProducts, type Products } from '../linalg/products.ts';
import { type Fit, fitRidge } from '../linalg/ridge.ts';
import { removeDeadCode } from '../passes/dead-code.ts';
import { type Frontier, newFrontier } from './frontier.ts';
import { inputColumns, inputRows } from './input-rows.ts';
import { rowsToFit } from './layer-grams.ts';
import { groupRows, readWeights, writeWeights } from './layer-weights.ts';
import { type Layer, layerOf, layersOf, rowCount } from './layers.ts';
import type { SegmentData, SegmentSamples } from './segment-data.ts';

/** Wider layers keep their weights: their moments would take seconds and hundreds of megabytes. */
export const COLUMNS_MAX = 2048;
/** Output positions of a sample that are looked at in a depthwise layer, which has few weights a channel. */
const DEPTHWISE_ROWS_PER_SAMPLE = 24;

export interface Rewritten {
  /** Its weights are replaced in place. Layers are known by the names of their outputs, as in the original. */
  readonly graph: Graph;
  /** Output channels of a layer that are left, as positions in the original; undefined for all. */
  keptOutputs(layer: string): readonly number[] | undefined;
  /** What flows into the rewritten graph where that is not what flows into the original; in step with its samples. */
  readonly samples?: SegmentSamples | undefined;
  /** Layers that are fitted even where nothing before them changed. */
  isForced?(layer: string): boolean;
  /** Layers that keep their weights. */
  isFixed?(layer: string): boolean;
  /** What becomes of a group's fitted rows before anything behind them is fitted: rounded, say. The gram is whole. */
  rounded?(layer: Layer, group: number, rows: Float32Array, moments: Moments): Float32Array;
  /** Called with each layer once its weights are settled, and the moments of what comes in, group by group. */
  settled?(layer: Layer, moments: readonly Moments[]): void;
}

/** Gives the names of the layers that were fitted, in order. */
export async function reconstruct(data: SegmentData, rewritten: Rewritten): Promise<string[]> {
  const { model, runtime, samples } = data;
  const { graph } = rewritten;
  const originals = new Map(layersOf(model.graph).map((layer) => [layer.name, layer]));
  const fitted: string[] = [];
  const touched = new Set(rewritten.samples ? graph.inputs.map(({ name }) => name) : []);
  const context: Context = {
    rewritten,
    original: newFrontier(model, samples, runtime),
    changed: newFrontier({ ...model, graph }, rewritten.samples ?? samples, runtime),
    places: new Map(model.graph.nodes.map(({ outputs }, i) => [outputs[0] ?? '', i])),
    products: await newProducts(runtime),
  };
  for (const node of [...graph.nodes]) {
    const layer = layerOf(graph, node);
    const original = originals.get(layer?.name ?? '');
    const isNarrower = layer && original && inputColumns(layer) !== inputColumns(original);
    const isForced = layer && rewritten.isForced?.(layer.name);
    if (!isNarrower && !isForced && !node.inputs.some((input) => touched.has(input))) continue;
    for (const output of node.outputs) touched.add(output);
    if (layer && original && (await refit(context, layer))) fitted.push(layer.name);
  }
  await context.products.release();
  removeDeadCode(graph);
  return fitted;
}

interface Context {
  readonly rewritten: Rewritten;
  readonly original: Frontier;
  readonly changed: Frontier;
  /** Of nodes in the original, by their first output. */
  readonly places: ReadonlyMap<string, number>;
  readonly products: Products;
}

async function refit(context: Context, layer: Layer): Promise<boolean> {
  const { rewritten } = context;
  const weights = readWeights(rewritten.graph, layer);
  if (!weights || inputColumns(layer) > COLUMNS_MAX || rewritten.isFixed?.(layer.name)) return false;
  const moments = await layerMoments(context, layer);
  const fits = moments.map((group, g): Fit => {
    const fit = fitRidge(group, groupRows(layer, weights.rows, g), weights.bias !== undefined);
    if (!rewritten.rounded) return fit;
    finishMoments(group);
    const rows = rewritten.rounded(layer, g, fit.rows, group);
    return { rows, intercept: fit.intercept && meanKept(rows, group) };
  });
  const rows = new Float32Array(weights.rows.length);
  const bias = weights.bias && new Float32Array(weights.bias.length);
  let [rowAt, biasAt] = [0, 0];
  for (const fit of fits) {
    rows.set(fit.rows, rowAt);
    rowAt += fit.rows.length;
    if (fit.intercept) bias?.set(fit.intercept, biasAt);
    biasAt += fit.intercept?.length ?? 0;
  }
  writeWeights(rewritten.graph, layer, { rows, bias });
  const settled = layerOf(rewritten.graph, layer.node);
  if (settled) rewritten.settled?.(settled, moments);
  return true;
}

/** The intercept with which the mean of what rows give is that of the targets. */
function meanKept(rows: Float32Array, { columns, targets, count, sum, targetSum }: Moments): Float32Array {
  return Float32Array.from({ length: targets }, (_, t) => {
    let predicted = 0;
    for (let c = 0; c < columns; c++) predicted += (rows[t * columns + c] as number) * (sum[c] as number);
    return ((targetSum[t] as number) - predicted) / Math.max(1, count);
  });
}

/** One for each group: of its inputs in the rewritten graph, against the original's outputs. */
async function layerMoments(
  { rewritten, original, changed, places, products }: Context,
  layer: Layer,
): Promise<Moments[]> {
  const perGroup = rowCount(layer) / layer.groups;
  const kept = rewritten.keptOutputs(layer.name) ?? Array.from({ length: rowCount(layer) }, (_, i) => i);
  const isDepthwise = layer.groups > 1 && layer.shape[1] === 1;
  const most = isDepthwise ? DEPTHWISE_ROWS_PER_SAMPLE : rowsToFit(layer);
  const moments = Array.from({ length: layer.groups }, () => newMoments(inputColumns(layer), perGroup));
  const inputs = changed(rewritten.graph.nodes.indexOf(layer.node), layer.node.inputs[0] ?? '');
  const targets = original((places.get(layer.name) ?? 0) + 1, layer.name);
  for await (const x of inputs) {
    const z = (await targets.next()).value;
    if (!z) throw new TandemError('BAD_INPUT', 'expected as many samples of the original as of what is fitted to it');
    for (const [group, { rows, positions }] of inputRows(layer, x, most).entries()) {
      const channels = kept.slice(group * perGroup, (group + 1) * perGroup);
      await products.add(moments[group] as Moments, rows, targetRows(layer, z, positions, channels));
    }
  }
  // To its end: it moves on then.
  await targets.next();
  return moments;
}

/** Output channels at output positions: [positions, channels]. */
export function targetRows(layer: Layer, z: Tensor, positions: Int32Array, channels: readonly number[]): Float32Array {
  const data = z.data as Float32Array;
  const axis = layer.kind === 'conv' ? 1 : z.shape.length - 1;
  const count = z.shape[axis] ?? 1;
  const plane = z.shape.slice(axis + 1).reduce((a, b) => a * b, 1);
  const rows = new Float32Array(positions.length * channels.length);
  for (const [r, position] of positions.entries()) {
    const base = Math.floor(position / plane) * count * plane + (position % plane);
    for (const [c, channel] of channels.entries()) {
      rows[r * channels.length + c] = data[base + channel * plane] as number;
    }
  }
  return rows;
}
