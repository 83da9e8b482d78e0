/** What a decision was made of, without the plan: plain data, one line of JSON in a log. */
import type { Choice } from './cost.ts';
import type { Constraints } from './decide.ts';
import type { Snapshot } from './snapshot.ts';

export interface DecisionRecord {
  /** Id of the plan. */
  readonly plan: string;
  readonly snapshot: Omit<Snapshot, 'plan'>;
  readonly constraints: Constraints;
  readonly chosen: Choice | null;
}

export function recordOf(snapshot: Snapshot, constraints: Constraints, chosen: Choice | null): DecisionRecord {
  const { plan, ...rest } = snapshot;
  return { plan: plan.id, snapshot: rest, constraints, chosen: chosen && { k: chosen.k, tier: chosen.tier } };
}
