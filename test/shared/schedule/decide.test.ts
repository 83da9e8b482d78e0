import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Plan, tierKey } from '../../../shared/plan.ts';
import { denialOf, type Permission, permissionFrom } from '../../../shared/policy/permission.ts';
import type { Choice } from '../../../shared/schedule/cost.ts';
import { predict } from '../../../shared/schedule/cost.ts';
import { type Constraints, type Decision, decide, explorationAfter } from '../../../shared/schedule/decide.ts';
import { newLink, observeTransfer } from '../../../shared/schedule/link.ts';
import { type Objective, type ObjectiveInput, parseObjective } from '../../../shared/schedule/objective.ts';
import { newQueue, observeQueue } from '../../../shared/schedule/queue.ts';
import type { Snapshot } from '../../../shared/schedule/snapshot.ts';
import { newSpeed } from '../../../shared/schedule/speed.ts';
import { samplePlan } from '../sample-plan.ts';
import { certain, QUIET_LINK, sampleSnapshot, ratio as sure } from './sample-snapshot.ts';

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

describe('a user who saves', () => {
  test('data sends nothing where the device can do it', () => {
    const decision = decide(sampleSnapshot({ device: sure(100), savesData: true }), constraints());
    expect(names(decision.candidates)).toEqual(['3/local']);
    expect(reasonFor(decision, 0, 'webp-80')).toBe('the user saves data, and it sends more than it must');
  });

  test('data sends the least that there is where it cannot', () => {
    const bytes = (choice: Choice) => predict(sampleSnapshot(), choice).bytes;
    const [least] = CHOICES.filter(({ k }) => k < 2).toSorted((a, b) => bytes(a) - bytes(b));
    const { candidates } = decide(sampleSnapshot({ loaded: 1, savesData: true }), constraints());
    expect(names(candidates)).toEqual(names(least ? [least] : []));
  });

  test('power takes what spends about the least, and more where there is no other', () => {
    const snapshot = sampleSnapshot({ device: sure(0.5), savesPower: true });
    const joules = ({ k, tier }: Choice) => predict(snapshot, { k, tier }).joules;
    expect(decide({ ...snapshot, savesPower: false }, constraints()).chosen?.k).toBe(3);
    const decision = decide(snapshot, constraints());
    expect(decision.chosen?.k).toBe(0);
    const most = Math.max(...decision.candidates.map(joules));
    expect(Math.min(...decision.removed.map(joules))).toBeGreaterThan(most);
    expect(reasonFor(decision, 3, null)).toBe('the battery is low, and it spends more than it must');
    expect(names(decide({ ...snapshot, isConnected: false }, constraints()).candidates)).toEqual(['3/local']);
  });

  test('is not asked where somebody says who is to do it', () => {
    const snapshot = sampleSnapshot({ savesData: true, savesPower: true, isHeldBack: true });
    expect(decide(snapshot, constraints({ prefer: 'cloud' })).chosen?.k).toBe(0);
    expect(decide(snapshot, constraints({ force: { k: 1 } })).chosen?.k).toBe(1);
  });
});

describe('a request that is held back', () => {
  test('stays on the device, however slow', () => {
    const decision = decide(sampleSnapshot({ device: sure(100), isHeldBack: true }), constraints());
    expect(names(decision.candidates)).toEqual(['3/local']);
    expect(reasonFor(decision, 1, 'q8')).toBe('the gateway sheds load, and this request is held back');
  });

  test('goes to the gateway where the device would surely be late, and where both would be it stays', () => {
    const slow = sampleSnapshot({ device: sure(100), isHeldBack: true });
    expect(decide(slow, constraints({ deadlineMs: 1_000 })).chosen?.k).toBe(0);
    expect(decide(slow, constraints({ deadlineMs: 100_000 })).chosen?.k).toBe(3);
    expect(decide(slow, constraints({ deadlineMs: 1 })).chosen?.k).toBe(3);
    const saving = sampleSnapshot({ device: sure(100), savesData: true });
    expect(decide(saving, constraints({ deadlineMs: 1_000 })).chosen?.k).toBe(0);
  });

  test('goes to the gateway where that may yet be in time and the device cannot, as one does where data is saved', () => {
    for (const saving of [{ isHeldBack: true }, { savesData: true }]) {
      const { chosen } = decide(unsure(300, { device: sure(100), ...saving }), constraints({ deadlineMs: 500 }));
      expect(chosen?.k).toBe(0);
    }
  });

  test('goes to the gateway where the device cannot do it', () => {
    expect(decide(sampleSnapshot({ loaded: 2, isHeldBack: true }), constraints()).chosen).not.toBeNull();
  });
});

describe('a device that has other requests to do first', () => {
  test('is as much slower, and sends what it would have run', () => {
    // 108 ms on the device, 300 ms on the way.
    const link = certain(newLink({ ...QUIET_LINK, roundTripMs: 300 }));
    expect(decide(sampleSnapshot({ link }), constraints()).chosen).toMatchObject({ k: 3, predicted: { aheadMs: 0 } });
    const busy = decide(sampleSnapshot({ link, deviceAheadMs: 500 }), constraints());
    expect(busy.chosen?.k).toBe(0);
    expect(busy.candidates.find(({ k }) => k === 3)?.predicted).toMatchObject({ aheadMs: 500, deviceMs: 108 });
    expect(busy.candidates.find(({ k }) => k === 3)?.predicted.totalMs).toBe(608);
    expect(busy.chosen?.predicted.aheadMs).toBe(0);
  });
});

/** The device takes 108 ms for sure; the way to the gateway takes as long as is said, or longer, or not. */
function unsure(roundTripMs: number, changes: Partial<Snapshot> = {}): Snapshot {
  return sampleSnapshot({ link: newLink({ ...QUIET_LINK, roundTripMs }), ...changes });
}

describe('a deadline', () => {
  const sureOf = (deadlineProbability: number) => parseObjective({ deadlineProbability }, 'objective');

  test('passes over what is faster and may miss it, for what meets it', () => {
    const snapshot = unsure(30);
    expect(decide(snapshot, constraints()).chosen?.k).toBe(0);
    const decision = decide(snapshot, constraints({ deadlineMs: 110, objective: sureOf(0.99) }));
    expect(decision).toMatchObject({ by: 'best', chosen: { k: 3 } });
    expect(decision.bestScore).toBe(decision.candidates[0]?.score);
    expect(decision.candidates[0]?.k).toBe(0);
  });

  test('changes nothing where the best meets it, or one need not be that sure', () => {
    expect(decide(unsure(30), constraints({ deadlineMs: 10_000 })).chosen?.k).toBe(0);
    expect(decide(unsure(30), constraints({ deadlineMs: 110, objective: sureOf(0.5) })).chosen?.k).toBe(0);
  });

  test('that nothing is likely to meet takes what is likeliest to', () => {
    const snapshot = unsure(70);
    expect(decide(snapshot, constraints()).chosen?.k).toBe(3);
    const { by, chosen } = decide(snapshot, constraints({ deadlineMs: 100 }));
    expect(by).toBe('likeliest');
    expect(chosen?.tier).not.toBeNull();
  });

  test('that is out of reach takes the soonest', () => {
    for (const deadlineMs of [0.001, 0, -5]) {
      const { by, chosen } = decide(sampleSnapshot(), constraints({ deadlineMs }));
      expect({ by, k: chosen?.k }).toEqual({ by: 'best', k: 0 });
    }
  });
});

describe('what was chosen before', () => {
  const loyal = (hysteresis: number) => parseObjective({ hysteresis }, 'objective');
  // All in the cloud is expected to take a tenth less than all on the device.
  const remoteMs = predict(sampleSnapshot(), { k: 0, tier: 'webp-80' }).totalMs;
  const snapshot = sampleSnapshot({ device: sure(remoteMs / 0.9 / 108) });
  const previous: Choice = { k: 3, tier: null };

  test('is kept while nothing is much better', () => {
    const kept = decide(snapshot, constraints({ previous, objective: loyal(0.15) }));
    expect(kept).toMatchObject({ by: 'kept', chosen: previous });
    expect(kept.bestScore).toBeLessThan(kept.chosen?.score ?? 0);
  });

  test('is left for what is much better, or when it cannot be done any more', () => {
    const chosenBy = (changes: Partial<Constraints>, state = snapshot) =>
      decide(state, constraints({ previous, objective: loyal(0.15), ...changes }));
    expect(chosenBy({ objective: loyal(0.05) })).toMatchObject({ by: 'best', chosen: { k: 0 } });
    expect(chosenBy({}, { ...snapshot, loaded: 2 })).toMatchObject({ by: 'best', chosen: { k: 0 } });
    expect(chosenBy({ deadlineMs: remoteMs * 1.05 })).toMatchObject({ by: 'best', chosen: { k: 0 } });
    expect(chosenBy({ previous: { k: 2, tier: 'of another plan' } })).toMatchObject({ by: 'best', chosen: { k: 0 } });
    expect(chosenBy({ prefer: 'cloud' })).toMatchObject({ by: 'best', chosen: { k: 0 } });
  });
});

describe('finding out', () => {
  const idle = { idleMs: 10_000 };

  test('tries what could be better, and costs no more than was saved up', () => {
    const decision = decide(unsure(70, idle), constraints({ explorationMs: 1_000 }));
    expect(decision.by).toBe('explored');
    expect(decision.chosen?.tier).not.toBeNull();
    const costMs = (decision.chosen?.score ?? 0) - (decision.bestScore ?? 0);
    expect(costMs).toBeGreaterThan(0);
    expect(decide(unsure(70, idle), constraints({ explorationMs: costMs * 1.001 })).by).toBe('explored');
    expect(decide(unsure(70, idle), constraints({ explorationMs: costMs * 0.999 })).by).toBe('best');
    expect(decide(unsure(70, idle), constraints({ explorationMs: 0 })).by).toBe('best');
  });

  test.each<[string, Snapshot, Partial<Constraints>]>([
    ['what is known for sure', sampleSnapshot({ ...idle, device: sure(0.5) }), {}],
    ['what cannot be much better', unsure(1_000, { ...idle, device: sure(0.1) }), {}],
    ['while the link is in use', unsure(70), {}],
    ['where the best is sent anyway', unsure(30, { ...idle, device: sure(3) }), {}],
    ['what may not be sent', unsure(70, idle), { permission: from(3) }],
    ['what may miss the deadline', unsure(70, idle), { deadlineMs: 110 }],
    ['while the user saves data', unsure(70, { ...idle, savesData: true }), {}],
    ['while the gateway sheds load', unsure(70, { ...idle, isHeldBack: true }), {}],
    ['where the device is preferred', unsure(70, idle), { prefer: 'device' }],
    ['where the cut is forced', unsure(70, idle), { force: { k: 3 } }],
  ])('does not try %s', (_, snapshot, changes) => {
    expect(decide(snapshot, constraints({ explorationMs: 1_000, ...changes })).by).not.toBe('explored');
  });

  test('is saved up for with a share of every request, and for at most fifty', () => {
    const decision = decide(sampleSnapshot(), constraints());
    const { bestScore } = decision;
    let explorationMs = 0;
    explorationMs = explorationAfter(explorationMs, decision, 0.02);
    expect(explorationMs).toBeCloseTo(0.02 * (bestScore ?? 0), 9);
    for (let i = 0; i < 200; i++) explorationMs = explorationAfter(explorationMs, decision, 0.02);
    expect(explorationMs).toBeCloseTo(bestScore ?? 0, 9);
    expect(explorationAfter(7, { ...decision, chosen: null, bestScore: null }, 0.02)).toBe(7);
    expect(explorationAfter(0, decision, 0)).toBe(0);
  });
});

describe('an objective', () => {
  const chosenBy = (input: ObjectiveInput, snapshot: Snapshot, changes: Partial<Constraints> = {}) =>
    decide(snapshot, constraints({ objective: parseObjective(input, 'objective'), ...changes })).chosen;

  test('in which bytes count stays on the device, and one in which offloads do', () => {
    const snapshot = sampleSnapshot({ device: sure(3) });
    expect(chosenBy({}, snapshot)?.k).toBe(0);
    expect(chosenBy({ msPerKilobyte: 10 }, snapshot)?.k).toBe(0);
    expect(chosenBy({ msPerKilobyte: 2_000 }, snapshot)?.k).toBe(3);
    expect(chosenBy({ msPerOffload: 500 }, snapshot)?.k).toBe(3);
  });

  test('in which the battery counts lets the gateway work, also where that takes longer', () => {
    const snapshot = sampleSnapshot({ device: sure(0.5) });
    expect(chosenBy({}, snapshot)?.k).toBe(3);
    expect(chosenBy({ msPerJoule: 1_000 }, snapshot)?.k).toBe(0);
  });

  test('in which accuracy counts takes a tier that takes longer and loses less', () => {
    const snapshot = sampleSnapshot({ encodeMs: { '1/q8': 50 } });
    const force = { force: { k: 1 } };
    expect(chosenBy({}, snapshot, force)?.tier).toBe('q4');
    // It loses 25 points, and 50 ms are saved at most.
    expect(chosenBy({ msPerPoint: 1 }, snapshot, force)?.tier).toBe('q4');
    expect(chosenBy({ msPerPoint: 3 }, snapshot, force)?.tier).toBe('q8');
  });

  test('of a quantile prefers the surer of two that are expected to take as long', () => {
    const link = newLink(QUIET_LINK);
    const remoteMs = predict(sampleSnapshot({ link }), { k: 0, tier: 'webp-80' }).totalMs;
    const snapshot = sampleSnapshot({ link, device: sure((remoteMs * 1.02) / 108) });
    expect(chosenBy({}, snapshot)?.k).toBe(0);
    expect(chosenBy({ latency: 0.95 }, snapshot)?.k).toBe(3);
    expect(chosenBy({ latency: 0.5 }, snapshot)?.k).toBe(0);
  });
});

describe('any decision', () => {
  // Doubles of fast-check are near 0 more often than not.
  const ratio = fc.integer({ min: -120, max: 120 }).map((power) => 10 ** (power / 100));
  const exact = fc.nat(100).map((points) => points / 100);
  /** One in so many. */
  const rarely = (times: number) => fc.nat(times - 1).map((draw) => draw === 0);
  const snapshots: fc.Arbitrary<Snapshot> = fc
    .record({
      at: fc.nat(2),
      loaded: fc.nat(5).map((count) => Math.min(3, count)),
      size: fc.integer({ min: 2, max: 16 }).map((steps) => 4 * steps),
      isConnected: rarely(4).map((isLost) => !isLost),
      device: ratio.map((value) => newSpeed(3, value)),
      server: ratio.map((value) => newSpeed(1, value)),
      transfers: fc.array(fc.record({ bytes: fc.nat(60_000), ms: fc.nat(2_000) }), { maxLength: 8 }),
      queue: fc.nat(500).map((ms) => observeQueue(newQueue(), ms, 0)),
      idleMs: fc.nat(20_000),
      isHeldBack: rarely(6),
      savesData: rarely(6),
      savesPower: rarely(6),
      encodeMs: fc.dictionary(fc.constantFrom('0/webp-80', '1/q8', '1/q4', '2/q8'), fc.nat(50)),
      blocked: fc
        .tuple(rarely(3), fc.subarray(['0/webp-80', '1/q8', '1/q4', '2/q8']))
        .map(([isAny, keys]) => Object.fromEntries((isAny ? keys : []).map((key) => [key, 'blocked']))),
      accuracy: fc.array(exact, { minLength: 5, maxLength: 5 }),
      isMeasured: rarely(4).map((isNot) => !isNot),
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
    accuracyDropMax: fc.oneof(exact, fc.constant(1)),
    force: fc
      .tuple(rarely(4), fc.nat(3), fc.constantFrom('q8', 'q4', 'webp-80', undefined))
      .map(([isForced, k, tier]) => (isForced ? { k, tier } : null)),
  });

  const shares = fc.nat(20).map((percent) => percent / 100);
  const weight = fc.tuple(rarely(3), fc.nat(1_000)).map(([counts, value]) => (counts ? value : 0));
  const objectives: fc.Arbitrary<Objective> = fc
    .record(
      {
        latency: fc.oneof(
          fc.constant('mean' as const),
          fc.integer({ min: 50, max: 99 }).map((percent) => percent / 100),
        ),
        ...{ msPerJoule: weight, msPerKilobyte: weight, msPerOffload: weight, msPerPoint: weight },
        deadlineProbability: fc.nat(99).map((percent) => percent / 100),
        hysteresis: fc.nat(50).map((percent) => (50 - percent) / 100),
        exploration: shares,
      },
      { requiredKeys: [] },
    )
    .map((input) => parseObjective(input, 'objective'));
  /** All that may be asked of a request, and all that it may have been before. */
  const askedAll: fc.Arbitrary<Constraints> = fc
    .tuple(
      asked,
      fc.record({
        objective: objectives,
        prefer: fc.constantFrom(undefined, undefined, undefined, undefined, 'device' as const, 'cloud' as const),
        deadlineMs: fc.option(fc.integer({ min: -10, max: 2_000 }), { nil: undefined }),
        previous: fc.option(fc.constantFrom(...CHOICES, { k: 2, tier: 'of another plan' })),
        explorationMs: fc.integer({ min: -10, max: 10_000 }),
      }),
    )
    .map(([some, rest]) => ({ ...some, ...rest }));

  /** Where all that may be done can be: what is picked is up to the rest. */
  const open = snapshots.map((snapshot) => ({
    ...snapshot,
    ...{ at: 0, loaded: 3, isConnected: true, idleMs: 10_000, blocked: {} as Snapshot['blocked'] },
    ...{ savesData: false, savesPower: false, isHeldBack: false },
  }));

  test('never goes against policy, the connection, or what the device has', () => {
    const ways = new Set<string>();
    fc.assert(
      fc.property(fc.oneof(snapshots, open), askedAll, (snapshot, constrained) => {
        const { candidates, chosen, by } = decide(snapshot, constrained);
        ways.add(by);
        for (const { k, tier } of [...candidates, ...(chosen ? [chosen] : [])]) {
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
      { numRuns: 1_000 },
    );
    expect([...ways].sort()).toEqual(['best', 'explored', 'kept', 'likeliest']);
  });

  test('takes one of its candidates, of which the best has the best score', () => {
    fc.assert(
      fc.property(snapshots, askedAll, (snapshot, constrained) => {
        const { candidates, chosen, by, bestScore } = decide(snapshot, constrained);
        expect(bestScore).toBe(candidates[0]?.score ?? null);
        if (!chosen) expect(candidates).toEqual([]);
        else expect(candidates).toContainEqual(chosen);
        if (by !== 'best') expect([constrained.prefer, constrained.force]).toEqual([undefined, null]);
        if (constrained.prefer || constrained.force) expect(chosen).toEqual(candidates[0] ?? null);
        else for (const { score } of candidates) expect(bestScore).toBeLessThanOrEqual(score);
      }),
      { numRuns: 500 },
    );
  });

  test('leaves something to do wherever there is something, whatever is saved', () => {
    fc.assert(
      fc.property(snapshots, askedAll, (snapshot, constrained) => {
        const lavish = { ...snapshot, savesData: false, savesPower: false, isHeldBack: false };
        const { chosen } = decide(snapshot, constrained);
        expect(chosen === null).toBe(decide(lavish, constrained).chosen === null);
      }),
    );
  });

  test('sends nothing where data is saved and the device has all', () => {
    fc.assert(
      fc.property(snapshots, askedAll, (snapshot, constrained) => {
        const saving = { ...snapshot, loaded: 3, savesData: true };
        const { chosen } = decide(saving, { ...constrained, force: null, prefer: undefined });
        expect(chosen?.tier).toBeNull();
      }),
    );
  });

  test('is explored at no more cost than the share of all time that may be spent on it', () => {
    const request = fc.record({
      deviceRatio: ratio,
      roundTripMs: fc.integer({ min: 5, max: 300 }),
      deadlineMs: fc.option(fc.nat(2_000), { nil: undefined }),
    });
    const requests = fc.array(request, { minLength: 10, maxLength: 40 });
    let explored = 0;
    fc.assert(
      fc.property(requests, shares, (all, exploration) => {
        const objective = parseObjective({ exploration }, 'objective');
        let explorationMs = 0;
        let spentMs = 0;
        let bestMs = 0;
        for (const { deviceRatio, roundTripMs, deadlineMs } of all) {
          const snapshot = unsure(roundTripMs, { device: sure(deviceRatio), idleMs: 10_000 });
          const one = constraints({ objective, deadlineMs });
          const decision = decide(snapshot, { ...one, explorationMs });
          if (decision.by === 'explored') {
            explored++;
            spentMs += (decision.chosen?.score ?? 0) - (decide(snapshot, one).chosen?.score ?? 0);
          }
          bestMs += decision.bestScore ?? 0;
          expect(spentMs).toBeLessThanOrEqual(exploration * bestMs + 1e-6);
          explorationMs = explorationAfter(explorationMs, decision, exploration);
        }
      }),
      { numRuns: 50 },
    );
    expect(explored).toBeGreaterThan(0);
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
        const { candidates } = decide({ ...snapshot, loaded: 3, savesPower: false }, { ...constrained, force: null });
        expect(names(candidates)).toContain('3/local');
      }),
    );
  });

  test('is the same when made again, and leaves the snapshot alone', () => {
    fc.assert(
      fc.property(snapshots, askedAll, (snapshot, constrained) => {
        const copies = structuredClone({ snapshot, constrained });
        const decision = decide(snapshot, constrained);
        expect(decide(copies.snapshot, copies.constrained)).toEqual(decision);
        expect({ snapshot, constrained }).toEqual(copies);
      }),
    );
  });
});
