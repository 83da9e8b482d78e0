/** A decision in words: every choice with its figures, or with why it is out. */
import { denialAt } from '../policy/permission.ts';
import type { Candidate, Constraints, Decision, Removed } from './decide.ts';
import {
  BEHIND,
  BLOCKED,
  FORCED,
  HELD_BACK,
  IN,
  INACCURATE,
  NO_CONNECTION,
  NO_SEGMENTS,
  POLICY,
  type Ranking,
  SAVES_DATA,
} from './rank.ts';
import type { Snapshot } from './snapshot.ts';
import type { CostTable, TableRow } from './table.ts';

export function explain(
  ranking: Ranking,
  snapshot: Snapshot,
  constraints: Constraints,
): Pick<Decision, 'candidates' | 'removed'> {
  const { table, isBefore } = ranking;
  const order: number[] = [];
  const removed: Removed[] = [];
  for (const [i, { k, tier }] of table.rows.entries()) {
    const reason = ranking.out[i] as number;
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
      return `policy: ${denialAt(permission, row.key)?.reason}`;
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
      return 'the gateway sheds load, and this request is held back';
    case SAVES_DATA:
      return 'the user saves data, and it sends more than it must';
    default:
      return 'the battery is low, and it spends more than it must';
  }
}

export function candidateAt({ table, predictor, score }: Ranking, i: number): Candidate {
  const row = table.rows[i] as TableRow;
  predictor.row(row);
  return { k: row.k, tier: row.tier, predicted: predictor.prediction(), score: score[i] as number };
}
