import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { deviceTimeMs, predict, segmentTimeMs } from '../../../shared/schedule/cost.ts';
import { ENCODE_PRIOR_MS, FRAME_OVERHEAD_BYTES } from '../../../shared/schedule/snapshot.ts';
import { newSpeed } from '../../../shared/schedule/speed.ts';
import { sampleSnapshot } from './sample-snapshot.ts';

describe('the time of segments', () => {
  // At size 16 the sample plan's segments take 26, 36 and 46 ms on the device, 9, 10 and 11 ms on the server.
  test('is the sum of what was planned for each, at the size', () => {
    expect(segmentTimeMs(sampleSnapshot(), 'wasm', 0, 3)).toBe(108);
    expect(segmentTimeMs(sampleSnapshot(), 'wasm', 1, 2)).toBe(36);
    expect(segmentTimeMs(sampleSnapshot({ size: 32 }), 'server', 1, 3)).toBe(37);
    expect(segmentTimeMs(sampleSnapshot(), 'server', 2, 2)).toBe(0);
  });

  test('is as much longer as the device is slower', () => {
    expect(deviceTimeMs(sampleSnapshot({ device: newSpeed(2) }), 0, 2)).toBeCloseTo(124, 9);
  });

  test('is 0 where nothing was measured', () => {
    expect(segmentTimeMs(sampleSnapshot(), 'webgpu', 0, 3)).toBe(0);
    const plan = { ...sampleSnapshot().plan, measured: null };
    expect(segmentTimeMs(sampleSnapshot({ plan }), 'wasm', 0, 3)).toBe(0);
  });
});

describe('a prediction', () => {
  test('says what each part of a split takes', () => {
    const snapshot = sampleSnapshot({ queueMs: 7, encodeMs: { '1/q8': 2 }, server: newSpeed(3) });
    const { totalMs, ...parts } = predict(snapshot, { k: 1, tier: 'q8' });
    const expected = { deviceMs: 26, encodeMs: 2, roundTripMs: 50, queueMs: 7, serverMs: 66, bytes: 84 + 256 };
    for (const [part, value] of Object.entries({ ...expected, uplinkMs: 0.34 })) {
      expect([part, parts[part as keyof typeof parts]]).toEqual([part, expect.closeTo(value, 6)]);
    }
    expect(totalMs).toBeCloseTo(151.34, 6);
  });

  test('of staying on the device is its time alone', () => {
    const prediction = predict(sampleSnapshot({ at: 1, queueMs: 1000 }), { k: 3, tier: null });
    expect(prediction).toMatchObject({ totalMs: 82, deviceMs: 82, serverMs: 0, roundTripMs: 0, bytes: 0 });
  });

  test('counts from the boundary that was reached', () => {
    expect(predict(sampleSnapshot({ at: 2 }), { k: 2, tier: 'q8' }).deviceMs).toBe(0);
    expect(predict(sampleSnapshot({ at: 1 }), { k: 2, tier: 'q8' }).deviceMs).toBe(36);
  });

  test('takes the float size where bytes were not measured, and the prior where encoding was not', () => {
    // b of [1, 4, 2, 4] and a of [1, 2, 4, 8].
    const { bytes, encodeMs } = predict(sampleSnapshot(), { k: 2, tier: 'q8' });
    expect(bytes).toBe(4 * (32 + 64) + FRAME_OVERHEAD_BYTES);
    expect(encodeMs).toBe(ENCODE_PRIOR_MS);
  });

  test('adds up', () => {
    const choices = fc.constantFrom(
      { k: 0, tier: 'webp-80' },
      { k: 1, tier: 'q8' },
      { k: 1, tier: 'q4' },
      { k: 2, tier: 'q8' },
      { k: 3, tier: null },
    );
    const ratio = fc.double({ min: 0.01, max: 100, noNaN: true });
    fc.assert(
      fc.property(choices, ratio, ratio, fc.nat(1000), fc.nat(1), (choice, device, server, queueMs, at) => {
        fc.pre(choice.k >= at);
        const snapshot = sampleSnapshot({ at, queueMs, device: newSpeed(device), server: newSpeed(server) });
        const { totalMs, bytes: _, ...parts } = predict(snapshot, choice);
        const sum = Object.values(parts).reduce((a, b) => a + b, 0);
        expect(totalMs).toBeCloseTo(sum, 6);
      }),
    );
  });
});
