/**
 * Which removable channels run along the axes of each value: the state that the rules of `channel-rules.ts` fill, node by
 * node. Channels that must go together are joined (union-find); what is fixed has a reason. After DepGraph (Fang et al.
 * 2023, "DepGraph: Towards Any Structural Pruning"), on single channels instead of whole layers, so that Concat, Split
 * and Flatten need no offsets kept beside.
 */

/** The channels along one axis, an id a position. An axis that has no lane is fixed. */
export type Lane = readonly number[];

/**
 * How a constant takes part: `output` rows are made from it, `input` columns are multiplied with the channel, `each` is a
 * value or a kernel of every channel's own.
 */
export type SliceRole = 'output' | 'input' | 'each';

/** An axis of a constant, of which positions go when channels go. */
export interface ConstantSlice {
  readonly constant: string;
  readonly axis: number;
  readonly lane: Lane;
  readonly role: SliceRole;
  /** Name of the first output of the node that reads it. */
  readonly reader: string;
}

/** What besides constants says how many channels there are. `at` is the name of the node's first output. */
export type Repair =
  /** The attribute `group` is the number of channels. */
  | { readonly type: 'groups'; readonly at: string; readonly lane: Lane }
  /** An element of a constant int64 input is the number of channels. */
  | {
      readonly type: 'size';
      readonly at: string;
      readonly input: number;
      readonly element: number;
      readonly lane: Lane;
    }
  /** A Split's sizes are the numbers of channels. */
  | { readonly type: 'split'; readonly at: string; readonly lanes: readonly Lane[] }
  /** The first input keeps all its channels: those that stay are taken out of it before the node. */
  | { readonly type: 'select'; readonly at: string; readonly lane: Lane };

export interface Flow {
  /** Union-find over channels. */
  readonly parent: number[];
  /** Union-find over the origin that each channel has: channels of one group have the same. */
  readonly origin: number[];
  readonly originParent: number[];
  /** Why a channel has to stay, by id. */
  readonly reasons: Map<number, string>;
  /** By value, then by axis. */
  readonly lanes: Map<string, Map<number, Lane>>;
  readonly slices: ConstantSlice[];
  readonly repairs: Repair[];
  /** Names of the origins, in the order of the graph. */
  readonly names: string[];
}

export function newFlow(): Flow {
  return {
    ...{ parent: [], origin: [], originParent: [], reasons: new Map(), lanes: new Map() },
    ...{ slices: [], repairs: [], names: [] },
  };
}

/** New channels, made by the node that makes `name`. */
export function freshLane(flow: Flow, count: number, name: string): Lane {
  const origin = flow.names.push(name) - 1;
  flow.originParent.push(origin);
  return Array.from({ length: count }, () => {
    flow.origin.push(origin);
    return flow.parent.push(flow.parent.length) - 1;
  });
}

/** Positions that stay, as a part of a lane where others may go. */
export function fixedLane(flow: Flow, count: number, name: string, reason: string): Lane {
  const lane = freshLane(flow, count, name);
  freeze(flow, lane, reason);
  return lane;
}

/** The channel that stands for all that go with this one. */
export function rootOf(parent: number[], id: number): number {
  let root = id;
  while (parent[root] !== root) root = parent[root] as number;
  for (let at = id; at !== root; ) {
    const next = parent[at] as number;
    parent[at] = root;
    at = next;
  }
  return root;
}

/** Position i of each goes with position i of the other. */
export function join(flow: Flow, a: Lane, b: Lane): void {
  for (const [i, id] of a.entries()) joinChannels(flow, id, b[i] as number);
}

export function joinChannels(flow: Flow, a: number, b: number): void {
  const [x, y] = [rootOf(flow.parent, a), rootOf(flow.parent, b)];
  // The older one stands for both: what comes out does not depend on the order of rules.
  if (x !== y) flow.parent[Math.max(x, y)] = Math.min(x, y);
  const [p, q] = [a, b].map((id) => rootOf(flow.originParent, flow.origin[id] as number)) as [number, number];
  if (p !== q) flow.originParent[Math.max(p, q)] = Math.min(p, q);
}

export function freeze(flow: Flow, lane: Lane, reason: string): void {
  for (const id of lane) if (!flow.reasons.has(id)) flow.reasons.set(id, reason);
}

export function laneOf(flow: Flow, value: string, axis: number): Lane | undefined {
  return flow.lanes.get(value)?.get(axis);
}

export function setLane(flow: Flow, value: string, axis: number, lane: Lane | undefined): void {
  if (!lane) return;
  const lanes = flow.lanes.get(value) ?? new Map<number, Lane>();
  lanes.set(axis, lane);
  flow.lanes.set(value, lanes);
}

/** All lanes of a value must stay. */
export function freezeValue(flow: Flow, value: string, reason: string): void {
  for (const lane of flow.lanes.get(value)?.values() ?? []) freeze(flow, lane, reason);
}
