/** What a scheduler may know before the first request. */
import type { Plan } from '../shared/plan.ts';
import { allowedChoices, type Choice, type ChoiceLimits } from './choices.ts';

export interface Known extends ChoiceLimits {
  readonly plan: Plan;
  /** Allowed by policy and accuracy; the last is all on the device. */
  readonly choices: readonly Choice[];
}

export function knownOf(plan: Plan, limits: ChoiceLimits): Known {
  return { plan, ...limits, choices: allowedChoices(plan, limits) };
}
