/** Requests of one client that are under way at the same time. */
import { expect, test } from 'vitest';
import { depthOf } from '../../shared/plan.ts';
import { seededRandom } from '../../shared/random.ts';
import { compareOn, SCHEDULERS } from '../../simulate/compare.ts';
import { LINK_DEFAULTS } from '../../simulate/index.ts';
import { parseDevice, parseServer } from '../../simulate/profiles.ts';
import { type Scenario, scenarioOf, type WorldOptions } from '../../simulate/scenario.ts';
import { alwaysLocal, alwaysRemote } from '../../simulate/schedulers/fixed.ts';
import { Tandem } from '../../simulate/schedulers/tandem.ts';
import { isMissed, isOffloaded, latencyMs } from '../../simulate/summary.ts';
import { fixedRateTrace, syntheticTraces } from '../../simulate/traces/synthetic.ts';
import { type MakeScheduler, simulate } from '../../simulate/world.ts';
import { samplePlan } from '../shared/sample-plan.ts';

/** A device that is faster than the gateway by itself, and takes longer for a request than it is to the next. */
function busy(changes: Partial<WorldOptions> = {}): WorldOptions {
  return {
    ...{
      plan: samplePlan(),
      trace: fixedRateTrace(5, { ...LINK_DEFAULTS, roundTripMs: 150 }),
      device: parseDevice({ ratio: 0.5, noise: 0 }, 'test'),
    },
    server: parseServer({ workers: 4, noise: 0 }, 'test'),
    arrivals: { type: 'poisson', intervalMs: 20 },
    ...{ seed: 1, requests: 120, clients: 1, others: 0, deadlineMs: 2000, accuracyDropMax: 0.02, floor: 0 },
    overlaps: true,
    ...changes,
  };
}

const ours: MakeScheduler = (known, seed) => new Tandem(known, seededRandom(seed));

function meanMs(scenario: Scenario, make: MakeScheduler): number {
  const { records } = simulate(scenario, make, { asksOracle: false });
  return records.reduce((sum, record) => sum + latencyMs(record), 0) / records.length;
}

test('requests that overlap begin as they arrive, end by their deadlines, and do so again from the same seed', () => {
  for (const trace of syntheticTraces(6, 3)) {
    const options = busy({ trace, clients: 2, requests: 40, arrivals: { type: 'poisson', intervalMs: 100 } });
    for (const { scheduler, result } of compareOn(options)) {
      expect(result.records).toHaveLength(80);
      for (const { arrivedMs, startMs, endMs } of result.records) {
        expect(startMs).toBe(arrivedMs);
        expect(endMs - arrivedMs, scheduler).toBeLessThanOrEqual(options.deadlineMs + 1e-6);
      }
    }
    const again = compareOn(options, SCHEDULERS);
    expect(again.map(({ result }) => result.records)).toEqual(compareOn(options).map(({ result }) => result.records));
  }
});

test('what is sent overlaps on its way, where one after the other each waits for the answer before it', () => {
  const [overlapping, inTurn] = [true, false].map((overlaps) => meanMs(scenarioOf(busy({ overlaps })), alwaysRemote));
  expect(overlapping).toBeLessThan((inTurn as number) / 2);
});

test('the device runs one thing at a time: of what it does alone overlapping takes as long', () => {
  const slow = { arrivals: { type: 'fixed', intervalMs: 400 } } as const;
  const [overlapping, inTurn] = [true, false].map((overlaps) =>
    simulate(scenarioOf(busy({ ...slow, overlaps })), alwaysLocal).records.map(latencyMs),
  );
  expect(overlapping).toEqual(inTurn);
});

test('ours shares out what device and gateway can do: it misses nothing where the device alone misses most', () => {
  const scenario = scenarioOf(busy());
  const { records } = simulate(scenario, ours, { asksOracle: false });
  const offloaded = records.filter(isOffloaded).length / records.length;
  expect(records.filter(isMissed)).toEqual([]);
  expect([offloaded > 0.3, offloaded < 0.9]).toEqual([true, true]);
  expect(simulate(scenario, alwaysLocal).records.filter(isMissed).length).toBeGreaterThan(60);
  // Who comes later runs segments between one's own, which nobody can foresee.
  expect(meanMs(scenario, ours)).toBeLessThan(1.3 * meanMs(scenario, alwaysRemote));
});

test('a pause that the server asks for is kept by every request of the client', () => {
  const server = parseServer({ workers: 1, queueDepthMax: 2, ratio: 4, noise: 0 }, 'test');
  const early: number[] = [];
  let pauses = 0;
  const make: MakeScheduler = ({ plan }) => {
    let pausedUntilMs = 0;
    return {
      name: 'test',
      decide({ isReachable, nowMs }) {
        if (isReachable && nowMs < pausedUntilMs) early.push(pausedUntilMs - nowMs);
        return isReachable ? { k: 0, tier: 'webp-80' } : { k: depthOf(plan), tier: null };
      },
      onShed(_index, retryAfterMs, nowMs) {
        pauses++;
        pausedUntilMs = nowMs + retryAfterMs;
      },
    };
  };
  simulate(scenarioOf(busy({ server })), make, { asksOracle: false });
  expect(pauses).toBeGreaterThan(5);
  expect(early).toEqual([]);
});
