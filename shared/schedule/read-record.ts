/** A record of a decision from a log, where anything may stand. Apart from record.ts: who only writes records needs no schema. */
import * as v from 'valibot';
import { amount, finite, integer, list, parseAs, parseJson, text } from '../parse.ts';
import { DEPTH_MAX } from '../plan-schema.ts';
import type { DecisionRecord } from './record.ts';

const flag = v.optional(v.boolean());
const depth = integer(0, DEPTH_MAX);
const numbers = list(finite, (DEPTH_MAX + 1) ** 2);
const LogSum = v.object({
  model: v.object({
    ...{ prior: numbers, spread: numbers, drift: numbers, noise: finite },
    ...{ returnMs: v.exactOptional(numbers), common: v.exactOptional(finite) },
  }),
  state: v.object({
    ...{ mean: numbers, usual: numbers, covariance: numbers, noise: finite, surprise: finite, atMs: finite },
  }),
});
const Choice = v.object({ k: depth, tier: v.nullable(text(32)) });
const Denial = v.object({ kind: v.picklist(['label', 'boundary', 'tier', 'leakage', 'noise']), reason: v.string() });
const Permission = v.object({
  allowed: v.record(text(), v.literal(true)),
  denied: v.record(text(), Denial),
  ...{ otherwise: Denial, floor: depth, noise: v.array(v.looseObject({})), retain: v.boolean() },
});
const Objective = v.object({
  latency: v.union([v.literal('mean'), finite]),
  ...{ msPerJoule: amount, msPerKilobyte: amount, msPerOffload: amount, msPerPoint: amount },
  ...{ deadlineProbability: finite, hysteresis: finite, exploration: finite },
});

const RecordSchema = v.object({
  plan: text(),
  snapshot: v.object({
    ...{ target: text(), size: integer(1), at: depth, loaded: depth, isConnected: v.boolean(), nowMs: finite },
    ...{ disconnection: v.nullish(v.string()), device: LogSum, server: LogSum, link: LogSum, idleMs: amount },
    queue: v.object({
      ...{ lastMs: amount, atMs: finite, typicalMs: finite, squareMs: finite, overdueMs: finite, overdueAtMs: finite },
    }),
    ...{ aheadBytes: v.optional(amount), deviceAheadMs: v.optional(finite) },
    ...{ encodeMs: v.record(text(), finite), blocked: v.record(text(), v.string()) },
    ...{ savesData: flag, savesPower: flag, isHeldBack: flag },
  }),
  constraints: v.object({
    ...{ permission: Permission, accuracyDropMax: finite },
    force: v.nullable(v.object({ k: depth, tier: v.optional(text(32)) })),
    prefer: v.optional(v.picklist(['device', 'cloud'])),
    ...{ objective: v.optional(Objective), deadlineMs: v.optional(finite), explorationMs: v.optional(finite) },
    ...{ previous: v.nullish(Choice), pursued: v.nullish(Choice) },
  }),
  chosen: v.nullable(Choice),
  said: v.nullish(
    v.object({
      by: v.picklist(['best', 'kept', 'explored', 'likeliest']),
      score: finite,
      predicted: v.record(text(), finite),
    }),
  ),
});

/**
 * @param line one line of JSON
 * @param what names it in errors
 * @throws BAD_INPUT
 */
export function parseRecord(line: string, what: string): DecisionRecord {
  const value = parseJson(line, 'BAD_INPUT', what);
  return parseAs(RecordSchema, value, 'BAD_INPUT', what) as unknown as DecisionRecord;
}
