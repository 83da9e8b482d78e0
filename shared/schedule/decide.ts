/**
 * The decision: filter what may not or cannot be done, score the rest, pick the best. A pure function of a snapshot,
 * asked again at every boundary that the device reaches. What was filtered stays in the answer, with the reason.
 */

import type { Floor } from '../policy.ts';
import { type Choice, type Prediction, predictorOf, probabilityWithin } from './cost.ts';
import { FASTEST, type Objective, scoreOf } from './objective.ts';
import type { Snapshot } from './snapshot.ts';
import { costTable, type TableRow } from './table.ts';

/** What the caller asks of a request. */
export interface Constraints {
  /** The label's floor, from policy. */
  readonly floor: Floor;
  /** How much of the plan's first metric may be lost against the whole model, in its own unit. */
  readonly accuracyDropMax: number;
  /** Only this k, and only this tier if one is named. For tests and demos; policy still holds. */
  readonly force: { readonly k: number; readonly tier?: string | undefined } | null;
  /** Who does as much as can be, however long that takes; the best by the objective where nobody is preferred. */
  readonly prefer?: 'device' | 'cloud' | undefined;
  /** What counts; time alone where nothing is said. */
  readonly objective?: Objective | undefined;
  /** Time that is left for the answer. */
  readonly deadlineMs?: number | undefined;
  /** What was chosen last, which another choice must beat by more than a little. */
  readonly previous?: Choice | null | undefined;
  /** Milliseconds that may be lost to finding out; see `explorationAfter`. */
  readonly explorationMs?: number | undefined;
}

export interface Candidate extends Choice {
  readonly predicted: Prediction;
  /** What it is worth in milliseconds, by the objective: the fewest is the best. */
  readonly score: number;
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
  /**
   * Why that one: it is the best; it was chosen before, and the best is hardly better; it is to find out whether it is
   * better than it looks; nothing is likely to meet the deadline, and it is the likeliest.
   */
  readonly by: 'best' | 'kept' | 'explored' | 'likeliest';
}

/** Exploring is worth it where a choice could be this much better than the best, if all goes well. */
const PROMISE = 0.9;
/** What was learnt of the link stays good for this long: it is not explored again before. */
const EXPLORE_AFTER_MS = 2_000;
/** Time for exploring is saved up for at most this many requests. */
const EXPLORATION_REQUESTS = 50;

export function decide(snapshot: Snapshot, constraints: Constraints): Decision {
  const removed: Removed[] = [];
  const rows: TableRow[] = [];
  const table = costTable(snapshot.plan, snapshot.target);
  for (const row of table.rows) {
    if (row.k < snapshot.at) continue;
    const objection = objectionTo(row, snapshot, constraints, table.metric);
    if (objection === null) rows.push(row);
    else removed.push({ k: row.k, tier: row.tier, ...objection });
  }
  const objective = constraints.objective ?? FASTEST;
  const { predict } = predictorOf(snapshot);
  let candidates = rows.map((row): Candidate & { readonly row: TableRow } => {
    const predicted = predict(row);
    return { k: row.k, tier: row.tier, predicted, score: scoreOf(objective, predicted, row.accuracyLost), row };
  });
  candidates = spared(candidates, snapshot, constraints, removed);
  // A stable sort: of two equals the shallower k, whose request is done sooner with the device, stays first.
  const sign = { device: -1, cloud: 1, none: 0 }[constraints.prefer ?? 'none'];
  candidates.sort((a, b) => sign * (a.k - b.k) || a.score - b.score);
  if (isOpen(constraints.force)) {
    const loses = ({ row }: { readonly row: TableRow }) => isTooInaccurate(row, constraints.accuracyDropMax);
    candidates = [...candidates.filter((candidate) => !loses(candidate)), ...candidates.filter(loses)];
  }
  const ranked = candidates.map(({ row: _row, ...candidate }): Candidate => candidate);
  const { chosen, by } = pick(ranked, snapshot, constraints, objective);
  return { at: snapshot.at, candidates: ranked, removed, chosen, by };
}

/** What is left for finding out after a decision. Saved up with every request, and spent where a choice was explored. */
export function explorationAfter(explorationMs: number, { candidates, chosen, by }: Decision, share: number): number {
  const best = candidates[0];
  if (!best || !chosen) return explorationMs;
  const saved = Math.min(explorationMs + share * best.score, EXPLORATION_REQUESTS * share * best.score);
  return by === 'explored' ? saved - Math.max(0, chosen.score - best.score) : saved;
}

type Picked = Pick<Decision, 'chosen' | 'by'>;

function pick(
  ranked: readonly Candidate[],
  snapshot: Snapshot,
  { prefer, force, deadlineMs, previous, explorationMs = 0 }: Constraints,
  { deadlineProbability, hysteresis }: Objective,
): Picked {
  const best = ranked[0] ?? null;
  if (best === null || prefer !== undefined || force !== null) return { chosen: best, by: 'best' };
  const meets = (candidate: Candidate) =>
    deadlineMs === undefined || probabilityWithin(candidate.predicted, deadlineMs) >= deadlineProbability;
  const fitting = ranked.find(meets);
  if (!fitting) {
    const probability = ({ predicted }: Candidate) => probabilityWithin(predicted, deadlineMs ?? 0);
    const likeliest = ranked.reduce((a, b) => (probability(b) > probability(a) ? b : a));
    // Where even that is out of reach, the soonest.
    return probability(likeliest) > 0 ? { chosen: likeliest, by: 'likeliest' } : { chosen: best, by: 'best' };
  }
  const kept = previous && ranked.find(({ k, tier }) => k === previous.k && tier === previous.tier);
  if (kept && kept !== fitting && meets(kept) && kept.score * (1 - hysteresis) <= fitting.score) {
    return { chosen: kept, by: 'kept' };
  }
  if (explorationMs > 0 && snapshot.idleMs >= EXPLORE_AFTER_MS && fitting.tier === null) {
    const affordable = ranked.filter(
      (candidate) => candidate.tier !== null && candidate.score - fitting.score <= explorationMs && meets(candidate),
    );
    const promising = affordable.filter(({ predicted }) => predicted.lowMs < PROMISE * fitting.predicted.totalMs);
    // The cheapest that could turn out better: what it tells of the link tells of the others.
    const explored = promising[0];
    if (explored) return { chosen: explored, by: 'explored' };
  }
  return { chosen: fitting, by: 'best' };
}

/** Whether k is forced and no tier: elsewhere what loses too much is removed, or asked for by name. */
function isOpen(force: Constraints['force']): boolean {
  return force !== null && force.tier === undefined;
}

/**
 * Without what sends or computes more than it must, where the user saves data or power, and without the gateway where this
 * request is held back. Whatever happens, something is left.
 */
function spared<T extends Candidate>(
  candidates: T[],
  snapshot: Snapshot,
  { force, prefer }: Constraints,
  removed: Removed[],
): T[] {
  if (force !== null || prefer !== undefined) return candidates;
  let left = candidates;
  const keep = (test: (candidate: T) => boolean, reason: string) => {
    const kept = left.filter(test);
    if (kept.length === 0 || kept.length === left.length) return;
    for (const { k, tier } of left) {
      if (!kept.some((other) => other.k === k && other.tier === tier))
        removed.push({ k, tier, reason, waitsFor: null });
    }
    left = kept;
  };
  if (snapshot.isHeldBack) {
    keep(({ tier }) => tier === null, 'the gateway sheds load, and this request is among those held back from it');
  }
  if (snapshot.savesData) {
    const least = Math.min(...left.map(({ predicted }) => predicted.bytes));
    keep(({ predicted }) => predicted.bytes <= least, 'the user saves data, and it sends more than it must');
  }
  if (snapshot.savesPower) {
    const least = Math.min(...left.map(({ predicted }) => predicted.joules));
    keep(({ predicted }) => predicted.joules <= 1.2 * least, 'the battery is low, and it spends more than it must');
  }
  return left;
}

type Objection = Pick<Removed, 'reason' | 'waitsFor'>;

/** Why a choice is out, or null. What lasts comes before what may pass, and policy first: its word is the one shown. */
function objectionTo(
  row: TableRow,
  snapshot: Snapshot,
  constraints: Constraints,
  metric: string | null,
): Objection | null {
  const reason = lastingReason(row, snapshot, constraints, metric);
  if (reason !== null) return { reason, waitsFor: null };
  if (row.k > snapshot.loaded && row.k > snapshot.at) {
    const here =
      snapshot.loaded === 0 ? 'no segment is here yet' : `only segments 1 to ${snapshot.loaded} are here yet`;
    return { reason: here, waitsFor: 'segments' };
  }
  if (row.tier !== null && !snapshot.isConnected) {
    const { disconnection } = snapshot;
    return { reason: `there is no connection${disconnection ? `: ${disconnection}` : ''}`, waitsFor: 'connection' };
  }
  return null;
}

function lastingReason(
  row: TableRow,
  snapshot: Snapshot,
  { floor, force, accuracyDropMax }: Constraints,
  metric: string | null,
): string | null {
  const { k, tier } = row;
  if (tier !== null && k < floor.k) return `policy: ${floor.reason}`;
  if (force && (k !== force.k || (force.tier !== undefined && tier !== null && tier !== force.tier))) {
    return `forced to k = ${force.k}${force.tier === undefined ? '' : `, tier ${force.tier}`}`;
  }
  const blocked = tier === null ? undefined : snapshot.blocked[row.key];
  if (blocked !== undefined) return blocked;
  if (force || !isTooInaccurate(row, accuracyDropMax)) return null;
  const points = (value: number) => (value * 100).toFixed(1);
  return `${metric} is worse by ${points(row.accuracyLost ?? 0)} points, ${points(accuracyDropMax)} are allowed`;
}

/** All on the device is the last resort: never taken away for accuracy. */
function isTooInaccurate({ tier, accuracyLost }: TableRow, dropMax: number): boolean {
  // Metrics are decimal fractions: 0.99 - 0.98 is a hair more than 0.01.
  return tier !== null && accuracyLost !== null && accuracyLost > dropMax + 1e-9;
}
