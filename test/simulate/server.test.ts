import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FakeClock } from '../../client/testkit/fake-clock.ts';
import { Admission } from '../../server/admission.ts';
import type { Executor } from '../../server/executor.ts';
import { TandemError } from '../../shared/errors.ts';
import { Events } from '../../simulate/events.ts';
import { parseServer } from '../../simulate/profiles.ts';
import { type Job, Server } from '../../simulate/server.ts';

interface Asked {
  readonly arriveMs: number;
  readonly workMs: number;
  readonly expiresMs: number;
}

/** What became of it: a code, or when it was done and how long it waited. */
type Outcome = string | { readonly endMs: number; readonly waitedMs: number };

/** Times that no two things share, so that their order is not a matter of taste. */
const jobs = fc
  .array(
    fc.record({
      gapMs: fc.integer({ min: 0, max: 40 }),
      workMs: fc.integer({ min: 1, max: 90 }),
      givenMs: fc.integer({ min: 20, max: 300 }),
    }),
    { minLength: 1, maxLength: 25 },
  )
  .map((drawn) => {
    let atMs = 0;
    return drawn.map(({ gapMs, workMs, givenMs }, i): Asked => {
      atMs += gapMs + 0.5;
      return { arriveMs: atMs, workMs: workMs + i / 128, expiresMs: atMs + givenMs + 1 / 512 };
    });
  });

function simulated(asked: readonly Asked[], workers: number, queueDepthMax: number): Outcome[] {
  const events = new Events();
  const server = new Server(events, parseServer({ workers, queueDepthMax }, 'test'));
  const outcomes: Outcome[] = [];
  for (const [i, one] of asked.entries()) server.expect(jobOf(one, events, (outcome) => (outcomes[i] = outcome)));
  events.run(() => false);
  return outcomes;
}

function jobOf(asked: Asked, events: Events, settle: (outcome: Outcome) => void): Job {
  return {
    ...asked,
    cancelMs: Number.POSITIVE_INFINITY,
    onDone: ({ queueMs }) => settle({ endMs: events.nowMs, waitedMs: queueMs }),
    onFailed: (code) => settle(code),
  };
}

/** The gateway's own queue, on a clock that is moved by hand. */
async function real(asked: readonly Asked[], workers: number, queueDepthMax: number): Promise<Outcome[]> {
  const clock = new FakeClock();
  const executor: Executor = {
    concurrency: workers,
    isReady: true,
    run: ({ k }) =>
      new Promise((resolve) =>
        clock.after((asked[k] as Asked).workMs, () => resolve({ outputs: {}, decodeMs: 0, computeMs: 0 })),
      ),
    close: async () => {},
  };
  const admission = new Admission(executor, clock, queueDepthMax);
  const outcomes: Outcome[] = [];
  for (const [k, { arriveMs, expiresMs }] of asked.entries()) {
    await clock.advance(arriveMs - clock.now());
    try {
      const { result } = admission.submit(
        { planId: 'p', k, tier: 't', payload: { parts: [], shapes: [] } },
        expiresMs - arriveMs,
      );
      result.then(
        ({ queueMs }) => {
          outcomes[k] = { endMs: clock.now(), waitedMs: queueMs };
        },
        (error: TandemError) => {
          outcomes[k] = error.code;
        },
      );
    } catch (error) {
      outcomes[k] = error instanceof TandemError ? error.code : String(error);
    }
  }
  await clock.advance(10_000);
  return outcomes;
}

function rounded(outcomes: readonly Outcome[]) {
  return outcomes.map((outcome) =>
    typeof outcome === 'string' ? outcome : [outcome.endMs.toFixed(6), outcome.waitedMs.toFixed(6)].map(Number),
  );
}

describe('the simulated server', () => {
  test("serves, sheds and gives up exactly what the gateway's own queue does", async () => {
    await fc.assert(
      fc.asyncProperty(
        jobs,
        fc.integer({ min: 1, max: 3 }),
        fc.integer({ min: 0, max: 4 }),
        async (asked, workers, depth) => {
          expect(rounded(simulated(asked, workers, depth))).toEqual(rounded(await real(asked, workers, depth)));
        },
      ),
      { numRuns: 40 },
    );
  });

  test('foresees for the last to come what then happens, from any moment before', () => {
    fc.assert(
      fc.property(
        jobs,
        fc.integer({ min: 1, max: 3 }),
        fc.integer({ min: 0, max: 4 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (asked, workers, depth, share) => {
          const events = new Events();
          const server = new Server(events, parseServer({ workers, queueDepthMax: depth }, 'test'));
          const last = asked.at(-1) as Asked;
          let outcome: Outcome = 'none';
          let foreseen = Number.NaN;
          for (const one of asked.slice(0, -1)) server.expect(jobOf(one, events, () => {}));
          events.at(last.arriveMs * share, () => {
            foreseen = server.outlook().finish(last.arriveMs, last.workMs, last.expiresMs);
            server.expect(jobOf(last, events, (result) => (outcome = result)));
          });
          events.run(() => false);
          const happened = outcome as Outcome;
          const endMs = typeof happened === 'string' ? Number.POSITIVE_INFINITY : happened.endMs;
          if (Number.isFinite(endMs)) expect(foreseen).toBeCloseTo(endMs, 6);
          else expect(foreseen).toBe(endMs);
        },
      ),
    );
  });

  test('has begun what found a worker free when word comes at once that nobody waits', () => {
    const events = new Events();
    const server = new Server(events, parseServer({ workers: 1 }, 'test'));
    const cancelled = jobOf({ arriveMs: 10, workMs: 50, expiresMs: 500 }, events, () => {});
    server.expect(cancelled);
    server.cancelAt(cancelled, 10);
    const foreseen = server.outlook().finish(20, 5, 500);
    let outcome: Outcome = 'none';
    server.expect(jobOf({ arriveMs: 20, workMs: 5, expiresMs: 500 }, events, (result) => (outcome = result)));
    events.run(() => false);
    expect(outcome).toMatchObject({ endMs: 65 });
    expect(foreseen).toBe(65);
  });

  test('works slower while it has lost capacity', () => {
    const events = new Events();
    const profile = parseServer(
      {
        workers: 1,
        capacity: [
          [0, 1],
          [1, 0.5],
          [2, 1],
        ],
      },
      'test',
    );
    const server = new Server(events, profile);
    // 500 ms of work before, 500 ms at half speed, and the rest after.
    expect(server.outlook().finish(500, 1100, 10_000)).toBeCloseTo(2100, 6);
  });
});
