/**
 * What a label may send of one plan: a policy's terms made into a list of boundaries and tiers. Client and gateway each hold a
 * policy and both ask this file; neither takes the other's word. Boundaries are named by their tensors, never by an index,
 * which a recompile would move; and whatever is not known to be allowed stays on the device.
 */
import type { Noise } from '../codec/noise.ts';
import { TandemError } from '../errors.ts';
import { ownValue } from '../own-value.ts';
import { depthOf, type Plan, type PlanBoundary, type Tier, tierKey } from '../plan.ts';
import { FLOOR_INPUT, FLOOR_LOCAL, type Policy, type Terms, unaliased } from './language.ts';
import { leakageOf } from './leakage.ts';
import { joinNoises, promises } from './noises.ts';

/** Plain data: decisions are logged with it, and made again from it. */
export interface Permission {
  /** By `tierKey`. What is not here is denied. */
  readonly allowed: Readonly<Record<string, true>>;
  /** By `tierKey`: why it is denied. */
  readonly denied: Readonly<Record<string, Denial>>;
  /** Why all else is. */
  readonly otherwise: Denial;
  /** The shallowest boundary whose tensors may leave, in some tier at least; K where none may. */
  readonly floor: number;
  /** What is added to a boundary's values before they are encoded. */
  readonly noise: readonly Noise[];
  /** Whether the gateway may write down anything about a single request. */
  readonly retain: boolean;
}

export interface Denial {
  readonly kind: DenialKind;
  /** For people. */
  readonly reason: string;
}

/** What a denial is for: the label itself, where it may be sent from, or what else has to hold. */
export type DenialKind = 'label' | 'boundary' | 'tier' | 'leakage' | 'noise';

/**
 * Which overrides hold: those of these names. null: it is not known, so all of them do. An empty list: it is somebody else's to
 * judge, so none does.
 */
type Names = readonly string[] | null;

export interface Circumstances {
  readonly networks: Names;
  readonly regions: Names;
  readonly tenants: Names;
}

/** All that has to hold for a label, aliases resolved; null for one that the policy does not know. */
export function termsOf(policy: Policy, label: string, circumstances: Circumstances): Terms[] | null {
  const rule = ownValue(policy.labels, label);
  if (rule === undefined) return null;
  const { networks, regions, tenants, ...own } = rule;
  const held = Object.entries({ networks, regions, tenants }).flatMap(([kind, overrides]) =>
    overridesThatHold(overrides, circumstances[kind as keyof Circumstances]),
  );
  return [own, ...held].map((terms) => resolved(policy, terms));
}

/** Overrides by the client's network, aliases resolved: what a gateway leaves to clients. */
export function networkTermsOf(policy: Policy, label: string): Record<string, Terms> {
  const networks = ownValue(policy.labels, label)?.networks;
  return Object.fromEntries(Object.entries(networks ?? {}).map(([name, terms]) => [name, resolved(policy, terms)]));
}

export function overridesThatHold(overrides: Readonly<Record<string, Terms>>, names: Names): Terms[] {
  return Object.entries(overrides).flatMap(([name, terms]) => (names === null || names.includes(name) ? [terms] : []));
}

function resolved(policy: Policy, terms: Terms): Terms {
  return terms.from === undefined ? terms : { ...terms, from: unaliased(policy, terms.from) };
}

/** Never throws: a label or a name that is not known gives a permission for nothing. */
export function permissionOf(policy: Policy, label: string, plan: Plan, circumstances: Circumstances): Permission {
  const terms = termsOf(policy, label, circumstances);
  if (!terms) return nothing(plan, { kind: 'label', reason: `the policy does not know the label ${label}` });
  return permissionUnder(terms, label, plan);
}

/** A permission for everything from boundary `floor` on: what a simulation or a test asks for that has no policy. */
export function permissionFrom(plan: Plan, floor: number, reason: string): Permission {
  const sendable = plan.boundaries.flatMap(({ tiers }, k) =>
    k >= floor && k < depthOf(plan) ? tiers.map(({ name }) => [tierKey(k, name), true as const] as const) : [],
  );
  return { ...nothing(plan, { kind: 'boundary', reason }), allowed: Object.fromEntries(sendable), floor, retain: true };
}

/** A permission for nothing at all. */
export function nothing(plan: Plan, otherwise: Denial): Permission {
  return { allowed: {}, denied: {}, otherwise, floor: depthOf(plan), noise: [], retain: false };
}

/** @param terms resolved by `termsOf`; all of them have to hold, and there is one at least */
export function permissionUnder(terms: readonly Terms[], label: string, plan: Plan): Permission {
  if (terms.length === 0) return nothing(plan, { kind: 'label', reason: `nothing is said of the label ${label}` });
  const noise = joinNoises(terms.flatMap((each) => each.noise ?? []));
  const depths = terms.map(({ from }) => depthFrom(plan, from ?? FLOOR_INPUT));
  /** Which of the terms boundary k is too shallow for; -1: none. */
  const barrierAt = (k: number) => terms.findIndex(({ from }, i) => !isBehind(plan, k, from, depths[i]));
  const allowed: Record<string, true> = {};
  const denied: Record<string, Denial> = {};
  let floor = depthOf(plan);
  for (let k = 0; k < depthOf(plan); k++) {
    const boundary = plan.boundaries[k] as PlanBoundary;
    const barrier = barrierAt(k);
    if (barrier < 0) floor = Math.min(floor, k);
    for (const tier of boundary.tiers) {
      const denial =
        barrier < 0
          ? denialOfTier(terms, plan, k, tier, noise)
          : { kind: 'boundary' as const, reason: fromReason(terms[barrier] as Terms, label, depths[barrier], k) };
      if (denial) denied[tierKey(k, tier.name)] = denial;
      else allowed[tierKey(k, tier.name)] = true;
    }
  }
  const last = barrierAt(depthOf(plan) - 1);
  const otherwise: Denial = {
    kind: 'boundary',
    reason:
      last < 0
        ? `the plan has no such boundary or tier for ${label} to be sent at`
        : fromReason(terms[last] as Terms, label, depths[last]),
  };
  return { allowed, denied, otherwise, floor, noise, retain: terms.every(({ retain }) => retain !== false) };
}

/** What both allow, with the noise of both. The reasons of `theirs` are said to be `whose`. */
export function stricter(own: Permission, theirs: Permission, whose: string): Permission {
  const said = (denial: Denial): Denial => ({ ...denial, reason: `${whose}: ${denial.reason}` });
  const allowed: Record<string, true> = {};
  const denied: Record<string, Denial> = { ...own.denied };
  for (const key of Object.keys(own.allowed)) {
    if (Object.hasOwn(theirs.allowed, key)) allowed[key] = true;
    else denied[key] = said(ownValue(theirs.denied, key) ?? theirs.otherwise);
  }
  return {
    ...{ allowed, denied },
    otherwise: theirs.floor > own.floor ? said(theirs.otherwise) : own.otherwise,
    floor: Math.max(own.floor, theirs.floor),
    noise: joinNoises([...own.noise, ...theirs.noise]),
    retain: own.retain && theirs.retain,
  };
}

/** Why boundary k may not be sent at a tier, or null where it may. */
export function denialOf(permission: Permission, k: number, tier: string): Denial | null {
  return denialAt(permission, tierKey(k, tier));
}

/** The same by `tierKey`: for decisions, which make no strings. */
export function denialAt({ allowed, denied, otherwise }: Permission, key: string): Denial | null {
  if (Object.hasOwn(allowed, key)) return null;
  return ownValue(denied, key) ?? otherwise;
}

/**
 * The receiving side's check, before anything is decoded.
 * @param promised noise that the sender says it has added: it cannot be seen, but who does not even say so is refused
 */
export function denialOfSent(
  permission: Permission,
  k: number,
  tier: string,
  promised: readonly Noise[],
): Denial | null {
  const denial = denialOf(permission, k, tier);
  if (denial || promises(promised, permission.noise)) return denial;
  return { kind: 'noise', reason: `noise is to be added, and the client does not say that it was` };
}

/** The refusal of a boundary. */
export function policyDenied(plan: Plan, k: number, { reason }: Denial): TandemError {
  return new TandemError('POLICY_DENIED', `boundary ${k} of ${plan.name} may not be sent: ${reason}`);
}

function denialOfTier(
  terms: readonly Terms[],
  plan: Plan,
  k: number,
  tier: Tier,
  noise: readonly Noise[],
): Denial | null {
  const { name } = tier;
  const listed = terms.find(({ tiers }) => tiers && !tiers.includes(name));
  if (listed) return { kind: 'tier', reason: `only the tiers ${listed.tiers} may be sent, not ${name}` };
  const leakageMax = Math.min(...terms.map((each) => each.leakageMax ?? Number.POSITIVE_INFINITY));
  if (leakageMax < Number.POSITIVE_INFINITY) {
    const leakage = leakageOf(plan, k, name);
    const most = `at most ${leakageMax} may be given away`;
    if (leakage === undefined)
      return { kind: 'leakage', reason: `${most}, and for k = ${k} ${name} it is not measured` };
    // Said as what is allowed, so that what is no number is not.
    if (!(leakage <= leakageMax)) return { kind: 'leakage', reason: `${most}, k = ${k} ${name} gives ${leakage}` };
  }
  if (noise.length === 0) return null;
  if (tier.type === 'picture')
    return { kind: 'noise', reason: `noise is to be added, and ${name} is a picture as it is` };
  const plain = plan.boundaries[k]?.tensors.find(({ dtype }) => dtype !== 'float32');
  return plain ? { kind: 'noise', reason: `noise is to be added, and ${plain.name} holds no fractions` } : null;
}

function fromReason({ from = FLOOR_INPUT }: Terms, label: string, depth: number | undefined, k = 0): string {
  if (from === FLOOR_LOCAL) return `${label} stays on the device`;
  const what = `${label} may be sent from ${from} on`;
  if (depth === undefined) return `${what}, and no boundary of this plan is there`;
  return k < depth ? what : `${what}, and boundary ${k} carries more than what is behind it`;
}

/** The first boundary that carries the tensor; undefined where none before the output does. */
function depthFrom(plan: Plan, from: string): number | undefined {
  if (from === FLOOR_INPUT) return 0;
  if (from === FLOOR_LOCAL) return undefined;
  const first = firstCrossing(plan, from);
  return first < 0 || first >= depthOf(plan) ? undefined : first;
}

function firstCrossing(plan: Plan, tensor: string): number {
  return plan.boundaries.findIndex(({ tensors }) => tensors.some(({ name }) => name === tensor));
}

/**
 * Whether all that crosses boundary k is behind what `from` names, which boundary `depth` is the first to carry: a skip connection
 * that carries something shallower past it pushes the floor further down. Each tensor is the named one or first crosses a later
 * boundary: what crosses beside the named one for the first time may be as shallow as all of its segment.
 */
function isBehind(plan: Plan, k: number, from = FLOOR_INPUT, depth?: number): boolean {
  if (depth === undefined || k < depth) return false;
  const { tensors = [] } = plan.boundaries[k] ?? {};
  const isDeep = (name: string) => from === FLOOR_INPUT || name === from || firstCrossing(plan, name) > depth;
  return tensors.length > 0 && tensors.every(({ name }) => isDeep(name));
}
