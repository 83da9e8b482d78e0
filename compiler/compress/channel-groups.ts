/**
 * The channels of a graph that can be removed, in groups: a unit is a set of (constant, position) that live or die together,
 * a group the units whose places in the graph are the same. What touches the graph's edges, unknown operators, or axes
 * that a kernel runs over is not there, and why is said.
 */

import type { Types } from '../graph/cost.ts';
import { constantTensor, type Graph, type Model, subgraphs, usedValues } from '../graph/graph.ts';
import { type ConstantSlice, type Flow, freeze, freezeValue, newFlow, type Repair, rootOf } from './channel-flow.ts';
import { applyRule } from './channel-rules.ts';
import type { RuleContext } from './channel-rules-shapes.ts';

/** Along an axis: the unit at each position, or -1 for what stays. */
export type Units = Int32Array;

/** A constant's axis with its units. */
export interface UnitSlice extends Omit<ConstantSlice, 'lane'> {
  readonly units: Units;
}

/** Units are numbered in the order of the graph. */
export interface ChannelGroup {
  /** Name of the value that its first channels are made in. */
  readonly name: string;
  readonly units: readonly number[];
}

export interface FixedChannels {
  readonly name: string;
  readonly count: number;
  readonly reason: string;
}

export type UnitRepair = Repair extends infer R
  ? R extends { lanes: unknown }
    ? Omit<R, 'lanes'> & { readonly lanes: readonly Units[] }
    : Omit<R, 'lane'> & { readonly lane: Units }
  : never;

export interface Channels {
  readonly groups: readonly ChannelGroup[];
  /** Channels that layers make and that have to stay. */
  readonly fixed: readonly FixedChannels[];
  readonly slices: readonly UnitSlice[];
  readonly repairs: readonly UnitRepair[];
  /** Units along axes of values: none of them may lose all its positions. */
  readonly axes: readonly { readonly value: string; readonly axis: number; readonly units: Units }[];
}

/**
 * @param model its graph is not changed
 * @param types shapes of all values, by a run
 */
export function channelsOf({ graph, opsets }: Model, types: Types): Channels {
  const flow = newFlow();
  const context = contextOf(graph, opsets.get('') ?? 0, types, flow);
  for (const node of graph.nodes) {
    applyRule(context, node);
    if (subgraphs(node).length > 0) {
      for (const name of usedValues(node)) freezeValue(flow, name, `a body of ${node.op} reads them`);
    }
  }
  for (const { name } of graph.outputs) freezeValue(flow, name, `${name} is an output`);
  return numbered(flow);
}

function contextOf(graph: Graph, opset: number, types: Types, flow: Flow): RuleContext {
  const isConstant = (name: string) => graph.initializers.has(name);
  return {
    ...{ flow, opset, isConstant },
    shapeOf(name) {
      const shape = graph.initializers.get(name)?.shape ?? types.get(name)?.shape;
      return shape?.every((dim): dim is number => typeof dim === 'number') ? (shape as readonly number[]) : undefined;
    },
    intsOf(name) {
      const constant = graph.initializers.get(name ?? '');
      const isInts = constant?.elementType === 'int64' || constant?.elementType === 'int32';
      return constant && isInts ? Array.from(constantTensor(constant).data, Number) : undefined;
    },
    slice(node, constant, axis, lane, role) {
      const shape = graph.initializers.get(constant)?.shape;
      if (shape?.[axis] === lane.length)
        flow.slices.push({ constant, axis, lane, role, reader: node.outputs[0] ?? '' });
      else freeze(flow, lane, `${node.op} reads ${constant}, which does not have one for each`);
    },
  };
}

function numbered(flow: Flow): Channels {
  const fixed = new Set([...flow.reasons.keys()].map((id) => rootOf(flow.parent, id)));
  const unitOf = new Map<number, number>();
  const groups = new Map<number, { name: string; units: number[] }>();
  for (const id of flow.parent.keys()) {
    const root = rootOf(flow.parent, id);
    if (fixed.has(root) || unitOf.has(root)) continue;
    const unit = unitOf.size;
    unitOf.set(root, unit);
    const origin = rootOf(flow.originParent, flow.origin[id] as number);
    const group = groups.get(origin) ?? { name: flow.names[origin] as string, units: [] };
    group.units.push(unit);
    groups.set(origin, group);
  }
  const unitsOf = (lane: readonly number[]): Units =>
    Int32Array.from(lane, (id) => unitOf.get(rootOf(flow.parent, id)) ?? -1);
  const isFree = (units: Units) => units.some((unit) => unit >= 0);
  const repairs = flow.repairs.map((repair): UnitRepair => {
    if (repair.type === 'split') return { ...repair, lanes: repair.lanes.map(unitsOf) };
    return { ...repair, lane: unitsOf(repair.lane) };
  });
  return {
    groups: [...groups.values()],
    fixed: fixedChannels(flow),
    slices: flow.slices
      .map(({ lane, ...slice }) => ({ ...slice, units: unitsOf(lane) }))
      .filter(({ units }) => isFree(units)),
    repairs: repairs.filter((repair) => (repair.type === 'split' ? repair.lanes : [repair.lane]).some(isFree)),
    axes: [...flow.lanes].flatMap(([value, lanes]) =>
      [...lanes]
        .map(([axis, lane]) => ({ value, axis, units: unitsOf(lane) }))
        .filter(({ units }) => units.every((unit) => unit >= 0)),
    ),
  };
}

/** By the origin of the channels, with the first reason that one of those that go together has. */
function fixedChannels(flow: Flow): FixedChannels[] {
  const reasons = new Map<number, string>();
  for (const [id, reason] of flow.reasons) {
    const root = rootOf(flow.parent, id);
    if (!reasons.has(root)) reasons.set(root, reason);
  }
  const found = new Map<number, { name: string; count: number; reason: string }>();
  for (const id of flow.parent.keys()) {
    const reason = reasons.get(rootOf(flow.parent, id));
    if (reason === undefined) continue;
    const origin = flow.origin[id] as number;
    const entry = found.get(origin) ?? { name: flow.names[origin] as string, count: 0, reason };
    entry.count++;
    found.set(origin, entry);
  }
  return [...found.values()];
}
