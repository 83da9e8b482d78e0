/** Finished requests, of those that may send something, that the gateway has not been told of: what an operator's offload rate is made of. */
import { USAGE_COUNT_MAX, USAGE_ENTRIES_MAX } from '../shared/protocol/limits.ts';
import type { MessageOf } from '../shared/protocol/messages.ts';

export type UsageReport = MessageOf<'ping'>['usage'];

export interface Usage {
  readonly isEmpty: boolean;
  /** As many as their counts say; also of a report that never arrived. */
  add(entries: UsageReport): void;
  /** What to report now; it is not given again unless it is added again. */
  take(): UsageReport;
}

export function newUsage(): Usage {
  /** By plan and depth. */
  const counts = new Map<string, UsageReport[number]>();
  const keyOf = ({ plan, k }: UsageReport[number]) => `${plan}/${k}`;
  return {
    get isEmpty() {
      return counts.size === 0;
    },
    add(entries) {
      for (const entry of entries) {
        const count = (counts.get(keyOf(entry))?.count ?? 0) + entry.count;
        counts.set(keyOf(entry), { ...entry, count: Math.min(USAGE_COUNT_MAX, count) });
      }
    },
    take() {
      const report = [...counts.values()].slice(0, USAGE_ENTRIES_MAX);
      for (const entry of report) counts.delete(keyOf(entry));
      return report;
    },
  };
}
