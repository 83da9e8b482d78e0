/**
 * What a decision costs, for a plan of 8 segments with 5 tiers at each boundary: microseconds of single decisions, by themselves and with
 * what a request pays for the account of it, and bytes that they leave to the garbage collector. The clock's own time is taken off.
 *
 * `node --expose-gc dist/bench/decide.js`
 */

import { smallPlan } from '../client/testkit/small-plan.ts';
import { newTrail, routeOf } from '../client/trail.ts';
import type { Plan } from '../shared/plan.ts';
import { permissionFrom } from '../shared/policy/permission.ts';
import { askerOf } from '../shared/schedule/asker.ts';
import { type Constraints, type Decision, decide } from '../shared/schedule/decide.ts';
import { Estimates } from '../shared/schedule/estimates.ts';
import type { Snapshot } from '../shared/schedule/snapshot.ts';
import { quantile } from '../simulate/statistics.ts';
import { markdownTable } from './stats.ts';

const DEPTH = 8;
const TIERS = ['q8', 'q6', 'q4', 'q3', 'q2'];
const DECISIONS = 2_000;
/** Rounds that warm up, and those that are measured. */
const WARM_UP = 10;
const ROUNDS = 30;

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
const asker = askerOf(estimates, 0);
// Made beforehand: a snapshot is the client's work, not the decision's.
const snapshots = Array.from({ length: DECISIONS }, (_, i) => snapshot(i));

/** What is measured, of one snapshot. The first does nothing: it is what reading the clock takes. */
const CASES: Readonly<Record<string, (one: Snapshot) => unknown>> = {
  nothing: (one) => one,
  decide: (one) => decide(one, constraints),
  'decide and account': (one) => accountOf(decide(one, constraints)),
};

const nanoseconds = Object.fromEntries(Object.keys(CASES).map((name) => [name, [] as number[]]));
for (let round = 0; round < WARM_UP + ROUNDS; round++) {
  const order = Object.entries(CASES);
  for (const [name, run] of round % 2 === 0 ? order : order.reverse()) {
    for (const one of snapshots) {
      const beganNs = process.hrtime.bigint();
      run(one);
      const ns = Number(process.hrtime.bigint() - beganNs);
      if (round >= WARM_UP) nanoseconds[name]?.push(ns);
    }
  }
}
const sorted = (name: string) => Float64Array.from(nanoseconds[name] ?? []).sort();
const clockNs = quantile(sorted('nothing'), 0.5);
const us = (ns: number) => ((ns - clockNs) / 1000).toFixed(1);
const rows = Object.entries(CASES)
  .slice(1)
  .map(([name, run]) => {
    const all = sorted(name);
    return [name, String(all.length), us(quantile(all, 0.5)), us(quantile(all, 0.95)), bytesOf(run)];
  });
process.stdout.write(`${1 + DEPTH * TIERS.length} choices; reading the clock takes ${clockNs.toFixed(0)} ns\n\n`);
process.stdout.write(`${markdownTable(['single', 'count', 'median us', 'p95 us', 'bytes'], rows)}\n`);

/** What every request's caller gets of its decision. */
function accountOf(decision: Decision): unknown {
  const trail = newTrail(0, asker);
  trail.decisions.push(decision);
  const { k, tier } = decision.chosen ?? { k: DEPTH, tier: null };
  return routeOf(trail, { k, tier, label: '', size: 16, provider: null, demoted: [] }, null, 0);
}

function bytesOf(run: (one: Snapshot) => unknown): string {
  if (!globalThis.gc) return 'run with --expose-gc';
  globalThis.gc();
  const before = process.memoryUsage().heapUsed;
  for (const one of snapshots.slice(0, 100)) run(one);
  return ((process.memoryUsage().heapUsed - before) / 100).toFixed(0);
}

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
