import { afterEach, describe, expect, test } from 'vitest';
import { smallPlan } from '../../../client/testkit/small-plan.ts';
import { Admission } from '../../../server/admission.ts';
import type { Executor } from '../../../server/executor.ts';
import { embeddedExecutor } from '../../../server/executors/embedded.ts';
import { systemClock } from '../../../shared/clock.ts';

const script = new URL('../../helpers/crashing-worker.mjs', import.meta.url);
const task = (tier: string, parts: Uint8Array[] = []) => ({ planId: 'p', k: 1, tier, payload: { parts, shapes: [] } });

describe('the embedded executor', () => {
  let executor: Executor | undefined;
  const restarts: string[] = [];
  const start = async (name = 'small', taskTimeoutMs = 60_000, workers = 2) => {
    executor = await embeddedExecutor({
      bundles: [{ plan: { ...smallPlan(), name }, segments: [] }],
      workers,
      threads: 1,
      taskTimeoutMs,
      script,
      onRestart: (reason) => restarts.push(reason),
    });
    return executor;
  };
  afterEach(async () => {
    restarts.length = 0;
    await executor?.close();
    executor = undefined;
  });

  test('runs tasks and passes on what a worker refuses', async () => {
    const pool = await start();
    expect(await pool.run(task('q8'))).toMatchObject({ decodeMs: 1, computeMs: 2 });
    await expect(pool.run(task('refuse'))).rejects.toMatchObject({ code: 'BAD_PAYLOAD' });
  });

  test('hands over the parts alone, not the network buffer that they are views of', async () => {
    const pool = await start();
    const result = await pool.run(task('q8', [new Uint8Array(new ArrayBuffer(1000), 10, 20)]));
    expect(result).toMatchObject({ lengths: [[20, 20]] });
  });

  test('does not run what was given up while no worker was there', async () => {
    const admission = new Admission(await start('small', 60_000, 1), systemClock(globalThis), 8);
    await admission.submit(task('crash'), 1000).result.catch(() => {});
    // Half a second without a worker.
    const ticket = admission.submit(task('q8'), 100);
    await expect(ticket.result).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' });
    expect(ticket.hasBegun).toBe(false);
    expect(await admission.submit(task('q4'), 5000).result).toMatchObject({ seen: ['q4'] });
  });

  test('refuses tasks once it is closed', async () => {
    const pool = await start();
    await pool.close();
    await expect(pool.run(task('q8'))).rejects.toMatchObject({ code: 'DRAINING' });
  });

  test('fails the task that killed a worker, goes on with the others, and replaces it', async () => {
    const pool = await start();
    const crashed = pool.run(task('crash'));
    const waiting = [1, 2, 3].map(() => pool.run(task('q8')));
    await expect(crashed).rejects.toMatchObject({
      code: 'INTERNAL',
      message: expect.stringContaining('out of memory'),
    });
    expect(await Promise.all(waiting)).toHaveLength(3);
    expect(restarts).toEqual(['out of memory']);
    // Both at once: whoever is left cannot be the one that serves the next.
    await Promise.allSettled([pool.run(task('crash')), pool.run(task('crash'))]);
    await expect(pool.run(task('q8'))).resolves.toMatchObject({ decodeMs: 1 });
  });

  test('ends a worker that is stuck, fails its task, and replaces it', async () => {
    const pool = await start('small', 100);
    const stuck = [pool.run(task('stuck')), pool.run(task('stuck'))];
    const next = pool.run(task('q8'));
    for (const one of stuck)
      await expect(one).rejects.toMatchObject({ code: 'INTERNAL', message: expect.stringContaining('100 ms') });
    await expect(next).resolves.toMatchObject({ decodeMs: 1 });
    expect(restarts).toEqual(new Array(2).fill('its task ran for more than 100 ms'));
  });

  test('says so where its workers do not start', async () => {
    await expect(start('broken')).rejects.toMatchObject({ code: 'INTERNAL' });
  });

  test('rejects what waits when it is closed', async () => {
    const pool = await start();
    const results = Array.from({ length: 5 }, () => pool.run(task('q8')));
    const settled = Promise.allSettled(results);
    await pool.close();
    const states = (await settled).map(({ status }) => status);
    expect(states.slice(2)).toEqual(['rejected', 'rejected', 'rejected']);
  });
});
