/** What the scheduler makes of a device that does one thing at a time, and of a gateway that sheds. */
import { afterEach, expect, test } from 'vitest';
import { createTestkit, type Testkit } from '../../client/testkit/index.ts';
import type { Client, InferOptions, Picture, Tensors } from '../../client/types.ts';

const PHOTO: Picture = { width: 16, height: 4, data: new Uint8Array(16 * 4 * 4) };
const OUTPUTS: Tensors = { y: { dtype: 'float32', shape: [1, 4], data: new Float32Array(4) } };

let kit: Testkit;
let client: Client;
afterEach(() => kit.run(client.close()));

async function start({ segmentMs, delayMs }: { readonly segmentMs: number; readonly delayMs: number }): Promise<void> {
  kit = createTestkit({ answer: () => OUTPUTS });
  kit.device.msPerSegment = segmentMs;
  kit.link.delayMs = delayMs;
  kit.cloud.msPerAnswer = 5;
  client = await kit.run(kit.connect({ policy: { labels: { public: 'input' } }, objective: { exploration: 0 } }));
  await kit.run(client.prepare());
  // Of both ways it has seen some.
  for (let i = 0; i < 6; i++) {
    for (const k of [0, 2]) await kit.run(client.infer(PHOTO, { label: 'public', force: { k } }));
    await kit.pass(500);
  }
}

/** `k in so many ms`, or the code of the error. */
async function ask(options: InferOptions): Promise<string> {
  const startMs = kit.clock.now();
  try {
    const { route } = await client.infer(PHOTO, { label: 'public', ...options });
    return `${route.k} in ${Math.round(kit.clock.now() - startMs)} ms`;
  } catch (error) {
    return (error as { code: string }).code;
  }
}

test('ten requests at once share out what the device and the gateway can do: none waits behind nine others', async () => {
  await start({ segmentMs: 100, delayMs: 120 });
  const all = await kit.run(Promise.all(Array.from({ length: 10 }, () => ask({ deadlineMs: 1000 }))));
  expect(all.filter((answer) => answer === '2 in 200 ms').length).toBeGreaterThanOrEqual(1);
  expect(all.filter((answer) => answer.startsWith('0 in ')).length).toBeGreaterThanOrEqual(6);
  expect(all).not.toContain('DEADLINE_EXCEEDED');
});

test('a device that cannot make the deadline is not started beside requests that the gateway answers', async () => {
  await start({ segmentMs: 3000, delayMs: 20 });
  const all: string[] = [];
  for (let i = 0; i < 10; i++) {
    all.push(await kit.run(ask({ deadlineMs: 2000 })));
    await kit.pass(500);
  }
  expect(all).toEqual(Array.from({ length: 10 }, () => '0 in 45 ms'));
});

test('a device that is hardly fast enough is not started either, as long as the reply is not late', async () => {
  await start({ segmentMs: 900, delayMs: 20 });
  for (let i = 0; i < 5; i++) {
    expect(await kit.run(ask({ deadlineMs: 2000 }))).toBe('0 in 45 ms');
    // Less than a segment takes, and it cannot be stopped.
    await kit.pass(500);
  }
});

test('what a gateway sheds is learnt of where the device is at it already', async () => {
  await start({ segmentMs: 200, delayMs: 20 });
  kit.cloud.msPerAnswer = 300;
  kit.cloud.failWith('OVERLOADED', 10);
  // The kit draws a half: who is drawn there is held back from the second on.
  for (let i = 0; i < 2; i++) expect(await kit.run(ask({ prefer: 'cloud' }))).toMatch(/^2 in/);
  const { removed } = await kit.run(client.explain(PHOTO, { label: 'public' }));
  expect(removed[0]?.reason).toContain('the gateway sheds load');
});

test('requests that are shed together are one sign of load, as one that is shed alone', async () => {
  await start({ segmentMs: 500, delayMs: 20 });
  kit.cloud.failWith('OVERLOADED', 200);
  const all = Promise.all(Array.from({ length: 8 }, () => ask({})));
  await kit.pass(100);
  kit.cloud.failWith(null);
  await kit.pass(250);
  const { removed } = await client.explain(PHOTO, { label: 'public' });
  await kit.run(all);
  expect(removed.map(({ reason }) => reason)).not.toContainEqual(expect.stringContaining('sheds load'));
});

test('of replies that are late together each leaves the device its own work, and not that of the others once more', async () => {
  await start({ segmentMs: 100, delayMs: 20 });
  kit.cloud.msPerAnswer = 60_000;
  const all = Promise.all(Array.from({ length: 6 }, () => ask({})));
  await kit.pass(99);
  const { candidates } = await client.explain(PHOTO, { label: 'public' });
  const aheadMs = candidates.find(({ k }) => k === 2)?.predicted.aheadMs;
  await kit.run(all);
  expect(aheadMs).toBeGreaterThan(1000);
  expect(aheadMs).toBeLessThan(1400);
});

test('a reply that a request was ended without is overdue: the next one is run by the device', async () => {
  await start({ segmentMs: 200, delayMs: 20 });
  kit.cloud.msPerAnswer = 60_000;
  const all: string[] = [];
  for (let i = 0; i < 5; i++) {
    const patience = new AbortController();
    const stop = kit.clock.after(450, () => patience.abort(Object.assign(new Error('too slow'), { code: 'GAVE_UP' })));
    all.push(await kit.run(ask({ signal: patience.signal })));
    stop();
    await kit.pass(500);
  }
  expect(all.slice(0, 2)).toEqual(['GAVE_UP', '2 in 400 ms']);
  expect(all.slice(2)).toContain('2 in 400 ms');
});

test('a gateway that is late again is taken to keep a request waiting for as long as that one was, not for what it was longer than foreseen', async () => {
  await start({ segmentMs: 1000, delayMs: 20 });
  kit.cloud.msPerAnswer = 60_000;
  let late = 0;
  for (let i = 0; i < 12; i++) {
    const { route } = await kit.run(client.infer(PHOTO, { label: 'public' }));
    if (route.fallback?.reason === 'late') {
      late++;
      const { candidates } = await client.explain(PHOTO, { label: 'public' });
      const queueMs = candidates.find(({ k }) => k === 0)?.predicted.queueMs;
      const waitedMs = route.timing.totalMs - 1000 * (route.sent[0]?.k ?? 0);
      expect(queueMs).toBeGreaterThan(waitedMs - 100);
    }
    await kit.pass(500);
  }
  expect(late).toBeGreaterThan(2);
});

test('late replies and missed deadlines are held against the predictions', async () => {
  await start({ segmentMs: 200, delayMs: 20 });
  const before = client.diagnostics().calibration;
  const within = () => {
    const { requests, within: share } = client.diagnostics().calibration;
    return {
      requests: requests - before.requests,
      within: Math.round((share ?? 0) * requests - (before.within ?? 0) * before.requests),
    };
  };
  for (let i = 0; i < 4; i++) expect(await kit.run(ask({}))).toBe('0 in 45 ms');
  expect(within()).toEqual({ requests: 4, within: 4 });
  kit.cloud.msPerAnswer = 2000;
  expect(await kit.run(ask({}))).toMatch(/^2 in/);
  expect(within()).toEqual({ requests: 5, within: 4 });
  await kit.pass(60_000);
  kit.device.msPerSegment = 60_000;
  expect(await kit.run(ask({ deadlineMs: 1000, prefer: 'cloud' }))).toBe('DEADLINE_EXCEEDED');
  expect(within()).toEqual({ requests: 6, within: 4 });
});

test('predictions are held against the time from when they were made, not from before segments had come', async () => {
  kit = createTestkit({ answer: () => OUTPUTS });
  kit.device.msPerSegment = 50;
  kit.serveSegments(0);
  client = await kit.run(kit.connect({ policy: { labels: { secret: 'local' } } }));
  const answer = client.infer(PHOTO, { label: 'secret' });
  await kit.pass(10_000);
  kit.serveSegments(2);
  const { route } = await kit.run(answer);
  expect(route.timing.totalMs).toBeGreaterThan(10_000);
  expect(client.diagnostics().calibration).toEqual({ requests: 1, within: 1 });
});
