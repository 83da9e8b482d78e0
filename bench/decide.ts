/**
 * What a decision costs, for a plan of 8 segments with 5 tiers at each boundary: microseconds, and bytes that it leaves to the
 * garbage collector.
 *
 * `node --expose-gc dist/bench/decide.js`
 */

import { smallPlan } from '../client/testkit/small-plan.ts';
import type { Plan } from '../shared/plan.ts';
import { permissionFrom } from '../shared/policy/permission.ts';
import { type Constraints, decide } from '../shared/schedule/decide.ts';
import { Estimates } from '../shared/schedule/estimates.ts';
import type { Snapshot } from '../shared/schedule/snapshot.ts';
import { markdownTable } from './stats.ts';

const DEPTH = 8;
const TIERS = ['q8', 'q6', 'q4', 'q3', 'q2'];
const ROUNDS = 40;
const DECISIONS = 2_000;

const plan = deepPlan();
const estimates = new Estimates(undefined, 0);
for (let i = 0; i < 50; i++) {
  const nowMs = i * 900;
  estimates.observeTransfer({ bytesUp: 400 + 300 * (i % 9), bytesDown: 300 }, 70 + (i % 7), nowMs - 70, nowMs);
  estimates.observeDevice(plan, 'wasm', 16, i % DEPTH, (i % DEPTH) + 1, 12, nowMs);
}
const snapshot = (i: number): Snapshot => ({
  ...{ plan, target: 'wasm', size: 16, at: 0, loaded: DEPTH, isConnected: true, blocked: {} },
  ...estimates.partsFor(plan, 50_000 + i),
});
const constraints: Constraints = {
  ...{ permission: permissionFrom(plan, 0, 'all'), accuracyDropMax: 0.02, force: null, deadlineMs: 2_000 },
  ...{ previous: { k: 3, tier: 'q4' }, explorationMs: 5 },
};
// Made beforehand: a snapshot is the client's work, not the decision's.
const snapshots = Array.from({ length: DECISIONS }, (_, i) => snapshot(i));

const microseconds: number[] = [];
for (let round = 0; round < ROUNDS; round++) {
  const startMs = performance.now();
  for (const one of snapshots) decide(one, constraints);
  microseconds.push(((performance.now() - startMs) / DECISIONS) * 1000);
}
const settled = microseconds.slice(ROUNDS / 4).sort((a, b) => a - b);
const at = (share: number) => (settled[Math.floor(share * (settled.length - 1))] as number).toFixed(1);
globalThis.gc?.();
const before = process.memoryUsage().heapUsed;
for (const one of snapshots.slice(0, 500)) decide(one, constraints);
const bytes = (process.memoryUsage().heapUsed - before) / 500;

const rows = 1 + DEPTH * TIERS.length;
const figures = [String(rows), at(0.5), at(0.95), globalThis.gc ? bytes.toFixed(0) : 'run with --expose-gc'];
process.stdout.write(`${markdownTable(['choices', 'median us', 'p95 us', 'bytes'], [figures])}\n`);

function deepPlan(): Plan {
  const base = smallPlan();
  const spec = { name: 'h', dtype: 'float32' as const, shape: [1, 64, 1, 'width/4'] };
  const segment = base.segments[0] as Plan['segments'][number];
  const boundary = { tensors: [spec], tiers: TIERS.map((name) => ({ type: 'raw' as const, name })) };
  const cost = (fixed: number) => ({ fixed, perSize: 0.1 });
  return {
    ...base,
    boundaries: Array.from({ length: DEPTH + 1 }, (_, k) => (k < DEPTH ? boundary : { ...boundary, tiers: [] })),
    segments: Array.from({ length: DEPTH }, () => segment),
    measured: {
      ...{
        machine: 'none',
        seed: 1,
        samples: 1,
        metrics: [{ name: 'exact', isHigherBetter: true }],
        boundaryErrors: {},
      },
      accuracy: [],
      tiers: Array.from({ length: DEPTH }, (_, k) => k).flatMap((k) =>
        TIERS.map((tier, i) => ({ k, tier, bytes: cost(4_000 / (k + 1) / (i + 1)), decodeMs: cost(0.1) })),
      ),
      timeMs: {
        wasm: Array.from({ length: DEPTH }, () => cost(8)),
        server: Array.from({ length: DEPTH }, () => cost(2)),
      },
    },
  };
}
