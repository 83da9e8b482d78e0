/**
 * The plan: the only thing that crosses from build time to run time. This file is the few questions that both halves ask of
 * it; plan-schema.ts says what it is.
 */
import { TandemError } from './errors.ts';
import type { Plan, PlanBoundary, PlanMeasured, TensorSpec, Tier } from './plan-schema.ts';

export type * from './plan-schema.ts';

/**
 * The plan with the tiers of boundary 0 alone, and what was measured of them, under the same id: what a first request on a slow
 * network needs, for nothing has run on the device by then. Whoever has it gets the whole plan next, whose id is checked.
 */
export function planHead(plan: Plan): Plan {
  const boundaries = plan.boundaries.map(({ tensors, tiers }, k) => ({ tensors, tiers: k === 0 ? tiers : [] }));
  return { ...plan, boundaries, measured: plan.measured && measuredOfInput(plan.measured) };
}

/** What was measured of boundary 0 and of sending nothing: of a plan with much measured that is a small part. */
function measuredOfInput({ accuracy, tiers, leakage, ...rest }: PlanMeasured): PlanMeasured {
  return {
    ...rest,
    accuracy: accuracy.filter(({ k, tier }) => k === 0 || tier === null),
    tiers: tiers.filter(({ k }) => k === 0),
    ...(leakage && { leakage: { ...leakage, rows: leakage.rows.filter(({ k }) => k === 0) } }),
  };
}

/** K: the number of segments, and the k that means "all on the device". */
export function depthOf(plan: Plan): number {
  return plan.segments.length;
}

/** Boundary k. Throws BAD_BOUNDARY for a k that the plan does not have. */
export function boundaryAt(plan: Plan, k: number): PlanBoundary {
  const boundary = plan.boundaries[k];
  if (!boundary) throw new TandemError('BAD_BOUNDARY', `expected k from 0 to ${depthOf(plan)}, got ${k}`);
  return boundary;
}

/** Of the tensors of boundary k, in the plan's order. Throws as `boundaryAt`. */
export function namesAt(plan: Plan, k: number): string[] {
  return boundaryAt(plan, k).tensors.map(({ name }) => name);
}

/** The model's outputs that segments k+1..K make, in the plan's order: what whoever runs those can give. */
export function outputsBehind(plan: Plan, k: number): TensorSpec[] {
  const made = new Set(plan.segments.slice(k).flatMap(({ outputs }) => outputs));
  return boundaryAt(plan, depthOf(plan)).tensors.filter(({ name }) => made.has(name));
}

/** What records about tiers are keyed by. */
export function tierKey(k: number, tier: string): string {
  return `${k}/${tier}`;
}

/** The tier by name. Throws UNKNOWN_TIER naming those that boundary k has. */
export function tierAt(plan: Plan, k: number, name: string): Tier {
  const { tiers } = boundaryAt(plan, k);
  const tier = tiers.find((candidate) => candidate.name === name);
  if (tier) return tier;
  const known = tiers.map((candidate) => candidate.name).join(', ') || 'none';
  throw new TandemError('UNKNOWN_TIER', `boundary ${k} has no tier ${name}, only ${known}`);
}
