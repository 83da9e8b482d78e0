import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { permissionFrom } from '../../../shared/policy/permission.ts';
import { seededRandom } from '../../../shared/random.ts';
import { calibrate, coverage, NOTHING_PREDICTED } from '../../../shared/schedule/calibration.ts';
import { type Constraints, decide } from '../../../shared/schedule/decide.ts';
import { Estimates } from '../../../shared/schedule/estimates.ts';
import { parseObjective } from '../../../shared/schedule/objective.ts';
import { replay } from '../../../shared/schedule/replay.ts';
import type { Snapshot } from '../../../shared/schedule/snapshot.ts';
import { samplePlan } from '../sample-plan.ts';

const plan = samplePlan();

/** A snapshot after a life of so many requests, and what may be asked of it. */
function someLife(seed: number, requests: number): { snapshot: Snapshot; constraints: Constraints } {
  const random = seededRandom(seed);
  const estimates = new Estimates(undefined, 0);
  let nowMs = 0;
  for (let i = 0; i < requests; i++) {
    nowMs += 10_000 * random();
    const transfer = { bytesUp: 300 + 20_000 * random(), bytesDown: 300 * random() };
    estimates.observeTransfer(transfer, 20 + 400 * random(), nowMs - 100, nowMs);
    estimates.observeDevice(plan, 'wasm', 16, i % 3, (i % 3) + 1, 10 + 90 * random(), nowMs);
    estimates.observeServer(plan, 16, 1, 'q8', 5 + 40 * random(), nowMs);
    estimates.observeQueue(50 * random(), nowMs);
    if (random() < 0.2) estimates.shed(0);
    if (random() < 0.2) estimates.observeOverdue(300 * random(), nowMs);
  }
  const snapshot: Snapshot = {
    ...{ plan, target: 'wasm', size: 16, at: Math.floor(3 * random()), loaded: 3, isConnected: random() < 0.9 },
    ...{ ...estimates.partsFor(plan, nowMs + 5_000 * random()), blocked: random() < 0.3 ? { '1/q8': 'refused' } : {} },
    isHeldBack: random() < 0.2,
  };
  const constraints: Constraints = {
    ...{
      permission: permissionFrom(plan, Math.floor(3 * random()), 'so it is'),
      accuracyDropMax: random(),
      force: null,
    },
    objective: parseObjective({ latency: random() < 0.5 ? 'mean' : 0.9, msPerJoule: 40 * random() }, 'test'),
    ...{ deadlineMs: 600 * random(), explorationMs: 20 * random(), previous: { k: 1, tier: 'q8' } },
  };
  return { snapshot, constraints };
}

describe('a decision', () => {
  test('is made again from one line of a log, bit by bit, with all its figures', () => {
    fc.assert(
      fc.property(fc.nat(), fc.nat(30), (seed, requests) => {
        const { snapshot, constraints } = someLife(seed, requests);
        const decision = decide(snapshot, constraints);
        const again = replay(JSON.parse(JSON.stringify(decision.record)), plan);
        expect(again.chosen).toEqual(decision.chosen);
        expect(again.by).toBe(decision.by);
        expect(again.candidates).toEqual(decision.candidates);
        expect(again.removed).toEqual(decision.removed);
      }),
      { numRuns: 300 },
    );
  });

  test('is not made again for another plan, or where it would be another', () => {
    const { record } = decide(someLife(3, 5).snapshot, someLife(3, 5).constraints);
    expect(() => replay(record, { ...plan, id: 'f'.repeat(64) })).toThrow(/expected a decision for the plan f/);
    expect(() => replay({ ...record, chosen: { k: 0, tier: 'gone' } }, plan)).toThrow(
      /another version made this record/,
    );
  });
});

describe('calibration', () => {
  test('counts what came out within its interval', () => {
    const interval = { lowMs: 10, highMs: 20 };
    const seen = [9, 10, 15, 20, 21].reduce((all, ms) => calibrate(all, interval, ms), NOTHING_PREDICTED);
    expect(seen).toEqual({ requests: 5, below: 1, above: 1 });
    expect(coverage(seen)).toBe(0.6);
    expect(coverage(NOTHING_PREDICTED)).toBeNull();
  });
});
