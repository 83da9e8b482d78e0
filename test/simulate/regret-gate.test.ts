/**
 * The gate: on a fixed set of networks the scheduler's regret may not rise by more than a margin over what it was when
 * `REGRET` was written down. To lower the bar after an improvement, write down what this test prints.
 */
import { describe, expect, test } from 'vitest';
import { parsePlan } from '../../shared/plan-schema.ts';
import { compareOn } from '../../simulate/compare.ts';
import { DEVICES, parseDevice, parseServer } from '../../simulate/profiles.ts';
import { summarizeCollections } from '../../simulate/summary.ts';
import { fixedRateTrace, syntheticTraces } from '../../simulate/traces/synthetic.ts';
import ocrLine from './ocr-line-plan.json' with { type: 'json' };

/** Mean regret over the best choice of each request, without each network's first 20 requests. */
const REGRET: Readonly<Record<string, number>> = { laptop: 0.017, phone: 0.039, 'old-phone': 0.025 };
const MARGIN = 0.005;

const plan = parsePlan(ocrLine, 'ocr-line-plan.json');
const TRACES = [...syntheticTraces(18, 7), ...[0.13, 1.1, 5.85, 18.88].map((mbps) => fixedRateTrace(mbps))];

function regretsOn(device: string): Record<string, number> {
  const runs = TRACES.flatMap((trace, i) =>
    compareOn(
      {
        ...{ plan, trace: { ...trace, collection: 'gate' }, device: parseDevice(DEVICES[device], device) },
        ...{ server: parseServer({}, 'gate'), arrivals: { type: 'fixed', intervalMs: 1000 }, seed: i },
        ...{ requests: 150, clients: 1, others: 0, deadlineMs: 5000, accuracyDropMax: 0.02, floor: 0 },
      },
      ['tandem', 'neurosurgeon'],
    ),
  );
  return Object.fromEntries(summarizeCollections(runs).map((one) => [one.scheduler, one.settled.regret.mean]));
}

describe('regret to the oracle', () => {
  test.each(Object.keys(REGRET))(
    'has not risen on a %s, and is below that of a scheduler without uncertainty',
    (device) => {
      const { tandem = Number.NaN, neurosurgeon = Number.NaN } = regretsOn(device);
      process.stderr.write(`regret on a ${device}: ${tandem.toFixed(4)}, neurosurgeon ${neurosurgeon.toFixed(4)}\n`);
      expect(tandem).toBeLessThanOrEqual((REGRET[device] as number) + MARGIN);
      expect(tandem).toBeLessThanOrEqual(neurosurgeon + 1e-9);
    },
    60_000,
  );
});
