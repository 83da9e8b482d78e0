import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Plan, tierKey } from '../../../shared/plan.ts';
import { denialOf, type Permission, permissionFrom } from '../../../shared/policy/permission.ts';
import type { Choice } from '../../../shared/schedule/cost.ts';
import { predict } from '../../../shared/schedule/cost.ts';
import { type Constraints, type Decision, decide } from '../../../shared/schedule/decide.ts';
import { newLink, observeTransfer } from '../../../shared/schedule/link.ts';
import { newQueue, observeQueue } from '../../../shared/schedule/queue.ts';
import type { Snapshot } from '../../../shared/schedule/snapshot.ts';
import { newSpeed } from '../../../shared/schedule/speed.ts';
import { samplePlan } from '../sample-plan.ts';
import { certain, sampleSnapshot, ratio as sure } from './sample-snapshot.ts';

/** Every choice that the sample plan has, from boundary 0. */
const CHOICES: readonly Choice[] = [
  { k: 0, tier: 'webp-80' },
  { k: 1, tier: 'q8' },
  { k: 1, tier: 'q4' },
  { k: 2, tier: 'q8' },
  { k: 3, tier: null },
];

/** All from this boundary on. */
function from(floor: number, reason = `from ${floor} on`): Permission {
  return permissionFrom(samplePlan(), floor, reason);
}

function constraints(changes: Partial<Constraints> = {}): Constraints {
  return { permission: from(0), accuracyDropMax: 1, force: null, ...changes };
}

function names(choices: readonly Choice[]): string[] {
  return choices.map(({ k, tier }) => `${k}/${tier ?? 'local'}`);
}

function reasonFor({ removed }: Decision, k: number, tier: string | null): string | undefined {
  return removed.find((choice) => choice.k === k && choice.tier === tier)?.reason;
}

describe('a decision', () => {
  test('weighs every tier of every boundary, and staying on the device', () => {
    const { candidates, removed, at } = decide(sampleSnapshot(), constraints());
    expect(at).toBe(0);
    expect(names(candidates).sort()).toEqual(names(CHOICES).sort());
    expect(removed).toEqual([]);
  });

  test('weighs only what lies ahead of the boundary that was reached', () => {
    const { candidates } = decide(sampleSnapshot({ at: 2 }), constraints());
    expect(names(candidates).sort()).toEqual(['2/q8', '3/local']);
  });

  test('offloads from a slow device, and stays on a fast one', () => {
    expect(decide(sampleSnapshot({ device: sure(10) }), constraints()).chosen?.k).toBe(0);
    expect(decide(sampleSnapshot({ device: sure(0.1) }), constraints()).chosen?.k).toBe(3);
  });

  test('splits where what is sent shrinks on the way and the link is narrow', () => {
    const link = certain(newLink({ roundTripMs: 1, uplinkBytesPerS: 10_000, downlinkBytesPerS: 1e12 }));
    const server = sure(0.01, 1);
    expect(decide(sampleSnapshot({ link, server }), constraints()).chosen).toMatchObject({ k: 1, tier: 'q8' });
  });

  test('takes the shallower of two equals', () => {
    const plan: Plan = { ...samplePlan(), measured: null };
    const link = certain(newLink({ roundTripMs: 1e-12, uplinkBytesPerS: 1e30 }));
    const encodeMs = Object.fromEntries(CHOICES.map(({ k, tier }) => [tierKey(k, tier ?? ''), 0]));
    const { candidates } = decide(sampleSnapshot({ plan, encodeMs, link, at: 1 }), constraints());
    expect(names(candidates)).toEqual(['3/local', '1/q8', '1/q4', '2/q8']);
    expect(candidates[1]?.predicted.totalMs).toBe(candidates[2]?.predicted.totalMs);
  });
});

describe('what a decision leaves out', () => {
  test('is everything shallower than the floor, in the words of the policy', () => {
    const permission = from(2, 'personal may be sent from b on');
    const decision = decide(sampleSnapshot(), constraints({ permission }));
    expect(names(decision.candidates).sort()).toEqual(['2/q8', '3/local']);
    expect(reasonFor(decision, 0, 'webp-80')).toBe('policy: personal may be sent from b on');
  });

  test('is everything but the device where nothing may leave', () => {
    const { chosen } = decide(sampleSnapshot({ device: sure(100) }), constraints({ permission: from(3) }));
    expect(chosen).toMatchObject({ k: 3, tier: null });
  });

  test('is first said by policy, whatever else speaks against it', () => {
    const permission = from(3, 'stays');
    const snapshot = sampleSnapshot({ loaded: 0, isConnected: false, blocked: { '1/q8': 'blocked' } });
    const { removed } = decide(snapshot, constraints({ permission, force: { k: 3 } }));
    for (const { tier, reason } of removed) if (tier !== null) expect(reason).toBe('policy: stays');
  });

  test('is what needs segments that the device does not have yet', () => {
    const decision = decide(sampleSnapshot({ loaded: 1 }), constraints());
    expect(names(decision.candidates).sort()).toEqual(['0/webp-80', '1/q4', '1/q8']);
    expect(reasonFor(decision, 2, 'q8')).toBe('only segments 1 to 1 are here yet');
  });

  test('at a forced k takes a tier that loses too much only where it is forced as well', () => {
    const at = (tier?: string) =>
      decide(sampleSnapshot(), constraints({ accuracyDropMax: 0.1, force: { k: 1, tier } })).chosen?.tier;
    expect(predict(sampleSnapshot(), { k: 1, tier: 'q4' }).bytes).toBeGreaterThan(0);
    expect(at()).toBe('q8');
    expect(at('q4')).toBe('q4');
  });

  test('is not the boundary that was reached, even if its segments are gone', () => {
    const { candidates } = decide(sampleSnapshot({ at: 2, loaded: 0 }), constraints());
    expect(names(candidates)).toEqual(['2/q8']);
  });

  test('is all that would be sent where there is no connection', () => {
    const decision = decide(sampleSnapshot({ isConnected: false }), constraints());
    expect(names(decision.candidates)).toEqual(['3/local']);
    expect(reasonFor(decision, 1, 'q4')).toBe('there is no connection');
  });

  test('is a tier that is blocked, at its own boundary only', () => {
    const decision = decide(sampleSnapshot({ blocked: { '1/q8': 'refused by the server' } }), constraints());
    expect(names(decision.candidates).sort()).toEqual(['0/webp-80', '1/q4', '2/q8', '3/local']);
    expect(reasonFor(decision, 1, 'q8')).toBe('refused by the server');
  });

  test('is everything where segments are missing and nothing can be sent', () => {
    const { chosen, removed } = decide(sampleSnapshot({ loaded: 2, isConnected: false }), constraints());
    expect(chosen).toBeNull();
    expect(names(removed)).toEqual(names(CHOICES));
  });
});

describe('accuracy', () => {
  // The sample plan: 0.75 as a whole, 0.5 at k = 1 with q4.
  test('takes a tier out that loses more than is allowed', () => {
    const decision = decide(sampleSnapshot(), constraints({ accuracyDropMax: 0.125 }));
    expect(reasonFor(decision, 1, 'q4')).toBe('exact is worse by 25.0 points, 12.5 are allowed');
    expect(names(decision.candidates)).toHaveLength(4);
  });

  test('lets a loss pass that is just what is allowed', () => {
    expect(decide(sampleSnapshot(), constraints({ accuracyDropMax: 0.25 })).removed).toEqual([]);
  });

  test('lets a loss pass that is just what is allowed, in decimal fractions', () => {
    const { plan } = sampleSnapshot();
    plan.measured?.accuracy.splice(0, 2, accuracy('server', 0, null, 0.99), accuracy('wasm', 1, 'q4', 0.98));
    expect(decide(sampleSnapshot({ plan }), constraints({ accuracyDropMax: 0.01 })).removed).toEqual([]);
  });

  test('counts the other way for an error rate', () => {
    const { plan } = sampleSnapshot();
    plan.measured?.metrics.splice(0, 1, { name: 'exact', isHigherBetter: false });
    const lower = { ...accuracy('wasm', 1, 'q4', 0.5) };
    plan.measured?.accuracy.splice(0, 2, accuracy('server', 0, null, 0.25), lower);
    expect(names(decide(sampleSnapshot({ plan }), constraints({ accuracyDropMax: 0.125 })).removed)).toEqual(['1/q4']);
  });

  test('is not asked for where it was not measured, on another target, or at k = K', () => {
    const { plan } = sampleSnapshot();
    plan.measured?.accuracy.splice(1, 1, accuracy('webgpu', 1, 'q8', 0), accuracy('wasm', 3, null, 0));
    expect(decide(sampleSnapshot({ plan }), constraints({ accuracyDropMax: 0 })).removed).toEqual([]);
  });

  function accuracy(target: string, k: number, tier: string | null, exact: number) {
    return { target, k, tier, metrics: { exact }, bytesMean: 0, bytesP95: 0 };
  }
});

describe('a forced decision', () => {
  test('takes the k that was asked for, best tier first', () => {
    const { chosen, candidates, removed } = decide(sampleSnapshot(), constraints({ force: { k: 1 } }));
    expect(chosen?.k).toBe(1);
    expect(names(candidates).sort()).toEqual(['1/q4', '1/q8']);
    expect(removed[0]?.reason).toBe('forced to k = 1');
  });

  test('takes the tier that was asked for, also where it loses accuracy', () => {
    const force = { k: 1, tier: 'q4' };
    const { chosen, removed } = decide(sampleSnapshot(), constraints({ force, accuracyDropMax: 0 }));
    expect(chosen).toMatchObject(force);
    expect(removed[0]?.reason).toBe('forced to k = 1, tier q4');
  });

  test('stays on the device at k = K', () => {
    expect(decide(sampleSnapshot(), constraints({ force: { k: 3 } })).chosen).toMatchObject({ k: 3, tier: null });
  });

  test('still does not pass the floor', () => {
    const permission = from(2, 'personal');
    const decision = decide(sampleSnapshot(), constraints({ permission, force: { k: 1, tier: 'q8' } }));
    expect(decision.chosen).toBeNull();
    expect(reasonFor(decision, 1, 'q8')).toBe('policy: personal');
  });

  test('cannot use segments, connections or tiers that are not there', () => {
    const chosenBy = (changes: Partial<Snapshot>) =>
      decide(sampleSnapshot(changes), constraints({ force: { k: 2 } })).chosen;
    expect(chosenBy({ loaded: 1 })).toBeNull();
    expect(chosenBy({ isConnected: false })).toBeNull();
    expect(chosenBy({ blocked: { '2/q8': 'refused' } })).toBeNull();
  });
});

describe('any decision', () => {
  const ratio = fc.double({ min: 0.01, max: 100, noNaN: true });
  const exact = fc.double({ min: 0, max: 1, noNaN: true });
  const snapshots: fc.Arbitrary<Snapshot> = fc
    .record({
      at: fc.nat(2),
      loaded: fc.nat(3),
      size: fc.integer({ min: 2, max: 16 }).map((steps) => 4 * steps),
      isConnected: fc.boolean(),
      device: ratio.map((value) => newSpeed(3, value)),
      server: ratio.map((value) => newSpeed(1, value)),
      transfers: fc.array(fc.record({ bytes: fc.nat(60_000), ms: fc.nat(2_000) }), { maxLength: 8 }),
      queue: fc.nat(500).map((ms) => observeQueue(newQueue(), ms, 0)),
      idleMs: fc.nat(20_000),
      isHeldBack: fc.boolean(),
      savesData: fc.boolean(),
      savesPower: fc.boolean(),
      encodeMs: fc.dictionary(fc.constantFrom('0/webp-80', '1/q8', '1/q4', '2/q8'), fc.nat(50)),
      blocked: fc.dictionary(fc.constantFrom('0/webp-80', '1/q8', '1/q4', '2/q8'), fc.constant('blocked')),
      accuracy: fc.array(exact, { minLength: 5, maxLength: 5 }),
      isMeasured: fc.boolean(),
    })
    .map(({ transfers, accuracy, isMeasured, ...rest }) => {
      const plan = samplePlan();
      const rows = CHOICES.map(({ k, tier }, i) => ({
        ...{ target: 'wasm', k, tier, bytesMean: 0, bytesP95: 0 },
        metrics: { exact: accuracy[i] as number },
      }));
      if (isMeasured) plan.measured?.accuracy.push(...rows);
      else plan.measured = null;
      const link = transfers.reduce(
        (estimate, { bytes, ms }, i) =>
          observeTransfer(estimate, { bytesUp: bytes, bytesDown: bytes / 2, idleMs: 0 }, ms, i * 500),
        newLink(),
      );
      return sampleSnapshot({ ...rest, plan, link, nowMs: 5_000 });
    });
  /** Any subset of what there is, whatever the floor says. */
  const permissions = fc
    .record({ sendable: fc.subarray(CHOICES.filter(({ tier }) => tier !== null)), floor: fc.nat(3) })
    .map(
      ({ sendable, floor }): Permission => ({
        ...from(floor),
        allowed: Object.fromEntries(sendable.map(({ k, tier }) => [tierKey(k, tier ?? ''), true as const])),
      }),
    );
  const asked: fc.Arbitrary<Constraints> = fc.record({
    permission: permissions,
    accuracyDropMax: exact,
    force: fc.option(fc.record({ k: fc.nat(3), tier: fc.constantFrom('q8', 'q4', 'webp-80', undefined) }), { freq: 2 }),
  });

  test('never goes against policy, the connection, or what the device has', () => {
    fc.assert(
      fc.property(snapshots, asked, (snapshot, constrained) => {
        const { candidates } = decide(snapshot, constrained);
        for (const { k, tier } of candidates) {
          expect(k).toBeGreaterThanOrEqual(snapshot.at);
          expect(k).toBeLessThanOrEqual(Math.max(snapshot.at, snapshot.loaded));
          if (tier === null) {
            expect(k).toBe(3);
          } else {
            expect(denialOf(constrained.permission, k, tier)).toBeNull();
            expect(snapshot.isConnected).toBe(true);
            expect(snapshot.blocked[tierKey(k, tier)]).toBeUndefined();
          }
          if (constrained.force) expect(k).toBe(constrained.force.k);
        }
      }),
      { numRuns: 500 },
    );
  });

  test('has each choice either as a candidate or as removed, and takes the least predicted time', () => {
    fc.assert(
      fc.property(snapshots, asked, (snapshot, constrained) => {
        const { candidates, removed, chosen } = decide(snapshot, constrained);
        const ahead = CHOICES.filter(({ k }) => k >= snapshot.at);
        expect(names([...candidates, ...removed]).sort()).toEqual(names(ahead).sort());
        expect(chosen).toEqual(candidates[0] ?? null);
        for (const candidate of candidates) {
          expect(candidate.predicted).toEqual(predict(snapshot, candidate));
          expect(chosen?.predicted.totalMs).toBeLessThanOrEqual(candidate.predicted.totalMs);
        }
      }),
      { numRuns: 500 },
    );
  });

  test('stays on the device as a last resort wherever the device has all segments', () => {
    fc.assert(
      fc.property(snapshots, asked, (snapshot, constrained) => {
        const { candidates } = decide({ ...snapshot, loaded: 3 }, { ...constrained, force: null });
        expect(names(candidates)).toContain('3/local');
      }),
    );
  });

  test('is the same when made again, and leaves the snapshot alone', () => {
    fc.assert(
      fc.property(snapshots, asked, (snapshot, constrained) => {
        const copies = structuredClone({ snapshot, constrained });
        const decision = decide(snapshot, constrained);
        expect(decide(copies.snapshot, copies.constrained)).toEqual(decision);
        expect({ snapshot, constrained }).toEqual(copies);
      }),
    );
  });
});
