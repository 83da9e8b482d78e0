/** What a boundary gives away of the input, as the plan measured it. */
import type { Plan } from '../plan.ts';

interface LeakageRow {
  readonly k: number;
  readonly tier: string;
  /** Share of what a blind guess leaves open that a fitted attack reconstructs, 0 to 1. */
  readonly leakage: number;
}

/** The highest figure that the plan has of boundary k at a tier, undefined where it has none. */
export function leakageOf(plan: Plan, k: number, tier: string): number | undefined {
  const measured = plan.measured as { readonly leakage?: { readonly rows: readonly LeakageRow[] } | null } | null;
  const figures = (measured?.leakage?.rows ?? []).filter((row) => row.k === k && row.tier === tier);
  const highest = Math.max(...figures.map(({ leakage }) => leakage));
  return highest >= 0 && highest <= 1 ? highest : undefined;
}
