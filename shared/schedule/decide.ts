/**
 * The decision: filter what may not or cannot be done, score the rest, pick the best. A pure function of a snapshot,
 * asked again at every boundary that the device reaches. What was filtered stays in the answer, with the reason.
 */

import type { Permission } from '../policy/permission.ts';
import type { Choice, Prediction } from './cost.ts';
import { candidateAt, explain } from './explain.ts';
import { FASTEST, type Objective } from './objective.ts';
import { first, IN, likelihoodOf, type Ranking, rank } from './rank.ts';
import { type DecisionRecord, recordOf } from './record.ts';
import type { Snapshot } from './snapshot.ts';
import type { TableRow } from './table.ts';

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
  /** What this request set out to do to find something out: kept to, as long as it can be done in time. */
  readonly pursued?: Choice | null | undefined;
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
  /** The best of the others, null where there is none. */
  readonly next: Candidate | null;
  /** Score of the best candidate, chosen or not; null where there is none. */
  readonly bestScore: number | null;
  /** All that it was made of, for a log: `replay` makes it again, bit by bit. Not enumerable: whoever wants it asks for it. */
  readonly record: DecisionRecord;
}

/** Exploring is worth it where a choice could be this much better than the best, if all goes well. */
const PROMISE = 0.9;
/** What was learnt of the link stays good for this long: it is not explored again before. */
const EXPLORE_AFTER_MS = 2_000;
/** Time for exploring is saved up for at most this many requests. */
const EXPLORATION_REQUESTS = 50;

/** Explained when somebody looks: most decisions are made, and nobody does. */
export function decide(snapshot: Snapshot, constraints: Constraints): Decision {
  const ranking = rank(snapshot, constraints);
  const { by, index } = pick(ranking, snapshot, constraints);
  const chosen = index < 0 ? null : candidateAt(ranking, index);
  const other = first(ranking, (i) => i !== index);
  let explanation: Pick<Decision, 'candidates' | 'removed'> | null = null;
  const explained = () => (explanation ??= explain(rank(snapshot, constraints), snapshot, constraints));
  const decision = {
    at: snapshot.at,
    get candidates() {
      return explained().candidates;
    },
    get removed() {
      return explained().removed;
    },
    ...{
      chosen,
      by,
      next: other < 0 ? null : candidateAt(ranking, other),
      bestScore: ranking.best < 0 ? null : (ranking.score[ranking.best] as number),
    },
  };
  // Not among what is printed of a decision: it is several times as long.
  return Object.defineProperty(decision as Decision, 'record', {
    get: () => recordOf(snapshot, constraints, { chosen, by }),
  });
}

/** What is left for finding out after a decision. Saved up with every request, and spent where a choice was explored. */
export function explorationAfter(explorationMs: number, { bestScore, chosen, by }: Decision, share: number): number {
  if (bestScore === null || !chosen) return explorationMs;
  const saved = Math.min(explorationMs + share * bestScore, EXPLORATION_REQUESTS * share * bestScore);
  return by === 'explored' ? saved - Math.max(0, chosen.score - bestScore) : saved;
}

/** One in twenty is better. */
const LOW = -1.645;

function pick(
  ranking: Ranking,
  snapshot: Snapshot,
  { prefer, force, deadlineMs, previous, pursued, explorationMs = 0, objective = FASTEST }: Constraints,
): { readonly index: number; readonly by: Decision['by'] } {
  const { table, predictor, score, out, best } = ranking;
  if (best < 0 || prefer !== undefined || force !== null) return { index: best, by: 'best' };
  const likelihood = (i: number) => likelihoodOf(ranking, i, deadlineMs);
  const meets = (i: number) => likelihood(i) >= objective.deadlineProbability;
  const scoreAt = (i: number) => score[i] as number;
  const rowOf = (choice: Choice) => table.rows.findIndex(({ k, tier }) => k === choice.k && tier === choice.tier);
  const tried = pursued ? rowOf(pursued) : -1;
  if (tried >= 0 && out[tried] === IN && meets(tried)) return { index: tried, by: 'explored' };
  const fitting = meets(best) ? best : first(ranking, meets);
  if (fitting < 0) {
    let likeliest = best;
    for (let i = 0; i < out.length; i++) {
      if (out[i] === IN && likelihood(i) > likelihood(likeliest)) likeliest = i;
    }
    // Where even that is out of reach, the soonest.
    return likelihood(likeliest) > 0 ? { index: likeliest, by: 'likeliest' } : { index: best, by: 'best' };
  }
  const kept = previous ? rowOf(previous) : -1;
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
