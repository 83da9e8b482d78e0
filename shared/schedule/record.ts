/** What a decision was made of, without the plan: plain data, one line of JSON in a log. */
import type { Choice, Prediction } from './cost.ts';
import type { Constraints, Decision } from './decide.ts';
import type { Snapshot } from './snapshot.ts';

export interface DecisionRecord {
  /** Id of the plan. */
  readonly plan: string;
  readonly snapshot: Omit<Snapshot, 'plan'>;
  readonly constraints: Constraints;
  readonly chosen: Choice | null;
  /** What was said of it, to the last bit; null where nothing was chosen. Records of earlier versions have none. */
  readonly said?:
    | { readonly by: Decision['by']; readonly score: number; readonly predicted: Prediction }
    | null
    | undefined;
}

export function recordOf(
  snapshot: Snapshot,
  constraints: Constraints,
  { chosen, by }: Pick<Decision, 'chosen' | 'by'>,
): DecisionRecord {
  const { plan, ...rest } = snapshot;
  return {
    ...{ plan: plan.id, snapshot: rest, constraints },
    chosen: chosen && { k: chosen.k, tier: chosen.tier },
    said: chosen && { by, score: chosen.score, predicted: chosen.predicted },
  };
}
