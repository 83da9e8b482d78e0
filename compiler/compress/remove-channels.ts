/** A graph without some of its channels: constants sliced, and whatever counts channels counting anew. */
import { TandemError } from '../../shared/errors.ts';
import { elementCount, tensor } from '../../shared/tensor.ts';
import {
  type Constant,
  cloneGraph,
  constantOf,
  constantTensor,
  type FreshNames,
  freshNames,
  type Graph,
  indexGraph,
  int,
  ints,
  type Model,
  makeNode,
  type Node,
} from '../graph/graph.ts';
import { verifyGraph } from '../graph/verify.ts';
import { removeDeadCode } from '../passes/dead-code.ts';
import type { Channels, UnitRepair, Units } from './channel-groups.ts';

/**
 * The model without units. Names of values and weights stay; types of inner values are dropped.
 * @param removed of `channels`, which are of this model
 * @throws BAD_INPUT where an axis would have nothing left
 */
export function withoutChannels(model: Model, channels: Channels, removed: ReadonlySet<number>): Model {
  const isKept = (unit: number) => !removed.has(unit);
  for (const { value, units } of channels.axes) {
    if (!units.some(isKept)) throw new TandemError('BAD_INPUT', `expected to keep a channel of ${value}, got none`);
  }
  const graph = cloneGraph(model.graph);
  graph.values.clear();
  const byName = new Map(graph.nodes.map((node) => [node.outputs[0] ?? '', node]));
  const fresh = freshNames(graph);
  const { consumers } = indexGraph(graph);
  const copies = new Map<string, string>();
  for (const { constant, axis, units, reader } of channels.slices) {
    const positions = keptPositions(units, removed);
    if (positions.length === units.length) continue;
    // Other readers may keep other channels of the same constant.
    const isShared = (consumers.get(constant)?.length ?? 0) > 1;
    const key = `${reader}\n${constant}`;
    const name = isShared ? (copies.get(key) ?? fresh(`${constant}.kept`)) : constant;
    const whole = graph.initializers.get(copies.has(key) ? name : constant) as Constant;
    graph.initializers.set(name, keepAlong(whole, axis, positions));
    if (!isShared) continue;
    copies.set(key, name);
    const node = byName.get(reader) as Node;
    node.inputs = node.inputs.map((input) => (input === constant ? name : input));
  }
  const version = model.opsets.get('') ?? 0;
  for (const change of channels.repairs) repair(graph, byName, change, removed, fresh, version);
  removeDeadCode(graph);
  verifyGraph(graph, 'after removing channels');
  return { ...model, graph };
}

/** Positions whose unit is not removed. */
export function keptPositions(units: Units, removed: ReadonlySet<number>): number[] {
  return [...units.keys()].filter((i) => !removed.has(units[i] as number));
}

/** Positions of one axis. Sub-byte types are not sliced. */
export function keepAlong(constant: Constant, axis: number, positions: readonly number[]): Constant {
  const { shape, bytes } = constant;
  const size = shape[axis] ?? 1;
  if (positions.length === size) return constant;
  const outer = elementCount(shape.slice(0, axis));
  const inner = bytes.byteLength / (outer * size);
  const kept = new Uint8Array(outer * positions.length * inner);
  for (let o = 0; o < outer; o++) {
    for (const [i, position] of positions.entries()) {
      const from = (o * size + position) * inner;
      kept.set(bytes.subarray(from, from + inner), (o * positions.length + i) * inner);
    }
  }
  return { ...constant, shape: shape.map((dim, i) => (i === axis ? positions.length : dim)), bytes: kept };
}

function repair(
  graph: Graph,
  byName: ReadonlyMap<string, Node>,
  change: UnitRepair,
  removed: ReadonlySet<number>,
  fresh: FreshNames,
  version: number,
): void {
  const node = byName.get(change.at) as Node;
  const count = (units: Units) => keptPositions(units, removed).length;
  const int64s = (stem: string, values: readonly number[]) => {
    const name = fresh(stem);
    const data = BigInt64Array.from(values, BigInt);
    graph.initializers.set(name, constantOf(tensor('int64', [values.length], data)));
    return name;
  };
  switch (change.type) {
    case 'groups':
      node.attributes.set('group', int(count(change.lane)));
      return;
    case 'size': {
      const sizes = graph.initializers.get(node.inputs[change.input] ?? '') as Constant;
      const values = Array.from(constantTensor(sizes).data, Number);
      values[change.element] = count(change.lane);
      node.inputs[change.input] = int64s(`${change.at}.sizes`, values);
      return;
    }
    case 'split': {
      const sizes = change.lanes.map(count);
      if (version < 13) node.attributes.set('split', ints(sizes));
      else node.inputs = [node.inputs[0] ?? '', int64s(`${change.at}.sizes`, sizes)];
      node.attributes.delete('num_outputs');
      return;
    }
    case 'select': {
      const positions = keptPositions(change.lane, removed);
      if (positions.length === change.lane.length) return;
      const selected = fresh(`${change.at}.selected`);
      const gather = makeNode('Gather', [node.inputs[0] ?? '', int64s(`${change.at}.kept`, positions)], [selected], {
        axis: int(1),
      });
      graph.nodes.splice(graph.nodes.indexOf(node), 0, gather);
      node.inputs[0] = selected;
      return;
    }
    default:
      change satisfies never;
  }
}
