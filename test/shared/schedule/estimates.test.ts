import { describe, expect, test } from 'vitest';
import { depthOf } from '../../../shared/plan.ts';
import { permissionFrom } from '../../../shared/policy/permission.ts';
import { type Candidate, type Decision, decide } from '../../../shared/schedule/decide.ts';
import { Estimates } from '../../../shared/schedule/estimates.ts';
import { LINK_PRIOR, linkFigures } from '../../../shared/schedule/link.ts';
import type { LogSumState } from '../../../shared/schedule/log-sum.ts';
import { SHARE_ALL } from '../../../shared/schedule/share.ts';
import { speedRatio } from '../../../shared/schedule/speed.ts';
import { chainPlan, samplePlan } from '../sample-plan.ts';
import { sampleSnapshot } from './sample-snapshot.ts';

const plan = samplePlan();
const SIZE = 16;
/** What the whole sample plan takes on the device at this size, as planned. */
const PLANNED_MS = 108;

/** Of a filter's first part. */
const variance = ({ state }: { readonly state: LogSumState }) => state.covariance[0] as number;

/** Requests that ran on the device, one a second, this much slower than planned. */
function slowed(ratio: number, count = 12, estimates = new Estimates()): Estimates {
  for (let i = 1; i <= count; i++) {
    estimates.observeDevice(plan, 'wasm', SIZE, 0, 3, ratio * PLANNED_MS, i * 1_000);
  }
  return estimates;
}

function decisionOf(by: Decision['by'], score: number, bestScore: number): Decision {
  const chosen = { k: 1, tier: 'q8', score } as Candidate;
  return { at: 0, candidates: [], removed: [], chosen, by, bestScore } as unknown as Decision;
}

describe('estimates', () => {
  test('learn of each part what was seen of it, and of no other', () => {
    const estimates = slowed(3);
    const { device, server, link } = estimates.current;
    expect(Math.abs(speedRatio(device) / 3 - 1)).toBeLessThan(0.1);
    expect(speedRatio(server)).toBe(1);
    expect(linkFigures(link).roundTripMs).toBeCloseTo(LINK_PRIOR.roundTripMs, 9);
    for (let i = 0; i < 12; i++) estimates.observeServer(plan, SIZE, 1, 'q8', 0.5 * 22, 13_000 + i * 100);
    expect(Math.abs(speedRatio(estimates.current.server) / 0.5 - 1)).toBeLessThan(0.1);
    expect(estimates.current.device).toBe(device);
  });

  test('take one ratio over to a plan of another depth', () => {
    const other = chainPlan([['a'], ['b'], ['c'], ['d'], ['e'], ['f']]);
    const { device } = slowed(3).partsFor({ ...other, segments: [...plan.segments, ...plan.segments] }, 20_000);
    expect(device.model.prior).toHaveLength(depthOf(plan) * 2);
    expect(Math.abs(speedRatio(device) / 3 - 1)).toBeLessThan(0.1);
  });

  test('know how long nothing was sent, and have the radio wake up for it', () => {
    const estimates = new Estimates(undefined, 1_000);
    expect(estimates.partsFor(plan, 4_000).idleMs).toBe(3_000);
    estimates.observeTransfer({ bytesUp: 100, bytesDown: 100 }, 80, 5_000, 5_080);
    expect(estimates.partsFor(plan, 5_100).idleMs).toBe(20);
    expect(estimates.partsFor(plan, 0).idleMs).toBe(0);
    const again = (idleMs: number) => {
      const own = new Estimates();
      for (let i = 0, nowMs = 0; i < 20; i++, nowMs += idleMs + 300) {
        own.observeTransfer({ bytesUp: 100, bytesDown: 100 }, 300, nowMs + idleMs, nowMs + idleMs + 300);
      }
      return linkFigures(own.current.link).sleepMs;
    };
    expect(again(20_000)).toBeGreaterThan(again(0) * 1.2);
  });

  test('of encoding are a running mean, by tier', () => {
    const estimates = new Estimates();
    estimates.observeEncode(1, 'q8', 10);
    estimates.observeEncode(1, 'q8', 20);
    estimates.observeEncode(2, 'q8', 4);
    expect(estimates.current.encodeMs).toEqual({ '1/q8': 13, '2/q8': 4 });
  });

  test('of encoding recover from a page that stood still meanwhile, first time or later', () => {
    for (const before of [[], [5, 5, 5]]) {
      const estimates = new Estimates();
      slowed(4, 12, estimates);
      const remote = () => {
        const snapshot = sampleSnapshot({ plan, ...estimates.partsFor(plan, 20_000), idleMs: 0 });
        return decide(snapshot, { permission: permissionFrom(plan, 0, ''), accuracyDropMax: 1, force: null }).chosen?.k;
      };
      for (const ms of before) estimates.observeEncode(0, 'webp-80', ms);
      expect(remote()).toBe(0);
      estimates.observeEncode(0, 'webp-80', 600_000);
      expect(remote()).toBe(0);
    }
  });

  test('of encoding follow a device that has become slow', () => {
    const estimates = new Estimates();
    for (let i = 0; i < 20; i++) estimates.observeEncode(1, 'q8', 1);
    for (let i = 0; i < 20; i++) estimates.observeEncode(1, 'q8', 2_000);
    expect(estimates.current.encodeMs['1/q8']).toBeGreaterThan(1_900);
  });

  test('of the gateway are its last word, or how long it has not said any', () => {
    const estimates = new Estimates();
    estimates.observeQueue(30, 100);
    estimates.observeOverdue(500, 200);
    expect(estimates.current.queue).toMatchObject({ lastMs: 30, overdueMs: 500 });
    estimates.observeQueue(10, 300);
    expect(estimates.current.queue).toMatchObject({ lastMs: 10, overdueMs: 0 });
  });

  test('halve the share that goes to a gateway that sheds, and raise it by each answer, up to all', () => {
    const estimates = new Estimates();
    estimates.shed(0);
    estimates.shed(0);
    expect(estimates.current.share).toBe(0.25);
    estimates.answered(0);
    expect(estimates.current.share).toBeCloseTo(0.29, 9);
    for (let i = 0; i < 40; i++) estimates.answered(0);
    expect(estimates.current.share).toBe(SHARE_ALL);
    for (let i = 0; i < 40; i++) estimates.shed(0);
    expect(estimates.current.share).toBeGreaterThan(0);
  });

  test('keep to what was chosen, and not to what was explored', () => {
    const estimates = new Estimates();
    estimates.decided(decisionOf('best', 100, 100), 0.02);
    expect(estimates.current).toMatchObject({ previous: { k: 1, tier: 'q8' }, explorationMs: 2 });
    const explored = decisionOf('explored', 101.5, 100);
    estimates.decided({ ...explored, chosen: { ...explored.chosen, k: 2 } as Candidate }, 0.02);
    expect(estimates.current.previous).toEqual({ k: 1, tier: 'q8' });
    expect(estimates.current.explorationMs).toBeCloseTo(2.5, 9);
  });

  test('are doubted on another network: the link alone, and no more than before anything was seen', () => {
    const estimates = slowed(1);
    for (let i = 1; i <= 12; i++)
      estimates.observeTransfer({ bytesUp: 100, bytesDown: 100 }, 50, i * 100, i * 100 + 50);
    const { device, link } = estimates.current;
    for (let i = 0; i < 9; i++) estimates.networkChanged();
    expect(variance(estimates.current.link)).toBeGreaterThan(2 * variance(link));
    expect(variance(estimates.current.link)).toBeLessThanOrEqual(variance(new Estimates().current.link) * 1.000001);
    expect(estimates.current.link.state.mean).toEqual(link.state.mean);
    expect(estimates.current.device).toBe(device);
    estimates.resumed();
    expect(variance(estimates.current.device)).toBeGreaterThan(2 * variance(device));
  });
});

describe('estimates that go on from an earlier visit', () => {
  const kept = () => {
    const estimates = slowed(3);
    for (let i = 1; i <= 12; i++) estimates.observeServer(plan, SIZE, 1, 'q8', 44, i * 1_000);
    for (let i = 1; i <= 12; i++)
      estimates.observeTransfer({ bytesUp: 100, bytesDown: 100 }, 150, i * 1_000, i * 1_000);
    const { device, server, link, ...rest } = estimates.current;
    const timed = <T extends { readonly state: LogSumState }>(estimate: T, atMs: number) => ({
      ...estimate,
      state: { ...estimate.state, atMs },
    });
    return { ...rest, device: timed(device, -5_000), server: timed(server, 0), link: timed(link, 0) };
  };

  test('know what was known then, as old as it is', () => {
    const estimates = new Estimates(undefined, 70);
    estimates.restore(kept(), 60_000, 100);
    const { device, server, link, transferAtMs } = estimates.current;
    expect(speedRatio(device)).toBe(speedRatio(kept().device));
    expect([device, server, link].map(({ state }) => state.atMs)).toEqual([-64_900, -59_900, -59_900]);
    expect(transferAtMs).toBe(-59_900);
    expect(estimates.current.queue.lastMs).toBe(0);
  });

  test('keep what this visit has learnt already', () => {
    const estimates = new Estimates();
    estimates.observeTransfer({ bytesUp: 100, bytesDown: 100 }, 20, 10, 30);
    estimates.observeQueue(9, 30);
    const { link, queue, transferAtMs } = estimates.current;
    estimates.restore(kept(), 60_000, 100);
    expect(estimates.current.link).toBe(link);
    expect(estimates.current).toMatchObject({ queue, transferAtMs });
    expect(speedRatio(estimates.current.server)).toBe(speedRatio(kept().server));
  });

  test('forget within minutes that the gateway shed load', () => {
    const shareAfter = (ageMs: number) => {
      const estimates = new Estimates();
      estimates.restore({ ...kept(), share: 0.25 }, ageMs, 0);
      return estimates.shareAt(0);
    };
    expect([0, 45_000, 180_000, 1e12].map(shareAfter)).toEqual([0.25, 0.5, 1, 1]);
  });

  test('learn on from there', () => {
    const estimates = new Estimates();
    estimates.restore(kept(), 60_000, 0);
    expect(Math.abs(speedRatio(slowed(0.5, 20, estimates).current.device) / 0.5 - 1)).toBeLessThan(0.1);
  });
});
