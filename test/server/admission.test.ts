import { beforeEach, describe, expect, test } from 'vitest';
import { FakeClock, settle } from '../../client/testkit/fake-clock.ts';
import { Admission } from '../../server/admission.ts';
import { FakeExecutor } from '../helpers/fake-executor.ts';

const TASK = { planId: 'p', k: 1, tier: 'q8', payload: { parts: [], shapes: [] } };

describe('admission', () => {
  let clock: FakeClock;
  let executor: FakeExecutor;
  let admission: Admission;
  beforeEach(() => {
    clock = new FakeClock();
    executor = new FakeExecutor(2);
    admission = new Admission(executor, clock, 2);
  });
  const submit = (deadlineMs = 1000) => {
    const ticket = admission.submit(TASK, deadlineMs);
    ticket.result.catch(() => {});
    return ticket;
  };

  test('hands over no more than the executor runs at a time, first come first served', async () => {
    const tickets = [submit(), submit(), submit()];
    expect(executor.seen).toHaveLength(2);
    expect(admission.load.queueDepth).toBe(1);
    await clock.advance(10);
    executor.finish();
    await settle();
    expect(executor.seen).toHaveLength(3);
    executor.finish();
    executor.finish();
    const results = await Promise.all(tickets.map(({ result }) => result));
    expect(results.map(({ queueMs }) => queueMs)).toEqual([0, 0, 10]);
  });

  test('refuses what does not fit the queue, with a hint made of what it has seen', async () => {
    submit();
    await clock.advance(40);
    executor.finish();
    await settle();
    for (let i = 0; i < 4; i++) submit();
    expect(() => admission.submit(TASK, 1000)).toThrow(
      expect.objectContaining({ code: 'OVERLOADED', retryAfterMs: expect.any(Number) }),
    );
    // Three ahead of a newcomer, 40 ms each, two at a time.
    expect(admission.load.queueMs).toBe(60);
  });

  test('foretells the wait by a running mean of what requests took, whenever that was', async () => {
    await clock.advance(100_000);
    for (const [tookMs, meanMs] of [
      [100, 100],
      [200, 120],
      [70, 110],
    ] as const) {
      submit();
      await clock.advance(tookMs);
      executor.finish();
      await settle();
      // One ahead of a newcomer, two at a time.
      const both = [submit(), submit()];
      expect(admission.load.queueMs).toBeCloseTo(meanMs / 2);
      for (const { cancel } of both) cancel();
      // Those that nobody waits for any more teach nothing.
      executor.fail();
      executor.fail();
      await settle();
    }
  });

  test('says of what was handed over whether anybody still waits for it', async () => {
    const wanted: (() => boolean)[] = [];
    const run = executor.run.bind(executor);
    executor.run = (task, call) => {
      wanted.push(call?.isWanted ?? (() => true));
      return run(task, call);
    };
    const [cancelled] = [submit(), submit(50)];
    expect(wanted.map((isWanted) => isWanted())).toEqual([true, true]);
    cancelled?.cancel();
    expect(wanted.map((isWanted) => isWanted())).toEqual([false, true]);
    await clock.advance(50);
    expect(wanted.map((isWanted) => isWanted())).toEqual([false, false]);
  });

  test('keeps nobody out whom one that has more in it leaves no room: that gives up its newest', async () => {
    const [greedy, polite, other] = [{}, {}, {}];
    const of = (client: object) => {
      const { result } = admission.submit(TASK, 1000, client);
      return result.then(
        () => 'ok',
        ({ code }) => code as string,
      );
    };
    const results = [greedy, greedy, greedy, greedy, polite].map(of);
    // Now all have one that waits.
    for (const client of [greedy, polite, other]) {
      expect(() => admission.submit(TASK, 1000, client)).toThrow(expect.objectContaining({ code: 'OVERLOADED' }));
    }
    for (let i = 0; i < 4; i++) {
      executor.finish();
      await settle();
    }
    expect(await Promise.all(results)).toEqual(['ok', 'ok', 'ok', 'OVERLOADED', 'ok']);
  });

  test('tells what waits as soon as its deadline passes, and never starts it', async () => {
    submit();
    submit();
    const late = submit(50);
    await clock.advance(50);
    await expect(late.result).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' });
    expect(admission.load.queueDepth).toBe(0);
    executor.finish();
    await settle();
    expect(executor.seen).toHaveLength(2);
  });

  test('tells what is handed over and has no result by its deadline, and keeps the slot until there is one', async () => {
    const stuck = submit(50);
    await clock.advance(50);
    await expect(stuck.result).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' });
    expect(admission.inFlight).toBe(1);
    executor.finish();
    await settle();
    expect(admission.inFlight).toBe(0);
  });

  test('serves without a queue as long as there is a free slot', async () => {
    admission = new Admission(executor, clock, 0);
    submit();
    submit();
    expect(executor.seen).toHaveLength(2);
    expect(() => admission.submit(TASK, 1000)).toThrow(expect.objectContaining({ code: 'OVERLOADED' }));
    executor.finish();
    await settle();
    submit();
    expect(executor.seen).toHaveLength(3);
  });

  test('takes a cancelled request out of the queue, and lets one that runs end without a result', async () => {
    const running = submit();
    submit();
    const waiting = submit();
    waiting.cancel();
    running.cancel();
    await expect(waiting.result).rejects.toMatchObject({ code: 'CANCELLED' });
    await expect(running.result).rejects.toMatchObject({ code: 'CANCELLED', message: 'cancelled while it ran' });
    expect([running.hasBegun, waiting.hasBegun]).toEqual([true, false]);
    expect(admission.inFlight).toBe(2);
    executor.finish();
    await settle();
    expect(admission.inFlight).toBe(1);
  });

  test('goes on after a task failed', async () => {
    const failing = submit();
    submit();
    const next = submit();
    executor.fail();
    await expect(failing.result).rejects.toMatchObject({ code: 'BAD_PAYLOAD' });
    executor.finish();
    executor.finish();
    await expect(next.result).resolves.toBeDefined();
  });

  test('is drained when nothing waits and nothing runs', async () => {
    await admission.drained();
    submit();
    submit();
    submit();
    let isDrained = false;
    void admission.drained().then(() => {
      isDrained = true;
    });
    for (let i = 0; i < 3; i++) {
      await settle();
      expect(isDrained).toBe(false);
      executor.finish();
    }
    await settle();
    expect(isDrained).toBe(true);
  });
});
