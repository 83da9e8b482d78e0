/** Many clients that see the same gateway: whether they all go to it, and all leave it, at once. */
import { describe, expect, test } from 'vitest';
import { parsePlan } from '../../shared/plan.ts';
import { seededRandom } from '../../shared/random.ts';
import { DEVICES, parseDevice, parseServer } from '../../simulate/profiles.ts';
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

function timeline(make: MakeScheduler) {
  const options = {
    ...{ plan, trace: fixedRateTrace(5), device: parseDevice(DEVICES['phone'], 'phone'), server, seed: 3 },
    ...{ arrivals: { type: 'poisson', intervalMs: 2000 } as const, requests: 100, clients: 200, others: 0 },
    ...{ deadlineMs: 5000, accuracyDropMax: 0.02, floor: 0 },
  };
  const result = simulate(scenarioOf(options), make, { asksOracle: false });
  const { seconds } = timelineOf(result);
  const part = (from: number, to: number) => {
    const some = seconds.slice(from, to);
    const shares = some.map(({ offloaded, requests }) => offloaded / requests);
    const mean = shares.reduce((sum, share) => sum + share, 0) / shares.length;
    const changes = shares.slice(1).map((share, i) => Math.abs(share - (shares[i] as number)));
    return {
      ...{ mean, swing: changes.reduce((sum, change) => sum + change, 0) / changes.length },
      inFlightMax: Math.max(...some.map(({ inFlight }) => inFlight)),
      missed: some.reduce((sum, { missed }) => sum + missed, 0),
    };
  };
  return { before: part(20, 60), dip: part(70, 120), after: part(130, 190), count: result.records.length };
}

describe('200 clients on a gateway that loses half its capacity for a minute', () => {
  test('leave as much of it as it lost, without swinging, and miss nothing', () => {
    const { before, dip, after, count } = timeline((known, seed) => new Tandem(known, seededRandom(seed)));
    process.stderr.write(`200 clients: ${JSON.stringify({ before, dip, after })}\n`);
    expect(count).toBe(20_000);
    expect(dip.mean).toBeLessThan(before.mean);
    expect(after.mean).toBeGreaterThan(dip.mean);
    for (const { swing, inFlightMax, missed } of [before, dip, after]) {
      expect(swing).toBeLessThan(0.1);
      expect(inFlightMax).toBeLessThan(30);
      expect(missed).toBe(0);
    }
  }, 60_000);

  test('pile up on it where all of them are sent there', () => {
    expect(timeline((known) => alwaysRemote(known)).dip.inFlightMax).toBeGreaterThan(60);
  }, 60_000);
});
