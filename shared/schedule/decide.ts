/**
 * The decision: filter what may not or cannot be done, score the rest, pick the best. A pure function of a snapshot,
 * asked again at every boundary that the device reaches. What was filtered stays in the answer, with the reason.
 */

import { denialOf, type Permission } from '../policy/permission.ts';
import { type Choice, type Prediction, type Predictor, predictorOf } from './cost.ts';
import { FASTEST, type Objective, scoreOf } from './objective.ts';
import type { Snapshot } from './snapshot.ts';
import { type CostTable, costTable, type TableRow } from './table.ts';

/** What the caller asks of a request. */
export interface Constraints {
  /** What the label may send, from policy. */
  readonly permission: Permission;
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
  /** Score of the best candidate, chosen or not; null where there is none. */
  readonly bestScore: number | null;
}

/** Exploring is worth it where a choice could be this much better than the best, if all goes well. */
const PROMISE = 0.9;
/** What was learnt of the link stays good for this long: it is not explored again before. */
const EXPLORE_AFTER_MS = 2_000;
/** Time for exploring is saved up for at most this many requests. */
const EXPLORATION_REQUESTS = 50;
/** With a low battery, as good as the least that a choice spends. */
const SPARING = 1.2;

/** Explained when somebody looks: most decisions are made, and nobody does. */
export function decide(snapshot: Snapshot, constraints: Constraints): Decision {
  const ranking = rank(snapshot, constraints);
  const { by, index } = pick(ranking, snapshot, constraints);
  const chosen = index < 0 ? null : candidateAt(ranking, index);
  let explanation: Pick<Decision, 'candidates' | 'removed'> | null = null;
  const explained = () => (explanation ??= explain(rank(snapshot, constraints), snapshot, constraints));
  return {
    at: snapshot.at,
    get candidates() {
      return explained().candidates;
    },
    get removed() {
      return explained().removed;
    },
    ...{ chosen, by, bestScore: ranking.best < 0 ? null : (ranking.score[ranking.best] as number) },
  };
}

/** What is left for finding out after a decision. Saved up with every request, and spent where a choice was explored. */
export function explorationAfter(explorationMs: number, { bestScore, chosen, by }: Decision, share: number): number {
  if (bestScore === null || !chosen) return explorationMs;
  const saved = Math.min(explorationMs + share * bestScore, EXPLORATION_REQUESTS * share * bestScore);
  return by === 'explored' ? saved - Math.max(0, chosen.score - bestScore) : saved;
}

/** Why a row is out, as a number: sentences are for those who ask. 0: it is not. */
const IN = 0;
const BEHIND = 1;
const POLICY = 2;
const FORCED = 3;
const BLOCKED = 4;
const INACCURATE = 5;
const NO_SEGMENTS = 6;
const NO_CONNECTION = 7;
const HELD_BACK = 8;
const SAVES_DATA = 9;
const SAVES_POWER = 10;

/** The rows of a table as one snapshot has them. One a table, written anew by every decision. */
interface Ranking {
  readonly table: CostTable;
  readonly predictor: Predictor;
  readonly out: Int8Array;
  readonly score: Float64Array;
  /** -1 where all are out. */
  best: number;
  isBefore(a: number, b: number): boolean;
}

const rankings = new WeakMap<CostTable, Ranking>();

function rank(snapshot: Snapshot, constraints: Constraints): Ranking {
  const table = costTable(snapshot.plan, snapshot.target);
  const predictor = predictorOf(snapshot);
  const ranking = rankings.get(table) ?? newRanking(table, predictor);
  rankings.set(table, ranking);
  const { out, score } = ranking;
  const { prefer, accuracyDropMax, objective = FASTEST } = constraints;
  for (let i = 0; i < out.length; i++) {
    const row = table.rows[i] as TableRow;
    const reason = objectionTo(row, snapshot, constraints);
    out[i] = reason;
    if (reason !== IN) continue;
    predictor.row(row);
    score[i] = scoreOf(objective, predictor, row.accuracyLost);
  }
  if (constraints.force === null && prefer === undefined) spare(ranking, snapshot);
  const sign = prefer === 'device' ? -1 : prefer === 'cloud' ? 1 : 0;
  const isOpenForce = isOpen(constraints.force);
  ranking.isBefore = (a, b) => {
    const one = table.rows[a] as TableRow;
    const other = table.rows[b] as TableRow;
    if (isOpenForce) {
      const loses = isTooInaccurate(one, accuracyDropMax);
      if (loses !== isTooInaccurate(other, accuracyDropMax)) return !loses;
    }
    if (sign !== 0 && one.k !== other.k) return sign * (one.k - other.k) < 0;
    // Of two equals the shallower k, whose request is done sooner with the device, stays first.
    return (score[a] as number) < (score[b] as number) || (score[a] === score[b] && a < b);
  };
  ranking.best = first(ranking, () => true);
  return ranking;
}

function newRanking(table: CostTable, predictor: Predictor): Ranking {
  const { length } = table.rows;
  const empty = { out: new Int8Array(length), score: new Float64Array(length), best: -1 };
  return { table, predictor, ...empty, isBefore: () => false };
}

/** The best row that is in and passes, or -1. */
function first({ out, isBefore }: Ranking, passes: (i: number) => boolean): number {
  let best = -1;
  for (let i = 0; i < out.length; i++) {
    if (out[i] === IN && (best < 0 || isBefore(i, best)) && passes(i)) best = i;
  }
  return best;
}

function pick(
  ranking: Ranking,
  snapshot: Snapshot,
  { prefer, force, deadlineMs, previous, explorationMs = 0, objective = FASTEST }: Constraints,
): { readonly index: number; readonly by: Decision['by'] } {
  const { table, predictor, score, out, best } = ranking;
  if (best < 0 || prefer !== undefined || force !== null) return { index: best, by: 'best' };
  const likelihood = (i: number) => {
    if (deadlineMs === undefined) return 1;
    predictor.row(table.rows[i] as TableRow);
    return predictor.probabilityWithin(deadlineMs);
  };
  const meets = (i: number) => likelihood(i) >= objective.deadlineProbability;
  const fitting = meets(best) ? best : first(ranking, meets);
  if (fitting < 0) {
    let likeliest = best;
    for (let i = 0; i < out.length; i++) {
      if (out[i] === IN && likelihood(i) > likelihood(likeliest)) likeliest = i;
    }
    // Where even that is out of reach, the soonest.
    return likelihood(likeliest) > 0 ? { index: likeliest, by: 'likeliest' } : { index: best, by: 'best' };
  }
  const scoreAt = (i: number) => score[i] as number;
  const kept = previous ? table.rows.findIndex(({ k, tier }) => k === previous.k && tier === previous.tier) : -1;
  if (kept >= 0 && kept !== fitting && out[kept] === IN && meets(kept)) {
    if (scoreAt(kept) * (1 - objective.hysteresis) <= scoreAt(fitting)) return { index: kept, by: 'kept' };
  }
  const isLocal = (table.rows[fitting] as TableRow).tier === null;
  if (explorationMs > 0 && isLocal && snapshot.idleMs >= EXPLORE_AFTER_MS) {
    predictor.row(table.rows[fitting] as TableRow);
    const promiseMs = PROMISE * predictor.totalMs;
    // The cheapest that could turn out better: what it tells of the link tells of the others.
    const explored = first(ranking, (i) => {
      if (i === fitting || scoreAt(i) - scoreAt(fitting) > explorationMs || !meets(i)) return false;
      predictor.row(table.rows[i] as TableRow);
      return predictor.quantileMs(LOW) < promiseMs;
    });
    if (explored >= 0) return { index: explored, by: 'explored' };
  }
  return { index: fitting, by: 'best' };
}

/** One in twenty is better. */
const LOW = -1.645;

function candidateAt({ table, predictor, score }: Ranking, i: number): Candidate {
  const row = table.rows[i] as TableRow;
  predictor.row(row);
  return { k: row.k, tier: row.tier, predicted: predictor.prediction(), score: score[i] as number };
}

/** Whether k is forced and no tier: elsewhere what loses too much is removed, or asked for by name. */
function isOpen(force: Constraints['force']): boolean {
  return force !== null && force.tier === undefined;
}

/**
 * Takes out what sends or computes more than it must, where the user saves data or power, and the gateway where this request
 * is held back. Whatever happens, something is left.
 */
function spare(ranking: Ranking, snapshot: Snapshot): void {
  const { table, predictor } = ranking;
  const rows = table.rows;
  const figure = (i: number, of: 'bytes' | 'joules') => {
    predictor.row(rows[i] as TableRow);
    return predictor[of];
  };
  if (snapshot.isHeldBack) takeOut(ranking, HELD_BACK, (i) => rows[i]?.tier === null);
  if (snapshot.savesData) {
    const least = leastOf(ranking, (i) => figure(i, 'bytes'));
    takeOut(ranking, SAVES_DATA, (i) => figure(i, 'bytes') <= least);
  }
  if (snapshot.savesPower) {
    const least = leastOf(ranking, (i) => figure(i, 'joules'));
    takeOut(ranking, SAVES_POWER, (i) => figure(i, 'joules') <= SPARING * least);
  }
}

function leastOf({ out }: Ranking, figure: (i: number) => number): number {
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < out.length; i++) if (out[i] === IN) least = Math.min(least, figure(i));
  return least;
}

function takeOut({ out }: Ranking, reason: number, stays: (i: number) => boolean): void {
  let left = 0;
  for (let i = 0; i < out.length; i++) if (out[i] === IN && stays(i)) left++;
  if (left === 0) return;
  for (let i = 0; i < out.length; i++) if (out[i] === IN && !stays(i)) out[i] = reason;
}

/** What lasts comes before what may pass, and policy first: its word is the one shown. */
function objectionTo(row: TableRow, snapshot: Snapshot, { permission, force, accuracyDropMax }: Constraints): number {
  const { k, tier } = row;
  if (k < snapshot.at) return BEHIND;
  if (tier !== null && denialOf(permission, k, tier)) return POLICY;
  if (force && (k !== force.k || (force.tier !== undefined && tier !== null && tier !== force.tier))) return FORCED;
  if (tier !== null && snapshot.blocked[row.key] !== undefined) return BLOCKED;
  if (!force && isTooInaccurate(row, accuracyDropMax)) return INACCURATE;
  if (k > snapshot.loaded && k > snapshot.at) return NO_SEGMENTS;
  if (tier !== null && !snapshot.isConnected) return NO_CONNECTION;
  return IN;
}

/** All on the device is the last resort: never taken away for accuracy. */
function isTooInaccurate({ tier, accuracyLost }: TableRow, dropMax: number): boolean {
  // Metrics are decimal fractions: 0.99 - 0.98 is a hair more than 0.01.
  return tier !== null && accuracyLost !== null && accuracyLost > dropMax + 1e-9;
}

function explain(
  ranking: Ranking,
  snapshot: Snapshot,
  constraints: Constraints,
): Pick<Decision, 'candidates' | 'removed'> {
  const { table, out, isBefore } = ranking;
  const order: number[] = [];
  const removed: Removed[] = [];
  for (const [i, { k, tier }] of table.rows.entries()) {
    const reason = out[i] as number;
    if (reason === IN) order.push(i);
    else if (reason !== BEHIND) {
      const text = reasonOf(reason, table.rows[i] as TableRow, table, snapshot, constraints);
      removed.push({ k, tier, reason: text, waitsFor: waitsFor(reason) });
    }
  }
  order.sort((a, b) => (isBefore(a, b) ? -1 : 1));
  return { candidates: order.map((i) => candidateAt(ranking, i)), removed };
}

function waitsFor(reason: number): Removed['waitsFor'] {
  if (reason === NO_SEGMENTS) return 'segments';
  return reason === NO_CONNECTION ? 'connection' : null;
}

function reasonOf(
  reason: number,
  row: TableRow,
  { metric }: CostTable,
  { loaded, disconnection, blocked }: Snapshot,
  { permission, force, accuracyDropMax }: Constraints,
): string {
  const points = (value: number) => (value * 100).toFixed(1);
  switch (reason) {
    case POLICY:
      return `policy: ${denialOf(permission, row.k, row.tier as string)?.reason}`;
    case FORCED:
      return `forced to k = ${force?.k}${force?.tier === undefined ? '' : `, tier ${force.tier}`}`;
    case BLOCKED:
      return blocked[row.key] as string;
    case INACCURATE:
      return `${metric} is worse by ${points(row.accuracyLost ?? 0)} points, ${points(accuracyDropMax)} are allowed`;
    case NO_SEGMENTS:
      return loaded === 0 ? 'no segment is here yet' : `only segments 1 to ${loaded} are here yet`;
    case NO_CONNECTION:
      return `there is no connection${disconnection ? `: ${disconnection}` : ''}`;
    case HELD_BACK:
      return 'the gateway sheds load, and this request is among those held back from it';
    case SAVES_DATA:
      return 'the user saves data, and it sends more than it must';
    default:
      return 'the battery is low, and it spends more than it must';
  }
}
