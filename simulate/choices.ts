/** The choices that a request has, and which of them policy and accuracy leave. */
import type { Plan } from '../shared/plan.ts';
import { type Choice, costTable, isTooInaccurate } from '../shared/schedule/table.ts';

export type { Choice } from '../shared/schedule/table.ts';

export interface ChoiceLimits {
  /** Target whose segments the device runs. */
  readonly target: string;
  /** The shallowest boundary that may be sent. */
  readonly floor: number;
  /** How much of the plan's first metric may be lost against the whole model. */
  readonly accuracyDropMax: number;
}

/** Shallowest first; the last is all on the device, which is always there. */
export function allowedChoices(plan: Plan, { target, floor, accuracyDropMax }: ChoiceLimits): Choice[] {
  return costTable(plan, target)
    .rows.filter((row) => row.k >= floor && !isTooInaccurate(row, accuracyDropMax))
    .map(({ k, tier }) => ({ k, tier }));
}

export function choiceText({ k, tier }: Choice): string {
  return tier === null ? 'local' : `k=${k} ${tier}`;
}
