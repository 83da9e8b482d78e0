import { describe, expect, test } from 'vitest';
import { seededRandom } from '../../shared/random.ts';
import { compareOn, SCHEDULERS } from '../../simulate/compare.ts';
import { DEVICES, parseDevice, parseServer } from '../../simulate/profiles.ts';
import { scenarioOf, type WorldOptions } from '../../simulate/scenario.ts';
import { alwaysLocal, alwaysRemote, fixed } from '../../simulate/schedulers/fixed.ts';
import { Neurosurgeon } from '../../simulate/schedulers/neurosurgeon.ts';
import { oracle } from '../../simulate/schedulers/oracle.ts';
import type { Scheduler } from '../../simulate/schedulers/scheduler.ts';
import { Tandem } from '../../simulate/schedulers/tandem.ts';
import { isMissed, isOffloaded, latencyMs, summarize, summarizeCollections, WARM_UP } from '../../simulate/summary.ts';
import { timelineOf } from '../../simulate/timeline.ts';
import { fixedRateTrace, syntheticTraces } from '../../simulate/traces/synthetic.ts';
import { stepWakeUp, type Trace } from '../../simulate/traces/trace.ts';
import { simulate } from '../../simulate/world.ts';
import { samplePlan } from '../shared/sample-plan.ts';

function world(changes: Partial<WorldOptions> = {}): WorldOptions {
  return {
    plan: samplePlan(),
    trace: fixedRateTrace(5),
    device: parseDevice({}, 'test'),
    server: parseServer({}, 'test'),
    arrivals: { type: 'fixed', intervalMs: 500 },
    seed: 1,
    requests: 60,
    clients: 1,
    others: 0,
    deadlineMs: 1000,
    accuracyDropMax: 0.02,
    floor: 0,
    ...changes,
  };
}

/** A radio that sleeps after a second, behind a distance that varies. */
const sleepy: Trace = {
  ...fixedRateTrace(5),
  name: 'sleepy',
  wakeUp: stepWakeUp(1000, 300),
  roundTrip: { samplesMs: [30, 200, 60], everyMs: 700, spread: 0.3 },
};
const ARRIVALS: readonly WorldOptions['arrivals'][] = [
  { type: 'fixed', intervalMs: 300 },
  { type: 'poisson', intervalMs: 1200 },
  { type: 'closed', thinkMs: 50 },
];
/** The shortest is too short for many requests, whatever is chosen. */
const DEADLINES_MS = [1000, 5000, 160, 1000];
const PROFILES = Object.values(DEVICES);

/** Networks of every kind, devices that slow down and stop, and a server that loses capacity. */
const WORLDS = [...syntheticTraces(12, 5), sleepy, sleepy].map((trace, i) =>
  world({
    trace,
    seed: i,
    floor: i % 3,
    device: parseDevice({ ...(PROFILES[i % PROFILES.length] as object), overheadMs: i % 4 }, 'test'),
    server: parseServer(
      {
        workers: 1,
        overheadMs: i % 3,
        capacity:
          i % 2 === 0
            ? []
            : [
                [0, 1],
                [5, 0.2],
                [15, 1],
              ],
      },
      'test',
    ),
    arrivals: ARRIVALS[i % ARRIVALS.length] as WorldOptions['arrivals'],
    deadlineMs: DEADLINES_MS[i % DEADLINES_MS.length] as number,
  }),
);

describe('a simulated world', () => {
  test('is the same from the same seed, and another from another', () => {
    const run = (seed: number) => compareOn(world({ seed, requests: 30 })).map(({ result }) => result.records);
    expect(run(3)).toEqual(run(3));
    expect(run(3)).not.toEqual(run(4));
  });

  test('lets no scheduler do better than the oracle from the same state', () => {
    for (const options of WORLDS) {
      for (const { scheduler, result } of compareOn(options)) {
        expect(result.records).toHaveLength(options.requests);
        for (const { startMs, endMs, best, index, answered } of result.records) {
          if (best === null) expect(answered).toBeNull();
          const lead = (best?.ms ?? 0) - (endMs - startMs);
          expect(lead, `${options.trace.name}, ${scheduler}, request ${index}`).toBeLessThanOrEqual(1e-6);
        }
      }
    }
  });

  test('gives the oracle exactly what it foresaw', () => {
    const ends = new Set<boolean>();
    for (const options of WORLDS) {
      const { records } = simulate(scenarioOf(options), oracle);
      for (const { startMs, endMs, best } of records) expect(endMs - startMs).toBeCloseTo(best?.ms ?? 0, 6);
      if (options.deadlineMs < 1000) for (const record of records) ends.add(isMissed(record));
    }
    // An answer, or the deadline without one.
    expect(ends).toEqual(new Set([true, false]));
  });

  test('ends every request of every client of a server that sheds most of them, by its deadline', () => {
    const crowded = world({
      clients: 30,
      requests: 15,
      others: 5,
      server: parseServer({ workers: 1, queueDepthMax: 2 }, 'test'),
    });
    for (const { scheduler, result } of compareOn(
      crowded,
      SCHEDULERS.filter((name) => name !== 'best-fixed'),
    )) {
      const over = new Set(result.records.map(({ client, index }) => `${client}/${index}`));
      expect(over.size, scheduler).toBe(30 * 15);
      expect(Math.max(...result.records.map(latencyMs)), scheduler).toBeLessThanOrEqual(1000 + 1e-6);
      if (scheduler === 'remote') expect(result.records.filter(({ isShed }) => isShed).length).toBeGreaterThan(50);
    }
  });

  test('ends what a dead link does not answer at its deadline, as missed, unless the device finishes it before', () => {
    const dead = world({ trace: fixedRateTrace(0.001), arrivals: { type: 'closed', thinkMs: 100 }, requests: 30 });
    const { records } = simulate(scenarioOf(dead), alwaysRemote);
    for (const record of records) {
      expect(record).toMatchObject({ answered: null, isLate: false, sent: 1 });
      expect(record.endMs - record.startMs).toBeCloseTo(1000, 6);
    }
    const ours = simulate(scenarioOf(dead), (known) => new Tandem(known, seededRandom(1))).records;
    expect(ours.filter(isMissed)).toHaveLength(0);
    expect(ours[0]).toMatchObject({ isLate: true, answered: { k: 3, tier: null } });
    const [line] = summarize(compareOn(dead, ['remote']));
    expect(line?.settled.missed).toBe(1);
  });

  test('counts a deadline from the arrival: what waits for its turn has less time left, or none', () => {
    const slowdown = [0, 5, 8].map((second, i) => [second, i === 1 ? 0 : 1]);
    const device = parseDevice({ slowdown, periodS: 60, noise: 0 }, 'test');
    // All come just before the device stands still for three seconds, or while it does; a client is connected at 1000.
    const arrivals = { type: 'listed', atMs: [3950, 4000, 4000, 9000] } as const;
    const { records } = simulate(scenarioOf(world({ device, arrivals, requests: 4 })), alwaysLocal);
    expect(records).toMatchObject([
      { arrivedMs: 4950, startMs: 4950, endMs: 5950, answered: null },
      { arrivedMs: 5000, startMs: 5950, endMs: 6000, answered: null, best: { ms: 50 } },
      { arrivedMs: 5000, startMs: 6000, endMs: 6000, answered: null, best: null },
      { arrivedMs: 10_000, startMs: 10_000, answered: { k: 3 } },
    ]);
  });

  test("has no fixed cut do better than the oracle's own run, where the best of each request lets the radio fall asleep", () => {
    // After three seconds it mostly still is awake. Where it is not the device is a little faster, and after six it always is.
    const dozing = Array.from({ length: 30 }, (_, i) => ({ idleMs: 2000 + 60 * i, extraMs: i % 3 === 0 ? 150 : 0 }));
    const asleep = Array.from({ length: 30 }, (_, i) => ({ idleMs: 5000 + 60 * i, extraMs: 800 }));
    const awake = Array.from({ length: 9 }, (_, i) => ({ idleMs: i, extraMs: 0 }));
    const plan = samplePlan();
    const boundaries = plan.boundaries.map((one, k) => (k === 0 ? one : { ...one, tiers: [] }));
    const trap = world({
      plan: { ...plan, boundaries },
      trace: { ...fixedRateTrace(50), wakeUp: { samples: [...awake, ...dozing, ...asleep] } },
      arrivals: { type: 'fixed', intervalMs: 3000 },
      requests: 100,
    });
    const greedy = simulate(scenarioOf(trap), oracle).records;
    const fixedRun = simulate(scenarioOf(trap), alwaysRemote).records;
    const sum = (records: typeof greedy) => records.slice(WARM_UP).reduce((all, one) => all + latencyMs(one), 0);
    expect(sum(fixedRun)).toBeLessThan(0.95 * sum(greedy));
    const lines = summarize(compareOn(trap));
    for (const { scheduler, toOracle } of lines) expect(toOracle.mean, scheduler).toBeGreaterThanOrEqual(0);
    expect(lines.at(-1)).toMatchObject({ scheduler: 'oracle', detail: expect.stringMatching(/^k=0/) });
  });

  test('keeps the device busy with the segment that it was at when a reply came first', () => {
    // Every other request is sent and finished on the device at once; what the next can do is foreseen all the same.
    const hasty: Scheduler = {
      name: 'hasty',
      decide: (situation) => (situation.index % 2 === 0 ? { k: 0, tier: 'webp-80' } : situation.foresee().choice),
      lateAfterMs: ({ index }) => (index % 2 === 0 ? 0 : Number.POSITIVE_INFINITY),
    };
    const slow = world({ device: parseDevice({ ratio: 6 }, 'test'), arrivals: { type: 'closed', thinkMs: 0 } });
    const { records } = simulate(scenarioOf(slow), () => hasty);
    const [alone, after] = [0, 1].map((parity) => records.filter(({ index }) => index % 2 === parity));
    expect(alone?.filter(isOffloaded).length).toBeGreaterThan(20);
    for (const { startMs, endMs, best } of after ?? []) expect(endMs - startMs).toBeCloseTo(best?.ms as number, 6);
    // Encoding waits for the rest of the segment.
    const meanOf = (some: typeof records) => some.reduce((sum, one) => sum + one.endMs - one.startMs, 0) / some.length;
    expect(meanOf(after ?? [])).toBeGreaterThan(meanOf(alone ?? []) + 20);
  });

  test('adds up what a request takes', () => {
    const plain = world({
      requests: 1,
      trace: { ...fixedRateTrace(8), roundTrip: { samplesMs: [100], everyMs: 1000, spread: 0 } },
      device: parseDevice({ ratio: 2, noise: 0, overheadMs: 3 }, 'test'),
      server: parseServer({ noise: 0, ratio: 4, overheadMs: 5 }, 'test'),
    });
    const [record] = simulate(scenarioOf(plain), () => fixed({ k: 1, tier: 'q8' })).records;
    const { startMs = 0, endMs = 0, size = 0, bytesUp = 0, bytesDown = 0 } = record ?? {};
    const deviceMs = 2 * (3 + 10 + size + 1);
    const serverMs = 4 * (5 + 1 + 2 + 3 + 2 * 0.5 * size);
    // 8 Mbit/s up are a byte a microsecond; the downlink is 2.5 times as fast.
    expect(endMs - startMs).toBeCloseTo(deviceMs + bytesUp / 1000 + 100 + serverMs + bytesDown / 2500, 6);
  });

  test('times each segment once before the first request, as clients do', () => {
    const seen: number[][] = [];
    const timed: Scheduler = {
      ...fixed({ k: 3, tier: null }),
      onDevice: (size, from, to, ms) => seen.push([size, from, to, ms]),
    };
    simulate(scenarioOf(world({ requests: 1, device: parseDevice({ ratio: 2, noise: 0 }, 'test') })), () => timed);
    expect(seen.slice(0, 3)).toEqual([
      [8, 0, 1, 36],
      [8, 1, 2, 56],
      [8, 2, 3, 76],
    ]);
    expect(seen).toHaveLength(6);
  });

  test('follows a ping that comes back after the link had idled with a second one, whoever schedules', () => {
    const pings: { ms: number; nowMs: number }[] = [];
    const local: Scheduler = {
      ...fixed({ k: 3, tier: null }),
      onPing: (_bytes, ms, nowMs) => pings.push({ ms, nowMs }),
    };
    const trace = { ...sleepy, roundTrip: { samplesMs: [40], everyMs: 1000, spread: 0 } };
    simulate(scenarioOf(world({ trace, requests: 100 })), () => local);
    // The first is of a radio that is awake, then each pair wakes it up once.
    const times = pings.map(({ ms }) => Math.round(ms));
    expect(times.slice(0, 5)).toEqual([40, 340, 40, 340, 40]);
    const [, woken = 0, awake = 0, next = 0] = pings.map(({ nowMs }) => nowMs);
    expect(awake - woken).toBeLessThan(300);
    expect(next - awake).toBeGreaterThan(15_000);
  });

  test('lets the last bandwidth that Neurosurgeon measures be that of a radio that is awake', () => {
    // Sending the input is best, but not by far: who takes the time to wake up for a want of bandwidth never sends.
    const trace = {
      ...fixedRateTrace(20),
      roundTrip: { samplesMs: [1], everyMs: 1000, spread: 0 },
      wakeUp: stepWakeUp(5000, 2000),
    };
    const arrivals = { type: 'listed', atMs: Array.from({ length: 60 }, (_, i) => 34_500 + 1000 * i) } as const;
    const options = world({ trace, arrivals, device: parseDevice({ ratio: 0.6 }, 'test') });
    const { records } = simulate(scenarioOf(options), (known) => new Neurosurgeon(known));
    expect(records.filter((record) => !isOffloaded(record))).toHaveLength(0);
  });

  test('lets the real scheduler be forced to one boundary, as requests of the real client can be', () => {
    for (const k of [0, 1, 3]) {
      const { records } = simulate(
        scenarioOf(world()),
        (known) => new Tandem(known, seededRandom(1), { force: { k } }),
      );
      expect(new Set(records.filter(({ isLate }) => !isLate).map(({ answered }) => answered?.k))).toEqual(new Set([k]));
      expect(records.filter(({ isLate }) => isLate).length).toBeLessThan(10);
    }
  });

  test('makes a client wait for its own earlier request, and counts that as latency', () => {
    const slow = world({ trace: fixedRateTrace(0.01), deadlineMs: 60_000, requests: 4 });
    const { records } = simulate(scenarioOf(slow), alwaysRemote);
    for (const [i, record] of records.entries()) {
      expect(record.startMs).toBeGreaterThanOrEqual(records[i - 1]?.endMs ?? 0);
      if (i > 0) expect(latencyMs(record)).toBeGreaterThan(record.endMs - record.startMs);
    }
  });
});

describe('summaries', () => {
  const runs = compareOn(world());

  test('have a line for each scheduler, and no regret of the oracle', () => {
    const lines = summarize(runs);
    expect(lines.map(({ scheduler }) => scheduler)).toEqual(SCHEDULERS);
    const of = (name: string) => lines.find(({ scheduler }) => scheduler === name);
    expect(of('oracle')?.all.regret.p99).toBeCloseTo(0, 9);
    expect(of('oracle')?.toOracle).toEqual({ mean: 0, p50: 0 });
    expect(of('best-fixed')?.detail).not.toBeNull();
    const settledMs = (name: string) => of(name)?.settled.latencyMs.mean as number;
    expect(settledMs('best-fixed')).toBeLessThanOrEqual(settledMs('local'));
    expect(settledMs('best-fixed')).toBeLessThanOrEqual(settledMs('remote'));
    expect(of('tandem')?.settled.requests).toBe(40);
    expect(of('tandem')?.toOracle.mean).toBeCloseTo(settledMs('tandem') / settledMs('oracle') - 1, 9);
  });

  test('compare with the oracle of the same network and setting, whatever the names', () => {
    const asked = ['remote', 'oracle'];
    const alone = compareOn(world(), asked);
    const crowded = compareOn(world({ others: 25 }), asked);
    const elsewhere = compareOn(world({ trace: { ...fixedRateTrace(0.2), name: fixedRateTrace(5).name } }), asked);
    const together = [...alone, ...crowded, ...elsewhere];
    expect(summarize(together)).toEqual([alone, crowded, elsewhere].flatMap(summarize));
    // A server that others use is another collection as well.
    expect(summarizeCollections([...alone, ...crowded])).toEqual([alone, crowded].flatMap(summarizeCollections));
  });

  test('pool the requests of a collection', () => {
    const [line] = summarizeCollections([...runs, ...compareOn(world({ trace: fixedRateTrace(1) }))]);
    expect(line).toMatchObject({ trace: '2 traces', collection: 'fixed rates', scheduler: 'local' });
    expect(line?.all.requests).toBe(120);
  });

  test('sample the server only while there is something to answer', () => {
    const atMs = [0, 200, 3_600_000, 3_602_000];
    const { samples, records } = simulate(
      scenarioOf(world({ arrivals: { type: 'listed', atMs }, requests: 4 })),
      alwaysLocal,
    );
    expect(samples.map(({ atMs: at }) => at)).toEqual([1000, 3_601_000, 3_603_000]);
    const { seconds } = timelineOf({ samples, records, energyJ: 0 });
    expect(seconds.map(({ second, requests }) => [second, requests])).toEqual([
      [1, 2],
      [3601, 1],
      [3603, 1],
    ]);
  });

  test('count every request in the second in which it began', () => {
    const { result } = runs.find(({ scheduler }) => scheduler === 'remote') ?? {};
    const { seconds, swing } = timelineOf(result as NonNullable<typeof result>);
    expect(seconds.reduce((sum, { requests }) => sum + requests, 0)).toBe(60);
    expect(seconds.reduce((sum, { offloaded }) => sum + offloaded, 0)).toBe(60);
    expect(swing).toBe(0);
  });
});
