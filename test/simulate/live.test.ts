import { expect, test } from 'vitest';
import type { Answer } from '../../bench/live/messages.ts';
import { profilesOf } from '../../bench/live/profile.ts';
import { misplaced, type Row } from '../../bench/live/ranking.ts';
import { stepsOf } from '../../bench/live/run.ts';
import { Capacity } from '../../simulate/capacity.ts';
import { samplePlan } from '../shared/sample-plan.ts';

function row(name: string, liveMs: number, simulatedMs: number): Row {
  return { name, liveMs, simulatedMs, offloaded: 0, simulatedOffloaded: 0, late: 0, simulatedLate: 0 };
}

test('policies are misplaced where live and simulated put them in another order, and not where they are as good as equal', () => {
  expect(misplaced([row('a', 100, 110), row('b', 120, 125), row('c', 200, 300)])).toEqual([]);
  expect(misplaced([row('a', 100, 130), row('b', 120, 125), row('c', 200, 300)])).toEqual([['a', 'b']]);
  expect(misplaced([row('a', 100, 126), row('b', 120, 125)])).toEqual([]);
  expect(misplaced([row('a', 300, 100), row('b', 200, 200), row('c', 100, 300)])).toHaveLength(3);
});

test('the shaper gets a step wherever the trace changes, round after round, and no trace that stands still', () => {
  const pieces = [
    { atMs: 0, rate: 10 },
    { atMs: 200, rate: 30 },
  ];
  const up = new Capacity(pieces, 500);
  const down = Capacity.constant(100);
  expect(stepsOf({ name: 'test', up, down }, 1000)).toEqual([
    { atMs: 0, upBytesPerS: 10_000, downBytesPerS: 100_000 },
    { atMs: 200, upBytesPerS: 30_000, downBytesPerS: 100_000 },
    { atMs: 500, upBytesPerS: 10_000, downBytesPerS: 100_000 },
    { atMs: 700, upBytesPerS: 30_000, downBytesPerS: 100_000 },
  ]);
  const still = new Capacity([...pieces, { atMs: 300, rate: 0 }], 500);
  expect(() => stepsOf({ name: 'test', up: still, down }, 1000)).toThrow('test carries nothing at 300 ms');
});

test('profiles are what made the times that were measured', () => {
  const plan = samplePlan();
  const deviceMs = (k: number, size: number) =>
    3 * [10, 20, 30].slice(0, k).reduce((sum, fixed) => sum + fixed + size, 0);
  const answers = [8, 16, 32, 64].flatMap((size) =>
    [3, 0, 1].map((k): Answer => {
      const decodeMs = k < 3 ? 1 : 0;
      const computeMs = [1, 2, 3].slice(k).reduce((sum, fixed) => sum + fixed + size / 2, 0);
      const totalMs = 2 * (decodeMs + computeMs) + 7;
      const server = { queueMs: 0, decodeMs, computeMs, encodeMs: 0, totalMs };
      const device = deviceMs(k, size);
      const sent = k < 3 ? 6 + 52 + totalMs : 0;
      return {
        ...{ type: 'answer', k, size, tier: k === 3 ? null : k === 0 ? 'webp-80' : 'q8', fallback: null },
        ...{ bytesUp: 0, bytesDown: 0, ms: device + sent + 4 },
        timing: {
          ...{ totalMs: 0, preprocessMs: 1, deviceMs: device, encodeMs: k < 3 ? 6 : 0, networkMs: k < 3 ? 52 : 0 },
          server: k < 3 ? server : null,
        },
      };
    }),
  );
  const { device, server, roundTripMs } = profilesOf(plan, answers);
  expect(device.speed.rateAt(0)).toBeCloseTo(1 / 3);
  expect(device.noise).toBeCloseTo(0);
  expect(device.overheadMs * 3).toBeCloseTo(4);
  expect(device.encodePerDecode * 3).toBeCloseTo(6);
  expect(server.speed.rateAt(0)).toBeCloseTo(1 / 2);
  expect(server.overheadMs * 2).toBeCloseTo(7);
  expect(server.noise).toBeCloseTo(0);
  expect(roundTripMs).toBeCloseTo(52);
});
