/**
 * The decision: filter what may not or cannot be done, score the rest, pick the best. A pure function of a snapshot,
 * asked again at every boundary that the device reaches. What was filtered stays in the answer, with the reason.
 */

import { depthOf, tierKey } from '../plan.ts';
import { denialOf, type Permission } from '../policy/permission.ts';
import { type Choice, type Prediction, predict } from './cost.ts';
import type { Snapshot } from './snapshot.ts';

/** What the caller asks of a request. */
export interface Constraints {
  /** What the label may send, from policy. */
  readonly permission: Permission;
  /** How much of the plan's first metric may be lost against the whole model, in its own unit. */
  readonly accuracyDropMax: number;
  /** Only this k, and only this tier if one is named. For tests and demos; policy still holds. */
  readonly force: { readonly k: number; readonly tier?: string | undefined } | null;
  /** Who does as much as can be, however long that takes; the fastest where nobody is preferred. */
  readonly prefer?: 'device' | 'cloud' | undefined;
}

export interface Candidate extends Choice {
  readonly predicted: Prediction;
}

export interface Removed extends Choice {
  readonly reason: string;
  /** What could bring it back while the request waits; null where nothing can. */
  readonly waitsFor: 'segments' | 'connection' | null;
}

export interface Decision {
  /** The boundary at which it was made. */
  readonly at: number;
  /** Best first. */
  readonly candidates: readonly Candidate[];
  readonly removed: readonly Removed[];
  /** null where nothing can be done now: segments are missing, and nothing may or can be sent. */
  readonly chosen: Candidate | null;
}

export function decide(snapshot: Snapshot, constraints: Constraints): Decision {
  const removed: Removed[] = [];
  const candidates: Candidate[] = [];
  for (const choice of choicesFrom(snapshot)) {
    const objection = objectionTo(choice, snapshot, constraints);
    if (objection === null) candidates.push({ ...choice, predicted: predict(snapshot, choice) });
    else removed.push({ ...choice, ...objection });
  }
  // A stable sort: of two equals the shallower k, whose request is done sooner with the device, stays first.
  const sign = { device: -1, cloud: 1, none: 0 }[constraints.prefer ?? 'none'];
  candidates.sort((a, b) => sign * (a.k - b.k) || a.predicted.totalMs - b.predicted.totalMs);
  const ranked = isOpen(constraints.force) ? accurateFirst(candidates, snapshot, constraints) : candidates;
  return { at: snapshot.at, candidates: ranked, removed, chosen: ranked[0] ?? null };
}

/** Whether k is forced and no tier: elsewhere what loses too much is removed, or asked for by name. */
function isOpen(force: Constraints['force']): boolean {
  return force !== null && force.tier === undefined;
}

/** What loses too much comes last. */
function accurateFirst(candidates: readonly Candidate[], snapshot: Snapshot, { accuracyDropMax }: Constraints) {
  const loses = (choice: Choice) => accuracyReason(choice, snapshot, accuracyDropMax) !== null;
  return [...candidates.filter((choice) => !loses(choice)), ...candidates.filter(loses)];
}

function choicesFrom({ plan, at }: Snapshot): Choice[] {
  const choices: Choice[] = [];
  for (let k = at; k < depthOf(plan); k++) {
    for (const { name } of plan.boundaries[k]?.tiers ?? []) choices.push({ k, tier: name });
  }
  return [...choices, { k: depthOf(plan), tier: null }];
}

type Objection = Pick<Removed, 'reason' | 'waitsFor'>;

/** Why a choice is out, or null. What lasts comes before what may pass, and policy first: its word is the one shown. */
function objectionTo(choice: Choice, snapshot: Snapshot, constraints: Constraints): Objection | null {
  const reason = lastingReason(choice, snapshot, constraints);
  if (reason !== null) return { reason, waitsFor: null };
  if (choice.k > snapshot.loaded && choice.k > snapshot.at) {
    const here =
      snapshot.loaded === 0 ? 'no segment is here yet' : `only segments 1 to ${snapshot.loaded} are here yet`;
    return { reason: here, waitsFor: 'segments' };
  }
  if (choice.tier !== null && !snapshot.isConnected) {
    const { disconnection } = snapshot;
    return { reason: `there is no connection${disconnection ? `: ${disconnection}` : ''}`, waitsFor: 'connection' };
  }
  return null;
}

function lastingReason({ k, tier }: Choice, snapshot: Snapshot, constraints: Constraints): string | null {
  const { permission, force, accuracyDropMax } = constraints;
  const denial = tier === null ? null : denialOf(permission, k, tier);
  if (denial) return `policy: ${denial.reason}`;
  if (force && (k !== force.k || (force.tier !== undefined && tier !== null && tier !== force.tier))) {
    return `forced to k = ${force.k}${force.tier === undefined ? '' : `, tier ${force.tier}`}`;
  }
  const blocked = tier === null ? undefined : snapshot.blocked[tierKey(k, tier)];
  if (blocked !== undefined) return blocked;
  return force ? null : accuracyReason({ k, tier }, snapshot, accuracyDropMax);
}

function accuracyReason({ k, tier }: Choice, { plan, target }: Snapshot, dropMax: number): string | null {
  // All on the device is the last resort: never taken away for accuracy.
  const { measured } = plan;
  const metric = measured?.metrics[0];
  if (tier === null || !metric) return null;
  const metricAt = (place: string, at: number, as: string | null) =>
    measured.accuracy.find((row) => row.target === place && row.k === at && row.tier === as)?.metrics[metric.name];
  const whole = metricAt('server', 0, null);
  const own = metricAt(target, k, tier);
  if (whole === undefined || own === undefined) return null;
  const lost = metric.isHigherBetter ? whole - own : own - whole;
  // Metrics are decimal fractions: 0.99 - 0.98 is a hair more than 0.01.
  if (lost <= dropMax + 1e-9) return null;
  return `${metric.name} is worse by ${(lost * 100).toFixed(1)} points, ${(dropMax * 100).toFixed(1)} are allowed`;
}
