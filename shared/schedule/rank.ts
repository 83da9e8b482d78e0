/** The choices of one snapshot: which of them may and can be done now, and what each is worth. Knows no preference for one. */
import { denialAt } from '../policy/permission.ts';
import { type Predictor, predictorOf } from './cost.ts';
import type { Constraints } from './decide.ts';
import { FASTEST, scoreOf } from './objective.ts';
import type { Snapshot } from './snapshot.ts';
import { type CostTable, costTable, isTooInaccurate, type TableRow } from './table.ts';

/** With a low battery, as good as the least that a choice spends. */
const SPARING = 1.2;

/** Why a row is out, as a number: sentences are for those who ask. 0: it is not. */
export const IN = 0;
export const BEHIND = 1;
export const POLICY = 2;
export const FORCED = 3;
export const BLOCKED = 4;
export const INACCURATE = 5;
export const NO_SEGMENTS = 6;
export const NO_CONNECTION = 7;
export const HELD_BACK = 8;
export const SAVES_DATA = 9;
export const SAVES_POWER = 10;

/** The rows of a table as one snapshot has them. One a table, written anew by every decision. */
export interface Ranking {
  readonly table: CostTable;
  readonly predictor: Predictor;
  readonly out: Int8Array;
  readonly score: Float64Array;
  /** -1 where all are out. */
  best: number;
  isBefore(a: number, b: number): boolean;
}

const rankings = new WeakMap<CostTable, Ranking>();

export function rank(snapshot: Snapshot, constraints: Constraints): Ranking {
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
  if (constraints.force === null && prefer === undefined) spare(ranking, snapshot, constraints);
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
export function first({ out, isBefore }: Ranking, passes: (i: number) => boolean): number {
  let best = -1;
  for (let i = 0; i < out.length; i++) {
    if (out[i] === IN && (best < 0 || isBefore(i, best)) && passes(i)) best = i;
  }
  return best;
}

/** Whether k is forced and no tier: elsewhere what loses too much is removed, or asked for by name. */
function isOpen(force: Constraints['force']): boolean {
  return force !== null && force.tier === undefined;
}

/** How likely a row is to meet the deadline. */
export function likelihoodOf({ table, predictor }: Ranking, i: number, deadlineMs: number | undefined): number {
  if (deadlineMs === undefined) return 1;
  predictor.row(table.rows[i] as TableRow);
  return predictor.probabilityWithin(deadlineMs);
}

/**
 * Takes out what sends or computes more than it must, where the user saves data or power, and the gateway where this request
 * is held back. Whatever happens, something is left, and something that is as likely to meet the deadline as anything, or likely
 * enough.
 */
function spare(ranking: Ranking, snapshot: Snapshot, { deadlineMs, objective = FASTEST }: Constraints): void {
  const { table, predictor } = ranking;
  const rows = table.rows;
  const figure = (i: number, of: 'bytes' | 'joules') => {
    predictor.row(rows[i] as TableRow);
    return predictor[of];
  };
  const likelihood = (i: number) => Math.min(objective.deadlineProbability, likelihoodOf(ranking, i, deadlineMs));
  if (snapshot.isHeldBack) takeOut(ranking, HELD_BACK, (i) => rows[i]?.tier === null, likelihood);
  if (snapshot.savesData) {
    const least = leastOf(ranking, (i) => figure(i, 'bytes'));
    takeOut(ranking, SAVES_DATA, (i) => figure(i, 'bytes') <= least, likelihood);
  }
  if (snapshot.savesPower) {
    const least = leastOf(ranking, (i) => figure(i, 'joules'));
    takeOut(ranking, SAVES_POWER, (i) => figure(i, 'joules') <= SPARING * least, likelihood);
  }
}

function leastOf({ out }: Ranking, figure: (i: number) => number): number {
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < out.length; i++) if (out[i] === IN) least = Math.min(least, figure(i));
  return least;
}

/** @param likelihood to meet the deadline, as far as it counts */
function takeOut(
  { out }: Ranking,
  reason: number,
  stays: (i: number) => boolean,
  likelihood: (i: number) => number,
): void {
  let [left, most] = [-1, 0];
  for (let i = 0; i < out.length; i++) {
    if (out[i] !== IN) continue;
    const own = likelihood(i);
    most = Math.max(most, own);
    if (stays(i)) left = Math.max(left, own);
  }
  if (left < most) return;
  for (let i = 0; i < out.length; i++) if (out[i] === IN && !stays(i)) out[i] = reason;
}

/** What lasts comes before what may pass, and policy first: its word is the one shown. */
function objectionTo(row: TableRow, snapshot: Snapshot, { permission, force, accuracyDropMax }: Constraints): number {
  const { k, tier } = row;
  if (k < snapshot.at) return BEHIND;
  if (tier !== null && denialAt(permission, row.key)) return POLICY;
  if (force && (k !== force.k || (force.tier !== undefined && tier !== null && tier !== force.tier))) return FORCED;
  if (tier !== null && snapshot.blocked[row.key] !== undefined) return BLOCKED;
  if (!force && isTooInaccurate(row, accuracyDropMax)) return INACCURATE;
  if (k > snapshot.loaded && k > snapshot.at) return NO_SEGMENTS;
  if (tier !== null && !snapshot.isConnected) return NO_CONNECTION;
  return IN;
}
