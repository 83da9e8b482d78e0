/**
 * Privacy policy: which boundary is the shallowest that a request with a given label may send. Client and server each
 * hold a policy of their own and both ask this file; neither takes the other's word. A policy names boundaries by
 * their tensors, never by an index, which a recompile would move; and whatever cannot be resolved stays on the device.
 */
import * as v from 'valibot';
import { TandemError } from './errors.ts';
import { parseAs, text } from './parse.ts';
import { depthOf, type Plan, type PlanBoundary } from './plan.ts';

/** The model's input, as it is. */
export const FLOOR_INPUT = 'input';
/** Nothing leaves the device, the output included. */
export const FLOOR_LOCAL = 'local';

const PolicySchema = v.object({
  /** Readable names for boundary tensors: { features: "p2o.AveragePool.1" }. */
  aliases: v.optional(v.record(text(64), text()), {}),
  /** Label -> its floor: `input`, `local`, an alias, or the name of a boundary tensor. */
  labels: v.record(text(64), text()),
});

export type Policy = v.InferOutput<typeof PolicySchema>;
/** A policy as people write it: aliases may be left out. */
export type PolicyInput = v.InferInput<typeof PolicySchema>;

/** Throws BAD_CONFIG for a value that is no policy, or an alias that shadows `input` or `local`. */
export function parsePolicy(value: unknown, what: string): Policy {
  const policy = parseAs(PolicySchema, value, 'BAD_CONFIG', what);
  for (const reserved of [FLOOR_INPUT, FLOOR_LOCAL]) {
    if (Object.hasOwn(policy.aliases, reserved)) {
      throw new TandemError('BAD_CONFIG', `${what}: ${reserved} is a word of the policy and cannot be an alias`);
    }
  }
  return policy;
}

/** The floor of a label for one plan. */
export interface Floor {
  /** The shallowest k that may be sent; K where nothing may. */
  readonly k: number;
  /** Why, in words. */
  readonly reason: string;
}

/** Resolves a label for a plan. Never throws: a label or a name that is not known resolves to "nothing leaves". */
export function floorOf(policy: Policy, label: string, plan: Plan): Floor {
  const nothing = depthOf(plan);
  const floor = Object.hasOwn(policy.labels, label) ? policy.labels[label] : undefined;
  if (floor === undefined) return { k: nothing, reason: `the policy does not know the label ${label}` };
  if (floor === FLOOR_LOCAL) return { k: nothing, reason: `${label} stays on the device` };
  if (floor === FLOOR_INPUT) return { k: 0, reason: `${label} may be sent as it is` };
  const k = shallowestBelow(plan, unaliased(policy, floor));
  if (k === undefined) {
    return { k: nothing, reason: `${label} may be sent from ${floor} on, and no boundary of this plan is there` };
  }
  return { k, reason: `${label} may be sent from ${floor} on` };
}

/** A floor without aliases: `input`, `local`, or the name of a boundary tensor. */
export function unaliased({ aliases }: Policy, floor: string): string {
  return Object.hasOwn(aliases, floor) ? (aliases[floor] as string) : floor;
}

/** The sending side's and the receiving side's check. Throws POLICY_DENIED. */
export function assertMaySend(policy: Policy, label: string, plan: Plan, k: number): void {
  const floor = floorOf(policy, label, plan);
  // Said as what is allowed, so that a k that is no number is not.
  const mayBeSent = k >= floor.k && k < depthOf(plan);
  if (!mayBeSent) {
    throw new TandemError('POLICY_DENIED', `boundary ${k} of ${plan.name} may not be sent: ${floor.reason}`);
  }
}

/**
 * The first k < K at which everything that crosses was made no earlier than the named tensor: a skip connection that
 * carries something shallower past it pushes the floor further down.
 */
function shallowestBelow(plan: Plan, name: string): number | undefined {
  const madeAt = new Map<string, number>();
  for (const [k, boundary] of plan.boundaries.entries()) {
    for (const tensor of boundary.tensors) if (!madeAt.has(tensor.name)) madeAt.set(tensor.name, k);
  }
  const depth = madeAt.get(name);
  if (depth === undefined) return undefined;
  for (let k = depth; k < depthOf(plan); k++) {
    const { tensors } = plan.boundaries[k] as PlanBoundary;
    if (tensors.every((tensor) => (madeAt.get(tensor.name) as number) >= depth)) return k;
  }
  return undefined;
}
