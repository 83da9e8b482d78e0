/** The choices that a request has, and which of them policy and accuracy leave. */
import { depthOf, type Plan } from '../shared/plan.ts';

/** Run to boundary k on the device and send it at `tier`; null where k = K and nothing is sent. */
export interface Choice {
  readonly k: number;
  readonly tier: string | null;
}

export interface ChoiceLimits {
  /** Target whose segments the device runs. */
  readonly target: string;
  /** The shallowest boundary that may be sent. */
  readonly floor: number;
  /** How much of the plan's first metric may be lost against the whole model. */
  readonly accuracyDropMax: number;
}

/** Shallowest first; the last is all on the device, which is always there. */
export function allowedChoices(plan: Plan, limits: ChoiceLimits): Choice[] {
  const depth = depthOf(plan);
  const choices: Choice[] = [];
  for (let k = limits.floor; k < depth; k++) {
    for (const { name } of plan.boundaries[k]?.tiers ?? []) {
      if (accuracyLost(plan, limits.target, k, name) <= limits.accuracyDropMax + 1e-9) choices.push({ k, tier: name });
    }
  }
  return [...choices, { k: depth, tier: null }];
}

/** 0 where it was not measured. */
function accuracyLost({ measured }: Plan, target: string, k: number, tier: string): number {
  const metric = measured?.metrics[0];
  if (!metric) return 0;
  const metricAt = (place: string, at: number, as: string | null) =>
    measured.accuracy.find((row) => row.target === place && row.k === at && row.tier === as)?.metrics[metric.name];
  const whole = metricAt('server', 0, null);
  const own = metricAt(target, k, tier);
  if (whole === undefined || own === undefined) return 0;
  return metric.isHigherBetter ? whole - own : own - whole;
}

export function choiceText({ k, tier }: Choice): string {
  return tier === null ? 'local' : `k=${k} ${tier}`;
}
