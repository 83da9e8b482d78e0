/** Summaries as comma-separated values: a line for each scheduler on each network. */
import type { Summary } from '../summary.ts';

/** Latency in milliseconds, bytes and joules of a request, the rest are shares; without warm-up where not said otherwise. */
const COLUMNS: Readonly<Record<string, (summary: Summary) => string | number>> = {
  collection: ({ collection }) => collection,
  trace: ({ trace }) => trace,
  scheduler: ({ scheduler }) => scheduler,
  detail: ({ detail }) => detail ?? '',
  requests: ({ all }) => all.requests,
  regret_mean: ({ settled }) => settled.regret.mean,
  regret_p50: ({ settled }) => settled.regret.p50,
  regret_p95: ({ settled }) => settled.regret.p95,
  regret_p99: ({ settled }) => settled.regret.p99,
  regret_mean_with_warm_up: ({ all }) => all.regret.mean,
  to_oracle_mean: ({ toOracle }) => toOracle.mean,
  to_oracle_p50: ({ toOracle }) => toOracle.p50,
  latency_mean_ms: ({ settled }) => settled.latencyMs.mean,
  latency_p50_ms: ({ settled }) => settled.latencyMs.p50,
  latency_p95_ms: ({ settled }) => settled.latencyMs.p95,
  latency_p99_ms: ({ settled }) => settled.latencyMs.p99,
  latency_mean_ms_with_warm_up: ({ all }) => all.latencyMs.mean,
  missed_with_warm_up: ({ all }) => all.missed,
  late_with_warm_up: ({ late }) => late,
  shed_with_warm_up: ({ shed }) => shed,
  offloaded_with_warm_up: ({ offloaded }) => offloaded,
  bytes_up: ({ bytesUp }) => bytesUp,
  bytes_down: ({ bytesDown }) => bytesDown,
  energy_j: ({ energyJ }) => energyJ,
  within_90_percent_interval: ({ within }) => within ?? '',
};

export function csvOf(summaries: readonly Summary[]): string {
  const columns = Object.values(COLUMNS);
  const rows = summaries.map((summary) => columns.map((of) => cell(of(summary))).join(','));
  return `${[Object.keys(COLUMNS).join(','), ...rows].join('\n')}\n`;
}

function cell(value: string | number): string {
  const text = typeof value === 'number' && !Number.isFinite(value) ? '' : String(value);
  return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
