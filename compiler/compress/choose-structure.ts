/**
 * Which channels and ranks to give up for a number of multiply-accumulates: always the change with the least error for
 * each one saved, at one price for all layers. Errors of several changes are taken to add up.
 */
import type { GraphCost } from '../graph/cost.ts';
import type { Graph } from '../graph/graph.ts';
import type { Channels, Units } from './channel-groups.ts';
import { inputColumns } from './input-rows.ts';
import type { Form, FormCost } from './layer-forms.ts';
import { layerOf, rowCount } from './layers.ts';
import type { ChannelCurve } from './prune-channels.ts';
import type { RankCurve } from './rank-options.ts';

export interface StructureChoice {
  readonly removed: ReadonlySet<number>;
  /** By the layer's name. */
  readonly forms: ReadonlyMap<string, Form>;
  readonly macs: number;
  /** Expected of the outputs, as trials have it. */
  readonly error: number;
  /** Error for each multiply-accumulate that the last change saved. */
  readonly price: number;
}

export interface ChoiceRequest {
  readonly graph: Graph;
  readonly cost: GraphCost;
  readonly channels: Channels;
  readonly channelCurves: readonly ChannelCurve[];
  readonly rankCurves: readonly RankCurve[];
  /** Kept channels are multiples of it, where they were. */
  readonly step: number;
  readonly macsMax: number;
  /** No change is made that costs more error for each multiply-accumulate. */
  readonly priceMax: number;
}

/** Something that can be given up in levels, 0 being all of it. */
interface Item {
  readonly errors: readonly number[];
  /** Layers whose cost depends on it. */
  readonly layers: readonly CostedLayer[];
}

/** A layer with how much of it is left at each level of the items that matter. */
interface CostedLayer {
  readonly macs: number;
  readonly columns: number;
  readonly outputs: number;
  readonly inputs: Axis | undefined;
  readonly rows: Axis | undefined;
  /** By level, where it has an item; at level 0 it is whole. */
  forms?: { readonly item: number; readonly byLevel: readonly (FormCost | undefined)[] };
}

/** Positions along an axis, and how many each item takes away by level. */
interface Axis {
  readonly positions: number;
  readonly lost: ReadonlyMap<number, readonly number[]>;
}

export function chooseStructure(request: ChoiceRequest): StructureChoice {
  const { channelCurves, rankCurves, step, macsMax, priceMax } = request;
  const counts = channelCurves.map(({ order }) => removableCounts(order.length, step));
  const layers = costedLayers(request, counts);
  const items: Item[] = [
    ...channelCurves.map(({ errors }, i) => ({
      errors: (counts[i] ?? []).map((count) => errors[count] as number),
      layers: [...layers.values()].filter(({ inputs, rows }) => inputs?.lost.has(i) || rows?.lost.has(i)),
    })),
    ...rankCurves.map(({ layer, options }) => ({
      errors: [0, ...options.map(({ error }) => error)],
      layers: [layers.get(layer)].filter((one) => one !== undefined),
    })),
  ];
  const levels = items.map(() => 0);
  const fixedMacs = request.cost.macs - sum([...layers.values()].map(({ macs }) => macs));
  const total = () => fixedMacs + sum([...layers.values()].map((layer) => macsAt(layer, levels)));
  let price = 0;
  while (total() > macsMax) {
    const best = bestMove(items, levels, total() - macsMax);
    if (!best || best.price > priceMax) break;
    levels[best.item] = best.level;
    price = Math.max(price, best.price);
  }
  const removed = channelCurves.flatMap(({ order }, i) => order.slice(0, counts[i]?.[levels[i] ?? 0]));
  const forms = rankCurves.flatMap(({ layer, options }, i): [string, Form][] => {
    const option = options[(levels[channelCurves.length + i] ?? 0) - 1];
    return option ? [[layer, option.form]] : [];
  });
  const error = sum(items.map(({ errors }, i) => errors[levels[i] ?? 0] ?? 0));
  return { removed: new Set(removed), forms: new Map(forms), macs: total(), error, price };
}

/** The level of an item with the least error for each one saved. Of the best item no more is given up than is needed. */
function bestMove(items: readonly Item[], levels: number[], needed: number) {
  let best: { item: number; level: number; price: number } | undefined;
  for (const [item, { errors, layers }] of items.entries()) {
    const now = levels[item] ?? 0;
    const before = sum(layers.map((layer) => macsAt(layer, levels)));
    for (let level = now + 1; level < errors.length; level++) {
      const saved = before - sum(layers.map((layer) => macsAt(layer, levels.with(item, level))));
      if (saved <= 0) continue;
      const price = ((errors[level] as number) - (errors[now] as number)) / saved;
      if (!best || price < best.price) best = { item, level, price };
      if (saved >= needed) break;
    }
  }
  return best && Number.isFinite(best.price) ? best : undefined;
}

function macsAt({ macs, columns, outputs, inputs, rows, forms }: CostedLayer, levels: readonly number[]): number {
  const [a, b] = [shareLeft(inputs, levels), shareLeft(rows, levels)];
  const form = forms?.byLevel[levels[forms.item] ?? 0];
  if (!form) return macs * a * b;
  const positions = macs / (columns * outputs);
  // What the layer itself would cost, where its form is wider than what is left of it.
  return Math.min(macs * a * b, positions * (form.inputs * a + form.outputs * b + form.core));
}

function shareLeft(axis: Axis | undefined, levels: readonly number[]): number {
  if (!axis) return 1;
  let lost = 0;
  for (const [item, byLevel] of axis.lost) lost += byLevel[levels[item] ?? 0] ?? 0;
  return (axis.positions - lost) / axis.positions;
}

/** Numbers of units that may go so that a multiple of the step stays, from none. One step stays. */
function removableCounts(units: number, step: number): number[] {
  const counts = [0];
  for (let kept = Math.ceil(units / step) * step - step; kept >= step; kept -= step) counts.push(units - kept);
  return counts;
}

function costedLayers(
  { graph, cost, channels, channelCurves, rankCurves }: ChoiceRequest,
  counts: readonly (readonly number[])[],
): Map<string, CostedLayer> {
  const found = new Map<string, CostedLayer>();
  const axisOf = (reader: string, role: (role: string) => boolean, constant: string, axis?: number) => {
    const slice = channels.slices.find(
      (one) => one.reader === reader && one.constant === constant && role(one.role) && (axis ?? one.axis) === one.axis,
    );
    return slice && lostBy(slice.units, channelCurves, counts);
  };
  for (const node of graph.nodes) {
    const layer = layerOf(graph, node);
    const macs = cost.byNode.get(node)?.macs ?? 0;
    if (!layer || macs === 0) continue;
    const { name, weight } = layer;
    const inputs = axisOf(name, (role) => role === 'input', weight);
    const rows = axisOf(name, (role) => role !== 'input', weight, layer.axis);
    const item = rankCurves.findIndex((curve) => curve.layer === name);
    const costs = (rankCurves[item]?.options ?? []).map((option) => option.cost);
    found.set(name, {
      ...{ macs, columns: inputColumns(layer), outputs: rowCount(layer), inputs, rows },
      ...(item >= 0 && { forms: { item: channelCurves.length + item, byLevel: [undefined, ...costs] } }),
    });
  }
  return found;
}

function lostBy(units: Units, curves: readonly ChannelCurve[], counts: readonly (readonly number[])[]): Axis {
  const positions = new Map<number, number>();
  for (const unit of units) positions.set(unit, (positions.get(unit) ?? 0) + 1);
  const lost = new Map<number, readonly number[]>();
  for (const [item, { order }] of curves.entries()) {
    if (!order.some((unit) => positions.has(unit))) continue;
    const running = [0];
    for (const unit of order) running.push((running.at(-1) ?? 0) + (positions.get(unit) ?? 0));
    lost.set(
      item,
      (counts[item] ?? []).map((count) => running[count] ?? 0),
    );
  }
  return { positions: units.length, lost };
}

function sum(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0);
}
