/** What a plan's id is the hash of. Apart from plan.ts, for who reads plans. */
import type { Plan } from './plan-schema.ts';

/**
 * The canonical text whose SHA-256 is the plan id: what two sides must agree on to understand each other, and nothing
 * that measuring again would change.
 */
export function planContract(plan: Omit<Plan, 'id'>): string {
  const { version, name, size, preprocess, boundaries, segments } = plan;
  const { typical: _measuringOnly, ...range } = size;
  const contract = {
    ...{ version, name, size: range, preprocess, boundaries },
    segments: segments.map(({ inputs, outputs, server }) => ({ inputs, outputs, server: server.sha256 })),
  };
  return JSON.stringify(sortKeys(contract));
}

function sortKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sortKeys);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, inner]) => [key, sortKeys(inner)]),
  );
}
