/** What a boundary gives away of the input, as the plan measured it. */
import type { Plan } from '../plan.ts';

/**
 * The plan's figure for boundary k at a tier, 0 to 1, as it is sent: without noise, which only the client can promise; undefined
 * where it has none. The input gives away all of itself, whatever is said of it.
 */
export function leakageOf(plan: Plan, k: number, tier: string): number | undefined {
  const rows = plan.measured?.leakage?.rows ?? [];
  const figures = rows.filter((row) => row.k === k && row.tier === tier && !row.noise);
  const highest = Math.max(...figures.map(({ leakage }) => leakage));
  if (!(highest >= 0 && highest <= 1)) return undefined;
  return k === 0 ? 1 : highest;
}
