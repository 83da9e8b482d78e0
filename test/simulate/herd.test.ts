/** Many clients that see the same gateway: whether they all go to it, and all leave it, at once. */
import { describe, expect, test } from 'vitest';
import { parsePlan } from '../../shared/plan-schema.ts';
import { seededRandom } from '../../shared/random.ts';
import { parseDevice, parseServer } from '../../simulate/profiles.ts';
import { scenarioOf } from '../../simulate/scenario.ts';
import { alwaysRemote } from '../../simulate/schedulers/fixed.ts';
import { Tandem } from '../../simulate/schedulers/tandem.ts';
import { timelineOf } from '../../simulate/timeline.ts';
import { fixedRateTrace } from '../../simulate/traces/synthetic.ts';
import { type MakeScheduler, simulate } from '../../simulate/world.ts';
import ocrLine from './ocr-line-plan.json' with { type: 'json' };

const plan = parsePlan(ocrLine, 'ocr-line-plan.json');
/** From second 60 to 120 the gateway has half of its capacity. */
const server = parseServer(
  {
    workers: 2,
    capacity: [
      [0, 1],
      [60, 0.5],
      [120, 1],
    ],
  },
  'herd',
);

interface Crowd {
  /** Of the device, over the plan's times. */
  readonly ratio: number;
  readonly intervalMs: number;
  readonly requests: number;
  readonly deadlineMs: number;
}

const PHONES: Crowd = { ratio: 2, intervalMs: 2000, requests: 100, deadlineMs: 5000 };
/** Of devices that are so slow that the gateway is worth a wait that is longer than its queue. */
const SLOW: Crowd = { ratio: 40, intervalMs: 3000, requests: 70, deadlineMs: 30_000 };

function timeline({ ratio, intervalMs, requests, deadlineMs }: Crowd, make: MakeScheduler) {
  const options = {
    ...{ plan, trace: fixedRateTrace(5), device: parseDevice({ ratio }, 'herd'), server, seed: 3 },
    ...{ arrivals: { type: 'poisson', intervalMs } as const, requests, clients: 200, others: 0 },
    ...{ deadlineMs, accuracyDropMax: 0.02, floor: 0 },
  };
  const result = simulate(scenarioOf(options), make, { asksOracle: false });
  const { seconds } = timelineOf(result);
  const part = (from: number, to: number) => {
    const some = seconds.filter(({ second }) => second >= from && second < to);
    const shares = some.map(({ offloaded, requests: all }) => offloaded / all);
    const changes = shares.slice(1).map((share, i) => Math.abs(share - (shares[i] as number)));
    const all = some.reduce((sum, one) => sum + one.requests, 0);
    const share = (of: 'missed' | 'shed') => some.reduce((sum, one) => sum + one[of], 0) / all;
    return {
      ...{ offloaded: mean(shares), swing: mean(changes), missed: share('missed'), shed: share('shed') },
      inFlightMax: Math.max(...some.map(({ inFlight }) => inFlight)),
    };
  };
  return { before: part(20, 60), dip: part(70, 120), after: part(130, 190), count: result.records.length };
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

const tandem: MakeScheduler = (known, seed) => new Tandem(known, seededRandom(seed));

describe('200 clients on a gateway that loses half its capacity for a minute', () => {
  test('leave as much of it as it lost, without swinging, and miss nothing', () => {
    const { before, dip, after, count } = timeline(PHONES, tandem);
    process.stderr.write(`200 phones: ${JSON.stringify({ before, dip, after })}\n`);
    expect(count).toBe(20_000);
    expect(dip.offloaded).toBeLessThan(before.offloaded);
    expect(after.offloaded).toBeGreaterThan(dip.offloaded);
    for (const { swing, inFlightMax, missed } of [before, dip, after]) {
      expect(swing).toBeLessThan(0.1);
      expect(inFlightMax).toBeLessThan(30);
      expect(missed).toBe(0);
    }
  }, 60_000);

  test('share what it can take where it sheds, without swinging, and come back', () => {
    const { before, dip, after, count } = timeline(SLOW, tandem);
    process.stderr.write(`200 slow devices: ${JSON.stringify({ before, dip, after })}\n`);
    expect(count).toBe(14_000);
    expect(dip.inFlightMax).toBe(server.queueDepthMax + server.workers);
    // With a share that never moves it sheds a fifth.
    expect(dip.shed).toBeGreaterThan(0.005);
    expect(dip.shed).toBeLessThan(0.08);
    for (const { swing, missed } of [before, dip, after]) {
      expect(swing).toBeLessThan(0.1);
      expect(missed).toBeLessThan(0.01);
    }
    for (const { offloaded, shed } of [before, after]) {
      expect(offloaded).toBeGreaterThan(dip.offloaded + 0.2);
      expect(shed).toBe(0);
    }
  }, 60_000);

  test('pile up on it where all of them are sent there', () => {
    expect(timeline(PHONES, alwaysRemote).dip.inFlightMax).toBeGreaterThan(60);
  }, 60_000);
});
