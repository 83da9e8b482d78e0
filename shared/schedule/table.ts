/** What a plan says of its choices, read once: a decision must not search a plan's records. */

import { bytesPerElement, elementCount } from '../dtype.ts';
import { depthOf, type Linear, outputsBehind, type Plan, type TensorSpec, tierKey } from '../plan.ts';
import { costAt, shapeAt } from '../size.ts';

/** A choice: run to boundary k on the device, send it at `tier`. `tier` is null where k = K and nothing is sent. */
export interface Choice {
  readonly k: number;
  readonly tier: string | null;
}

/** One choice of a plan, with what was measured of it. */
export interface TableRow extends Choice {
  /** `tierKey`; empty where nothing is sent. */
  readonly key: string;
  /** Bytes of the coded boundary; where they were not measured, those of its values as they are. */
  readonly bytes: Linear;
  readonly decodeMs: Linear | null;
  /** How much worse the plan's first metric is than the whole model's, in its unit; null where that was not measured. */
  readonly accuracyLost: number | null;
}

export interface CostTable {
  readonly depth: number;
  /** By k, and within it in the plan's order; all on the device comes last. */
  readonly rows: readonly TableRow[];
  /** Name of the first metric, or null. */
  readonly metric: string | null;
  /** Planned milliseconds of each segment on the device and on the server; nothing where they were not measured. */
  readonly deviceMs: readonly Linear[];
  readonly serverMs: readonly Linear[];
  /** Bytes of the outputs that come back when boundary k was sent. */
  readonly answerBytes: readonly Linear[];
}

/** Plans are never changed, so that what was read of one holds as long as it does. */
const tables = new WeakMap<Plan, Map<string, CostTable>>();

export function costTable(plan: Plan, target: string): CostTable {
  const known = tables.get(plan) ?? new Map<string, CostTable>();
  tables.set(plan, known);
  const table = known.get(target) ?? readTable(plan, target);
  known.set(target, table);
  return table;
}

function readTable(plan: Plan, target: string): CostTable {
  const depth = depthOf(plan);
  const rows: TableRow[] = [];
  for (let k = 0; k < depth; k++) {
    for (const { name } of plan.boundaries[k]?.tiers ?? []) {
      const measured = plan.measured?.tiers.find((entry) => entry.k === k && entry.tier === name);
      rows.push({
        ...{ k, tier: name, key: tierKey(k, name), accuracyLost: accuracyLost(plan, target, k, name) },
        ...{
          bytes: measured?.bytes ?? plainBytes(plan.boundaries[k]?.tensors ?? []),
          decodeMs: measured?.decodeMs ?? null,
        },
      });
    }
  }
  const onDevice = { k: depth, tier: null, key: '', bytes: { fixed: 0, perSize: 0 }, decodeMs: null };
  rows.push({ ...onDevice, accuracyLost: accuracyLost(plan, target, depth, null) });
  const timeMs = plan.measured?.timeMs;
  return {
    ...{ depth, rows, metric: plan.measured?.metrics[0]?.name ?? null },
    ...{ deviceMs: timeMs?.[target] ?? [], serverMs: timeMs?.['server'] ?? [] },
    answerBytes: plan.segments.map((_, k) => plainBytes(outputsBehind(plan, k))),
  };
}

function accuracyLost({ measured }: Plan, target: string, k: number, tier: string | null): number | null {
  const metric = measured?.metrics[0];
  if (!measured || !metric) return null;
  const metricAt = (place: string, at: number, as: string | null) =>
    measured.accuracy.find((row) => row.target === place && row.k === at && row.tier === as)?.metrics[metric.name];
  const whole = metricAt('server', 0, null);
  const own = metricAt(target, k, tier);
  if (whole === undefined || own === undefined) return null;
  return metric.isHigherBetter ? whole - own : own - whole;
}

/** How much of the first metric may be lost where an app says nothing else, in its unit. */
export const ACCURACY_DROP_MAX = 0.02;

/** All on the device is the last resort: never taken away for accuracy. */
export function isTooInaccurate({ tier, accuracyLost }: TableRow, dropMax = ACCURACY_DROP_MAX): boolean {
  // Metrics are decimal fractions: 0.99 - 0.98 is a hair more than 0.01.
  return tier !== null && accuracyLost !== null && accuracyLost > dropMax + 1e-9;
}

/** Bytes of a coded boundary at a size. */
export function boundaryBytes({ bytes }: TableRow, size: number): number {
  return costAt(bytes, size);
}

/** Bytes of tensors as they are: linear in the size where one dimension is. */
function plainBytes(specs: readonly TensorSpec[]): Linear {
  const at = (size: number) =>
    specs.reduce((sum, spec) => sum + bytesPerElement(spec.dtype) * elementCount(shapeAt(spec, size)), 0);
  const perSize = at(1) - at(0);
  return { fixed: at(0), perSize };
}
