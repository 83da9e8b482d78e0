/** A connection after the host slept or was away: whether it still lives is found out at once. */
import { beforeEach, describe, expect, test } from 'vitest';
import { listenForWake } from '../../client/page.ts';
import { createTestkit } from '../../client/testkit/index.ts';
import { answerOf, CLOUD_ANSWER, ClientHarness, PICTURE } from '../helpers/client-harness.ts';

let harness: ClientHarness;
beforeEach(() => {
  harness = new ClientHarness();
});

const Y = { y: { dtype: 'float32', shape: [1, 4], data: Float32Array.of(7, 7, 7, 7) } } as const;

describe('waking', () => {
  test.each(['before', 'after'])('a request that leaves just %s it is sent once over a slow link', async (when) => {
    const kit = createTestkit({ answer: Y });
    kit.link.delayMs = 900;
    const client = await kit.run(kit.connect({ download: false }));
    await kit.pass(10_000);
    const ask = () => client.infer(PICTURE, { label: 'public' });
    const before = when === 'before' ? ask() : null;
    await kit.pass(100);
    kit.link.restore();
    await kit.pass(100);
    const { route } = await kit.run(before ?? ask());
    expect(route.sent.map(({ outcome }) => outcome)).toEqual(['answered']);
    expect(kit.cloud.received).toHaveLength(1);
  });

  test('keeps a connection that lives', async () => {
    const client = await harness.ready();
    await harness.pass(10_000);
    harness.wakeUp(60_000);
    expect(client.state.link).toBe('open');
    await harness.pass(3_000);
    expect([client.state.link, harness.channels.length]).toEqual(['open', 1]);
  });

  test('of which several events tell is one, and finds a dead socket out as soon', async () => {
    await harness.ready();
    await harness.pass(5_000);
    let pings = 0;
    harness.newest.send = () => void pings++;
    for (let i = 0; i < 3; i++) {
      harness.wakeUp(60_000);
      await harness.pass(200);
    }
    expect(pings).toBe(1);
    // Half a second, one in which a page that was frozen hears what had come, and the pause before the next attempt.
    await harness.pass(1_050);
    expect(harness.channels).toHaveLength(2);
  });

  test('lets an attempt go on that is younger than a second', async () => {
    const own = harness.host();
    let opened = 0;
    const client = await harness.connect(
      {},
      {
        connector: (url) => (events) => {
          opened++;
          return own.connector(url)({ ...events, onOpen: () => void harness.clock.after(900, events.onOpen) });
        },
      },
    );
    await harness.pass(60_000);
    await harness.cut();
    await harness.pass(125 + 800);
    harness.wakeUp(60_000);
    await harness.pass(200);
    expect([opened, client.state.link]).toEqual([2, 'open']);
  });

  test('is over within 2 s where the socket is dead, also with requests that wait for its answer and ask for others', async () => {
    const harness = new ClientHarness();
    harness.segmentsAllowed = 0;
    const client = await harness.ready();
    await harness.pass(5_000);
    harness.newest.send = () => {};
    const results = [client.infer(PICTURE, { label: 'public' })];
    await harness.pass(5_000);
    harness.wakeUp(5_000);
    await harness.pass(1_000);
    results.push(client.infer(PICTURE, { label: 'public' }));
    await harness.pass(1_000);
    expect(client.state.link).toBe('open');
    expect(harness.channels).toHaveLength(2);
    for (let second = 0; second < 8; second++) {
      harness.gateway.executor.finish(CLOUD_ANSWER);
      await harness.pass(1_000);
    }
    // Each once more, over the connection that lives.
    for (const { outputs, route } of await Promise.all(results)) {
      expect(answerOf(outputs)).toEqual(CLOUD_ANSWER);
      expect(route.sent.map(({ outcome }) => outcome)).toEqual(['failed', 'answered']);
    }
  });

  test('finds a dead socket out however often it is asked meanwhile', async () => {
    const harness = new ClientHarness();
    harness.segmentsAllowed = 0;
    const client = await harness.ready();
    await harness.pass(5_000);
    const [near] = harness.channels;
    if (near) near.send = () => {};
    harness.wakeUp(60_000);
    for (let second = 0; second < 10; second += 2) {
      client.infer(PICTURE, { label: 'public', deadlineMs: 1_900 }).catch(() => {});
      await harness.pass(2_000);
    }
    expect(harness.channels).toHaveLength(2);
  });

  test.each(['the plan', 'its segments'])(
    'goes on at once with the download that waits for the network: %s',
    async (what) => {
      const harness = new ClientHarness();
      if (what === 'the plan') harness.head = harness.plan;
      else harness.allowSegments(1);
      const client = await harness.ready();
      harness.isReachable = false;
      await harness.cut();
      harness.allowSegments(2);
      harness.breaksAfter = what === 'the plan' ? 0 : 2;
      await harness.pass(100_000);
      expect(client.state.device).toBe('downloading');
      harness.isReachable = true;
      harness.wakeUp(100_000);
      await harness.pass(100);
      expect(client.state.device).toBe('available');
    },
  );

  test('finds a socket out that went silent with its network', async () => {
    const harness = new ClientHarness();
    const window = new EventTarget();
    const page = Object.assign(new EventTarget(), { visibilityState: 'visible' as const });
    const onWake = (listener: (awayMs: number) => void) =>
      listenForWake(page, window, () => harness.clock.now(), listener);
    const client = await harness.connect({}, { onWake });
    await harness.pass(5_000);
    const [near] = harness.channels;
    if (near) near.send = () => {};
    harness.isReachable = false;
    window.dispatchEvent(new Event('offline'));
    await harness.pass(2_000);
    expect(client.state.link).toBe('connecting');
    const { route } = await client.infer(PICTURE, { label: 'personal' });
    expect(route).toMatchObject({ bytesUp: 0, fallback: null });
    expect(route.why).toContain('nothing else could be done: there is no connection');
  });

  test('is not what a page does that is shown for the first time: its connection goes on being made', async () => {
    const harness = new ClientHarness();
    const own = harness.host();
    const window = new EventTarget();
    const page = Object.assign(new EventTarget(), { visibilityState: 'visible' as const });
    let opened = 0;
    const client = await harness.connect(
      { download: false },
      {
        onWake: (listener) => listenForWake(page, window, () => harness.clock.now(), listener),
        connector: (url) => (events) => {
          opened++;
          const onOpen = () => void harness.clock.after(3_000, events.onOpen);
          return own.connector(url)({ ...events, onOpen });
        },
      },
    );
    await harness.pass(1_500);
    window.dispatchEvent(Object.assign(new Event('pageshow'), { persisted: false }));
    await harness.pass(1_600);
    expect([opened, client.state.link]).toEqual([1, 'open']);
  });
});
