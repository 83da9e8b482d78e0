/** Finished requests, of those that may send something, that the gateway has not been told of: what an operator's offload rate is made of. */
import { USAGE_COUNT_MAX, USAGE_ENTRIES_MAX } from '../shared/protocol/limits.ts';
import type { MessageOf } from '../shared/protocol/messages.ts';

export type UsageReport = MessageOf<'ping'>['usage'];

export class Usage {
  /** By plan and depth. */
  private readonly counts = new Map<string, UsageReport[number]>();

  get isEmpty(): boolean {
    return this.counts.size === 0;
  }

  /** @param k segments that the device ran */
  add(plan: string, k: number, count: number): void {
    const key = `${plan}/${k}`;
    const known = this.counts.get(key)?.count ?? 0;
    this.counts.set(key, { plan, k, count: Math.min(USAGE_COUNT_MAX, known + count) });
  }

  /** What to report now; it is not given again unless it is put back. */
  take(): UsageReport {
    const report = [...this.counts.values()].slice(0, USAGE_ENTRIES_MAX);
    for (const { plan, k } of report) this.counts.delete(`${plan}/${k}`);
    return report;
  }

  /** The report never arrived. */
  putBack(report: UsageReport): void {
    for (const { plan, k, count } of report) this.add(plan, k, count);
  }
}
