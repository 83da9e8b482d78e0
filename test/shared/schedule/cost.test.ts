import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { finishMs, predict } from '../../../shared/schedule/cost.ts';
import { newLink } from '../../../shared/schedule/link.ts';
import { plannedMs, serverPlannedMs } from '../../../shared/schedule/planned.ts';
import { newQueue, observeQueue } from '../../../shared/schedule/queue.ts';
import { ENCODE_PRIOR_MS, FRAME_OVERHEAD_BYTES } from '../../../shared/schedule/snapshot.ts';
import { newSpeed } from '../../../shared/schedule/speed.ts';
import { certain, QUIET_LINK, ratio, sampleSnapshot } from './sample-snapshot.ts';

const { plan } = sampleSnapshot();

describe('the planned time of segments', () => {
  // At size 16 the sample plan's segments take 26, 36 and 46 ms on the device, 9, 10 and 11 ms on the server.
  test('is that of each that runs, at the size', () => {
    expect(plannedMs(plan, 'wasm', 16, 0, 3)).toEqual([26, 36, 46]);
    expect(plannedMs(plan, 'wasm', 16, 1, 2)).toEqual([0, 36, 0]);
    expect(plannedMs(plan, 'server', 32, 1, 3)).toEqual([0, 18, 19]);
  });

  test('is 0 where nothing was measured', () => {
    expect(plannedMs(plan, 'webgpu', 16, 0, 3)).toEqual([0, 0, 0]);
    expect(plannedMs({ ...plan, measured: null }, 'wasm', 16, 0, 3)).toEqual([0, 0, 0]);
  });

  test('has the decoding in it where the server begins', () => {
    expect(serverPlannedMs(plan, 16, 1, 'q8')).toBe(22);
    expect(serverPlannedMs(plan, 16, 2, 'q8')).toBe(11);
  });
});

describe('a prediction', () => {
  test('says what each part of a split takes', () => {
    const queue = { ...newQueue(), lastMs: 7 };
    const snapshot = sampleSnapshot({ queue, encodeMs: { '1/q8': 2 }, server: ratio(3, 1) });
    const { totalMs, ...parts } = predict(snapshot, { k: 1, tier: 'q8' });
    const expected = { deviceMs: 26, encodeMs: 2, roundTripMs: 50, queueMs: 7, serverMs: 66, bytes: 84 + 256 };
    for (const [part, value] of Object.entries({ ...expected, uplinkMs: 0.34, downlinkMs: 0, wakeMs: 0 })) {
      expect([part, parts[part as keyof typeof parts]]).toEqual([part, expect.closeTo(value, 5)]);
    }
    expect(totalMs).toBeCloseTo(151.34, 5);
  });

  test('of staying on the device is its time alone', () => {
    const queue = { ...newQueue(), lastMs: 1000 };
    const prediction = predict(sampleSnapshot({ at: 1, queue }), { k: 3, tier: null });
    expect(prediction).toMatchObject({ totalMs: 82, deviceMs: 82, serverMs: 0, roundTripMs: 0, queueMs: 0, bytes: 0 });
  });

  test('counts from the boundary that was reached', () => {
    expect(predict(sampleSnapshot({ at: 2 }), { k: 2, tier: 'q8' }).deviceMs).toBe(0);
    expect(predict(sampleSnapshot({ at: 1 }), { k: 2, tier: 'q8' }).deviceMs).toBe(36);
    expect(finishMs(sampleSnapshot({ at: 2 }))).toBe(46);
  });

  test('is as much longer as the device is slower', () => {
    expect(predict(sampleSnapshot({ device: ratio(2) }), { k: 2, tier: 'q8' }).deviceMs).toBeCloseTo(124, 9);
  });

  test('takes the float size where bytes were not measured, and the prior where encoding was not', () => {
    // b of [1, 4, 2, 4] and a of [1, 2, 4, 8].
    const { bytes, encodeMs } = predict(sampleSnapshot(), { k: 2, tier: 'q8' });
    expect(bytes).toBe(4 * (32 + 64) + FRAME_OVERHEAD_BYTES);
    expect(encodeMs).toBe(ENCODE_PRIOR_MS);
  });

  test('has the radio wake up where it has idled, also while the device worked', () => {
    const link = certain(newLink({ ...QUIET_LINK, dozeMs: 100, sleepMs: 900 }));
    const wakeMs = (idleMs: number, at = 0) =>
      predict(sampleSnapshot({ link, idleMs, at }), { k: 2, tier: 'q8' }).wakeMs;
    expect(wakeMs(0, 2)).toBe(0);
    expect(wakeMs(1_000, 2)).toBeCloseTo(100, 9);
    expect(wakeMs(60_000, 2)).toBeCloseTo(1000, 9);
    expect(wakeMs(200, 0)).toBeGreaterThan(wakeMs(200, 2));
  });

  test('is as wide as what it is made of is uncertain', () => {
    const width = (changes: Parameters<typeof sampleSnapshot>[0]) => {
      const { lowMs, highMs, totalMs } = predict(sampleSnapshot(changes), { k: 1, tier: 'q8' });
      expect(lowMs).toBeLessThanOrEqual(totalMs);
      expect(highMs).toBeGreaterThanOrEqual(totalMs * 0.999999);
      return highMs / lowMs;
    };
    const certainly = width({});
    expect(width({ link: newLink(QUIET_LINK) })).toBeGreaterThan(certainly * 1.5);
    expect(width({ device: newSpeed(3) })).toBeGreaterThan(certainly * 1.1);
    const queue = observeQueue(newQueue(), 400, 0);
    expect(width({ queue })).toBeGreaterThan(certainly * 1.1);
  });

  test('grows wider with age', () => {
    const link = newLink(QUIET_LINK);
    const known = { ...link, state: { ...link.state, covariance: link.state.covariance.map(() => 0) } };
    const width = (nowMs: number) => {
      const { lowMs, highMs } = predict(sampleSnapshot({ link: known, nowMs }), { k: 1, tier: 'q8' });
      return highMs / lowMs;
    };
    expect(width(60_000)).toBeGreaterThan(width(1_000) * 1.05);
  });

  test('adds up', () => {
    const choices = fc.constantFrom(
      { k: 0, tier: 'webp-80' },
      { k: 1, tier: 'q8' },
      { k: 1, tier: 'q4' },
      { k: 2, tier: 'q8' },
      { k: 3, tier: null },
    );
    const ratios = fc.double({ min: 0.01, max: 100, noNaN: true });
    fc.assert(
      fc.property(choices, ratios, ratios, fc.nat(1000), fc.nat(1), (choice, device, server, queueMs, at) => {
        fc.pre(choice.k >= at);
        const queue = observeQueue(newQueue(), queueMs, 0);
        const snapshot = sampleSnapshot({
          ...{ at, queue, device: newSpeed(3, device), server: newSpeed(1, server), link: newLink(), idleMs: 4_000 },
        });
        const {
          totalMs,
          lowMs: _low,
          highMs: _high,
          bytes: _bytes,
          joules: _joules,
          ...parts
        } = predict(snapshot, choice);
        const sum = Object.values(parts).reduce((a, b) => a + b, 0);
        expect(totalMs / sum).toBeCloseTo(1, 9);
      }),
    );
  });
});
