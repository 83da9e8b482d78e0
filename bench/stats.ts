/** Percentiles and tables for benches. */
import { percentile } from '../compiler/measure/fit.ts';

/** p50, p95 and p99 in milliseconds, and how many values there were. */
export function spread(values: readonly number[]): { p50: number; p95: number; p99: number; n: number } {
  const [p50, p95, p99] = [0.5, 0.95, 0.99].map((share) => percentile(values, share)) as [number, number, number];
  return { p50, p95, p99, n: values.length };
}

/** A GitHub-flavoured table, so that output can be quoted in the README as it is. */
export function markdownTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}
