/**
 * When a way to send a boundary may be called a privacy mode: what a reconstruction gains over a blind guess stays under a
 * quarter of what there is to gain, for less than 0.8 points of accuracy. Dropout on CIFAR-10 reached SSIM < 0.25 at < 0.8 points
 * (He et al., IEEE IoT Journal 2020); the bar is on the gain, because a blank page alone has a high SSIM.
 */
import type { PlanLeakage, PlanLeakageRow, PlanMeasured } from '../../shared/plan.ts';

export const PRIVACY_BAR = { leakageMax: 0.25, accuracyDropMax: 0.008 } as const;

type Metrics = PlanMeasured['metrics'];

/** How much worse the first metric is than where nothing is sent; below 0 where it is better. */
export function accuracyDrop(leakage: PlanLeakage, { accuracy }: PlanLeakageRow, [metric]: Metrics): number {
  const [whole, sent] = [leakage.accuracy, accuracy].map((figures) => figures[metric?.name ?? ''] ?? Number.NaN);
  return metric?.isHigherBetter ? (whole as number) - (sent as number) : (sent as number) - (whole as number);
}

/** Those that reach the bar, least leakage first. */
export function withinBar(leakage: PlanLeakage, metrics: Metrics): PlanLeakageRow[] {
  return leakage.rows
    .filter((row) => row.leakage < PRIVACY_BAR.leakageMax)
    .filter((row) => accuracyDrop(leakage, row, metrics) < PRIVACY_BAR.accuracyDropMax)
    .sort((a, b) => a.leakage - b.leakage);
}
