/** What a plan says that work takes: what was observed is held against it. */
import { depthOf, type Plan } from '../plan.ts';
import { costAt } from '../size.ts';
import { costTable } from './table.ts';

/** Planned time of each segment from+1..to at a place, 0 for the others; all 0 where it was not measured. */
export function plannedMs(plan: Plan, place: string, size: number, from: number, to: number): number[] {
  const costs = plan.measured?.timeMs[place] ?? [];
  return plan.segments.map((_, i) => (i >= from && i < to && costs[i] ? costAt(costs[i], size) : 0));
}

/** Planned time that the server takes to decode boundary k and run what follows, in milliseconds. */
export function serverPlannedMs(plan: Plan, size: number, k: number, tier: string): number {
  const decode = costTable(plan, 'server').rows.find((row) => row.k === k && row.tier === tier)?.decodeMs;
  const tail = plannedMs(plan, 'server', size, k, depthOf(plan)).reduce((sum, ms) => sum + ms, 0);
  return (decode ? costAt(decode, size) : 0) + tail;
}
