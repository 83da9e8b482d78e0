/** One connection to a gateway, and the next when it is lost. */
import { beforeEach, describe, expect, test } from 'vitest';
import { settle } from '../../client/testkit/fake-clock.ts';
import { TandemError } from '../../shared/errors.ts';
import type { Connector } from '../../shared/protocol/channel.ts';
import { encodeFrame } from '../../shared/protocol/frames.ts';
import { answerOf, CLOUD_ANSWER, ClientHarness, PICTURE } from '../helpers/client-harness.ts';

/** Could be sent, and is not. */
const ON_DEVICE = { label: 'public', force: { k: 2 } } as const;

let harness: ClientHarness;
beforeEach(() => {
  harness = new ClientHarness();
});

describe('the link', () => {
  test('comes back after a break, with a pause that grows', async () => {
    const client = await harness.ready();
    harness.isReachable = false;
    await harness.cut();
    expect(client.state.link).toBe('connecting');
    await harness.pass(20_000);
    // Half of 250, 500, 1000 ... ms, by the fixed random number.
    const attempts = harness.channels.length;
    expect(attempts).toBeGreaterThan(5);
    expect(attempts).toBeLessThan(9);
    harness.isReachable = true;
    await harness.pass(20_000);
    expect(client.state.link).toBe('open');
  });

  test.each([
    ['no frame', Uint8Array.of(1, 2, 3), 4400],
    ['a message that it does not know', encodeFrame({ type: 'ping', id: 1, usage: [] }), 4402],
  ])('closes with the code of what the gateway broke by %s', async (_, frame, code) => {
    const client = await harness.ready();
    const channel = harness.newest;
    const { close } = channel;
    const closes: number[] = [];
    channel.close = (closeCode, reason) => {
      closes.push(closeCode);
      close(closeCode, reason);
    };
    channel.events.onFrame(frame);
    expect(closes[0]).toBe(code);
    // At once: what was told it may take its time to close.
    expect(client.state).toMatchObject({ link: 'connecting', message: expect.stringMatching(/^BAD_\w+: ./) });
  });

  test('says why it ended where the gateway had said so before, and its close has no reason', async () => {
    const client = await harness.ready();
    const error = { code: 'IDLE_TIMEOUT', message: 'nothing came', retryAfterMs: null, receipt: null } as const;
    harness.newest.events.onFrame(encodeFrame({ type: 'error', id: null, ...error }));
    expect(client.state.link).toBe('open');
    harness.isReachable = false;
    harness.newest.close(1006, '');
    await settle();
    expect(client.state).toMatchObject({ link: 'connecting', message: 'IDLE_TIMEOUT: nothing came' });
  });

  test('is made anew where an attempt gets no answer within 10 s', async () => {
    const closed: number[] = [];
    let attempts = 0;
    const client = await harness.connect(
      {},
      {
        connector: () => () => {
          attempts++;
          return { send() {}, close: (code) => void closed.push(code), bufferedBytes: 0 };
        },
      },
    );
    await harness.pass(9_900);
    expect([attempts, closed]).toEqual([1, []]);
    await harness.pass(200);
    expect(client.state).toMatchObject({ link: 'connecting', message: 'the gateway did not answer' });
    await harness.pass(250);
    expect([attempts, closed]).toEqual([2, [1000]]);
  });

  test('lives when the answer comes to a request that was given up meanwhile', async () => {
    const client = await harness.ready();
    const { events } = harness.newest;
    const held: Uint8Array[] = [];
    harness.newest.events = { ...events, onFrame: (frame) => void held.push(frame) };
    const patience = new AbortController();
    const result = client.infer(PICTURE, { label: 'public', force: { k: 0 }, signal: patience.signal });
    await harness.serve();
    patience.abort(new Error('never mind'));
    await expect(result).rejects.toThrow('never mind');
    for (const frame of held) events.onFrame(frame);
    harness.newest.events = events;
    await harness.pass(1000);
    expect([client.state.link, harness.channels.length]).toEqual(['open', 1]);
  });

  test('learns from a reply what the gateway has to do', async () => {
    harness = new ClientHarness({ concurrency: 1 });
    harness.segmentsAllowed = 0;
    const client = await harness.ready();
    const [first, ...others] = [1, 2, 3].map(() => client.infer(PICTURE, { label: 'public', deadlineMs: 60_000 }));
    for (const other of others) other.catch(() => {});
    await harness.pass(1);
    expect(client.diagnostics().estimates.queueMs).toBe(0);
    await harness.pass(1000);
    await harness.finish();
    await first;
    expect(client.diagnostics().estimates.queueMs).toBeGreaterThan(0);
  });

  test('is tried again where the page may not open it, and the device serves meanwhile', async () => {
    let isForbidden = true;
    const { connector } = harness.host();
    const client = await harness.connect(
      {},
      {
        connector(url) {
          if (isForbidden) throw new DOMException('The operation is insecure.', 'SecurityError');
          return connector(url);
        },
      },
    );
    await harness.pass(60_000);
    expect(client.state).toMatchObject({ link: 'connecting', message: 'The operation is insecure.' });
    harness.wakeUp();
    expect((await client.infer(PICTURE, { label: 'public' })).route.k).toBe(2);
    isForbidden = false;
    await harness.pass(30_000);
    expect(client.state.link).toBe('open');
  });

  test('is tried as often after a waking as after a break, however long the outage before it', async () => {
    const client = await harness.ready();
    const attemptsIn20s = async () => {
      const before = harness.channels.length;
      await harness.pass(20_000);
      return harness.channels.length - before;
    };
    harness.isReachable = false;
    await harness.cut();
    const afterBreak = await attemptsIn20s();
    await harness.pass(600_000);
    // The first at once.
    harness.wakeUp(600_000);
    expect(await attemptsIn20s()).toBe(afterBreak);
    expect(client.state.link).toBe('connecting');
  });

  test('is tried at least every 30 s, however long the outage', async () => {
    const client = await harness.connect({}, { random: () => 0.999 });
    await harness.pass(1);
    harness.isReachable = false;
    await harness.cut();
    for (let hour = 0; hour < 2; hour++) {
      await harness.pass(3_600_000);
      const before = harness.channels.length;
      await harness.pass(30_000);
      expect(harness.channels.length - before).toBe(1);
    }
    harness.isReachable = true;
    await harness.pass(30_000);
    expect(client.state.link).toBe('open');
    // The next break is another matter.
    await harness.cut();
    await harness.pass(250);
    expect(client.state.link).toBe('open');
  });

  test('says so where its code did not come, and is tried again', async () => {
    const { frames } = harness.host();
    let isBroken = true;
    const client = await harness.connect(
      {},
      { frames: () => (isBroken ? Promise.reject(new TypeError('Failed to fetch')) : frames()) },
    );
    await harness.pass(1000);
    expect(client.state).toMatchObject({
      link: 'connecting',
      message: 'the SDK did not load whole: Failed to fetch',
    });
    isBroken = false;
    await harness.pass(10_000);
    expect(client.state.link).toBe('open');
  });

  describe('whose code comes late', () => {
    /** A client whose codec of frames is still on its way, and what lets it come. */
    async function loading() {
      const { frames } = harness.host();
      let fail = (_error: Error) => {};
      let come = () => {};
      const codec = new Promise<void>((resolve, reject) => {
        come = resolve;
        fail = reject;
      });
      const client = await harness.connect({}, { frames: () => codec.then(frames) });
      return { client, come, fail };
    }

    test('is opened once, however often the page wakes up meanwhile', async () => {
      const { client, come } = await loading();
      for (let i = 0; i < 3; i++) harness.wakeUp(60_000);
      come();
      await harness.pass(1000);
      expect([client.state.link, harness.channels.length]).toEqual(['open', 1]);
    });

    test('is not opened any more where the client was closed meanwhile, whether it comes or not', async () => {
      const [first, second] = [await loading(), await loading()];
      await Promise.all([first.client.close(), second.client.close()]);
      first.come();
      second.fail(new TypeError('Failed to fetch'));
      await harness.pass(60_000);
      expect([first.client.state.link, second.client.state.link]).toEqual(['closed', 'closed']);
      expect(harness.channels).toHaveLength(0);
    });
  });

  test('takes along what there is to report when the page is left, however often that is', async () => {
    let leave = () => {};
    const onLeave = (listener: () => void) => {
      leave = listener;
      return () => {};
    };
    const client = await harness.connect({}, { onLeave });
    await harness.pass(1000);
    await client.infer(PICTURE, ON_DEVICE);
    for (let i = 0; i < 3; i++) leave();
    await harness.pass(1000);
    const usage = harness.messagesOf('ping').flatMap((ping) => ping.usage);
    expect(usage).toEqual([{ plan: harness.plan.id, k: 2, count: 1 }]);
    expect([client.state.link, harness.channels.length]).toEqual(['open', 1]);
  });

  test('is not broken by a page that is left before the gateway has answered', async () => {
    let leave = () => {};
    const onLeave = (listener: () => void) => {
      leave = listener;
      return () => {};
    };
    const { connector } = harness.host();
    const client = await harness.connect(
      {},
      {
        onLeave,
        connector: (url) => (events) =>
          connector(url)({ ...events, onOpen: () => void harness.clock.after(500, events.onOpen) }),
      },
    );
    await harness.pass(100);
    leave();
    await harness.pass(1000);
    expect([client.state.link, harness.channels.length]).toEqual(['open', 1]);
  });

  test('is left for good where the gateway refuses the client', async () => {
    const client = await harness.ready({ token: 'guess' });
    expect(client.state).toMatchObject({ link: 'refused', message: 'UNAUTHORIZED: the token is not known' });
    const first = await client.infer(PICTURE, { label: 'public' });
    expect(first.route.decisions[0]?.removed[0]?.reason).toBe(
      'there is no connection: UNAUTHORIZED: the token is not known',
    );
    await harness.pass(100_000);
    expect(harness.channels).toHaveLength(1);
    const { route } = await client.infer(PICTURE, { label: 'public' });
    expect(route.k).toBe(2);
    // Who has nothing else is told at once.
    const without = await harness.ready({ token: 'guess', download: false });
    await expect(without.infer(PICTURE, { label: 'public' })).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });

  test('asks for the token anew for every connection', async () => {
    let asked = 0;
    const client = await harness.ready({
      token: () => {
        asked++;
        return 'sesame';
      },
    });
    await harness.cut();
    await harness.pass(1000);
    expect(client.state.link).toBe('open');
    expect(asked).toBe(2);
  });

  test('asks for it once while somebody is logging in, however long that takes', async () => {
    let asked = 0;
    const token = async () => {
      asked++;
      await new Promise<void>((resolve) => harness.clock.after(35_000, resolve));
      return 'sesame';
    };
    const client = await harness.ready({ token });
    await harness.pass(3_000);
    // As a page does that is seen again, behind the one to log in at.
    harness.wakeUp(2_000);
    await harness.pass(33_000);
    expect([asked, client.state.link]).toEqual([1, 'open']);
    await harness.cut();
    await harness.pass(36_000);
    expect([asked, client.state.link]).toEqual([2, 'open']);
  });

  test('is given up when it is open and silent', async () => {
    const client = await harness.ready();
    const closed: number[] = [];
    // Nor does the network say that it is closed.
    Object.assign(harness.newest, { send() {}, close: (code: number) => void closed.push(code) });
    await harness.pass(15_000);
    await harness.pass(5_000);
    await harness.pass(1_000);
    expect(harness.channels.length).toBeGreaterThan(1);
    expect(closed[0]).toBe(4000);
    expect(client.state.link).toBe('open');
  });

  test('is kept open by pings within the gateway’s own idea of silence', async () => {
    harness.gateway.limits.idleTimeoutMs = 3_000;
    const client = await harness.ready();
    await harness.pass(30_000);
    expect(harness.channels).toHaveLength(1);
    expect(client.state.link).toBe('open');
  });

  test('stays closed when a listener closes the client as the link breaks', async () => {
    const client = await harness.ready();
    client.addEventListener('statechange', ({ detail: { link } }) => {
      if (link === 'connecting') void client.close();
    });
    await harness.cut();
    await harness.pass(60_000);
    expect(client.state.link).toBe('closed');
    expect(harness.channels).toHaveLength(1);
  });

  test('stays closed when a listener closes the client as it is tried again', async () => {
    const client = await harness.ready();
    let connecting = 0;
    let channels = 0;
    client.addEventListener('statechange', ({ detail: { link } }) => {
      // It is told first that the link broke.
      if (link !== 'connecting' || ++connecting < 2) return;
      channels = harness.channels.length;
      void client.close();
    });
    harness.isReachable = false;
    await harness.cut();
    await harness.pass(60_000);
    expect(channels).toBeGreaterThan(0);
    expect([client.state.link, harness.channels.length]).toEqual(['closed', channels]);
  });

  test('lives when a listener throws, and the error is reported', async () => {
    const client = await harness.ready();
    const mistake = new Error('of the app');
    client.addEventListener('statechange', () => {
      throw mistake;
    });
    await harness.cut();
    await harness.pass(1000);
    expect(client.state.link).toBe('open');
    expect(harness.reported).toContain(mistake);
  });

  test('is left when the gateway goes away, at once or after its last answer, and made anew', async () => {
    harness.allowSegments(0);
    const busy = await harness.ready();
    const result = busy.infer(PICTURE, { label: 'public' });
    await harness.ready();
    void harness.gateway.gateway.drain(60_000);
    await harness.pass(1000);
    // The idle one has gone, the other waits for its answer.
    expect(harness.channels.length).toBeGreaterThan(2);
    expect(busy.state.link).toBe('connecting');
    harness.gateway.executor.finish(CLOUD_ANSWER);
    await harness.pass(1000);
    expect(answerOf((await result).outputs)).toEqual(CLOUD_ANSWER);
  });

  test('does not take an upload before a ping for a slow network', async () => {
    const client = await harness.ready();
    const near = harness.newest;
    near.bufferedBytes = 500_000;
    await harness.pass(14_000);
    const { send } = near;
    near.send = (frame) => void harness.clock.after(2000, () => send.call(near, frame));
    await harness.pass(5000);
    const remote = client.infer(PICTURE, { label: 'public' });
    await harness.serve();
    await harness.pass(10_000);
    const cost = (await remote).route.decisions[0]?.candidates.find(({ k }) => k === 0)?.predicted;
    expect(cost?.roundTripMs).toBeLessThan(200);
  });

  test('is looked at when the host wakes up', async () => {
    const client = await harness.ready();
    harness.isReachable = false;
    await harness.cut();
    await harness.pass(60_000);
    harness.isReachable = true;
    const before = harness.channels.length;
    harness.wakeUp();
    await settle();
    await settle();
    expect(harness.channels).toHaveLength(before + 1);
    expect(client.state.link).toBe('open');
  });

  test('is tried anew when the host wakes up while an attempt gets no answer', async () => {
    let isDeaf = true;
    let attempts = 0;
    const closed: number[] = [];
    const own = harness.host();
    const connector =
      (url: string): Connector =>
      (events) => {
        attempts++;
        // What is sent is lost: the socket neither opens nor closes.
        if (isDeaf) return { send() {}, close: (code) => void closed.push(code), bufferedBytes: 0 };
        return own.connector(url)(events);
      };
    const client = await harness.connect({}, { connector });
    await harness.pass(1000);
    expect([client.state.link, attempts]).toEqual(['connecting', 1]);
    isDeaf = false;
    harness.wakeUp(60_000);
    await harness.pass(2000);
    expect(client.state.link).toBe('open');
    // Or a late answer would leave the gateway with a connection that nobody uses.
    expect(closed).toEqual([1000]);
  });

  test('is made anew within 2 s of waking up where its socket looks open and is dead', async () => {
    const client = await harness.ready();
    await harness.pass(1000);
    harness.newest.send = () => {};
    await harness.pass(3000);
    harness.wakeUp(60_000);
    await harness.pass(2000);
    expect(harness.channels).toHaveLength(2);
    expect(client.state.link).toBe('open');
  });

  test('is not taken for silent while an upload goes on that takes longer than a pong may', async () => {
    harness.segmentsAllowed = 0;
    const client = await harness.ready();
    const near = harness.newest;
    const { send } = near;
    // 10 s for the picture; what comes behind it waits for it. The socket's buffer shrinks all the while.
    let freeAtMs = 0;
    near.send = (frame) => {
      const ms = frame.byteLength > 200 ? 10_000 : 0;
      freeAtMs = Math.max(harness.clock.now(), freeAtMs) + ms;
      for (let step = 1; step <= 10 && ms > 0; step++) {
        harness.clock.after((step * ms) / 10, () => {
          near.bufferedBytes = 1000 - 100 * step;
        });
      }
      if (ms > 0) near.bufferedBytes = 1000;
      harness.clock.after(freeAtMs - harness.clock.now(), () => send.call(near, frame));
    };
    await harness.pass(13_000);
    const result = client.infer(PICTURE, { label: 'public', deadlineMs: 100_000 });
    result.catch(() => {});
    await harness.pass(12_000);
    harness.gateway.executor.finish(CLOUD_ANSWER);
    await harness.pass(1000);
    expect(harness.channels).toHaveLength(1);
    const { outputs, route } = await result;
    expect(answerOf(outputs)).toEqual(CLOUD_ANSWER);
    expect(route.sent).toHaveLength(1);
  });

  test('reports how deep finished requests went before it is closed', async () => {
    const client = await harness.ready();
    await client.infer(PICTURE, ON_DEVICE);
    await client.close();
    await harness.pass(1);
    expect(harness.messagesOf('ping').at(-1)?.usage).toEqual([{ plan: client.plan.id, k: 2, count: 1 }]);
    expect(await harness.gateway.metric('tandem_client_requests_total', { model: 'small', k: '2' })).toBe(1);
  });

  test('reports how deep finished requests went', async () => {
    const client = await harness.ready();
    await client.infer(PICTURE, ON_DEVICE);
    await client.infer(PICTURE, ON_DEVICE);
    await harness.pass(15_000);
    const usages = () => harness.messagesOf('ping').flatMap(({ usage }) => usage);
    expect(usages()).toEqual([{ plan: client.plan.id, k: 2, count: 2 }]);
    await harness.pass(15_000);
    expect(usages()).toHaveLength(1);
  });

  test('reports with the next connection what no pong has confirmed, also where the page was left meanwhile', async () => {
    let leave = () => {};
    const onLeave = (listener: () => void) => {
      leave = listener;
      return () => {};
    };
    const client = await harness.connect({}, { onLeave });
    await harness.pass(1);
    for (let i = 0; i < 3; i++) await client.infer(PICTURE, ON_DEVICE);
    harness.newest.send = () => {};
    await harness.pass(15_000);
    // The ping with the usage is lost. The page is hidden for a moment (pagehide into the back-forward cache).
    leave();
    await harness.pass(30_000);
    expect(harness.channels.length).toBeGreaterThan(1);
    const usage = harness.messagesOf('ping').flatMap((ping) => ping.usage);
    expect(usage).toEqual([{ plan: harness.plan.id, k: 2, count: 3 }]);
  });

  test('is asked twice after it has idled: the first ping may have had to wake a radio', async () => {
    await harness.ready();
    await harness.pass(1_000);
    const pings = () => harness.messagesOf('ping').length;
    expect(pings()).toBe(1);
    await harness.pass(15_000);
    expect(pings()).toBe(3);
    await harness.pass(15_000);
    expect(pings()).toBe(5);
  });

  test('reports nothing of requests that may send nothing, nor of a client without a policy', async () => {
    const client = await harness.ready();
    await client.infer(PICTURE, { label: 'secret' });
    await client.infer(PICTURE, { label: 'nobody' });
    await client.infer(PICTURE);
    const without = await harness.ready({ policy: undefined });
    await without.infer(PICTURE, { label: 'public' });
    await harness.pass(15_000);
    await client.close();
    await without.close();
    const pings = harness.messagesOf('ping');
    expect(pings.length).toBeGreaterThan(3);
    expect(pings.flatMap(({ usage }) => usage)).toEqual([]);
  });
});

test('a request does not wait for the last answer of a gateway that goes away, where another is there', async () => {
  harness.segmentsAllowed = 0;
  const next = new ClientHarness();
  let isDraining = false;
  const [own, other] = [harness.host(), next.host()];
  const connector =
    (url: string): Connector =>
    (events) =>
      (isDraining ? other : own).connector(url)(events);
  const client = await harness.connect({}, { connector });
  await harness.pass(1);
  const slow = client.infer(PICTURE, { label: 'public', deadlineMs: 100_000 });
  slow.catch(() => {});
  await harness.pass(1);
  void harness.gateway.gateway.drain(60_000);
  isDraining = true;
  await harness.pass(1000);
  const result = client.infer(PICTURE, { label: 'public', deadlineMs: 10_000 });
  result.catch(() => {});
  for (let i = 0; i < 10; i++) {
    await harness.pass(1000);
    next.gateway.executor.finish(CLOUD_ANSWER);
  }
  await harness.pass(1000);
  expect(answerOf((await result).outputs)).toEqual(CLOUD_ANSWER);
  harness.gateway.executor.finish(CLOUD_ANSWER);
  await harness.pass(1000);
  expect(answerOf((await slow).outputs)).toEqual(CLOUD_ANSWER);
  // With its last answer the old connection is over, the new one is not.
  expect([client.state.link, next.channels.length]).toEqual(['open', 1]);
});

test('a connection of which nothing is under way is closed as soon as its gateway goes away', async () => {
  await harness.ready();
  const [leaving] = harness.channels;
  const closed: number[] = [];
  if (leaving) leaving.events = { ...leaving.events, onClose: (code) => void closed.push(code) };
  void harness.gateway.gateway.drain(60_000);
  await harness.pass(1);
  expect(closed).toEqual([1000]);
});

test('a client that is closed ends its connection to a gateway that goes away too', async () => {
  const harness = new ClientHarness();
  harness.segmentsAllowed = 0;
  const client = await harness.ready();
  const result = client.infer(PICTURE, { label: 'public' });
  await harness.pass(1);
  const [leaving] = harness.channels;
  const closed: number[] = [];
  if (leaving) leaving.events = { ...leaving.events, onClose: (code) => void closed.push(code) };
  void harness.gateway.gateway.drain(60_000);
  await harness.pass(1000);
  expect(closed).toEqual([]);
  await client.close();
  await expect(result).rejects.toMatchObject({ code: 'CLOSED' });
  await harness.pass(1);
  expect(closed).toEqual([1000]);
});

test('a pause that the gateway asks for holds for every request of the client', async () => {
  harness.segmentsAllowed = 0;
  const client = await harness.ready();
  client.infer(PICTURE, { label: 'public', deadlineMs: 1000 }).catch(() => {});
  await harness.pass(1);
  harness.gateway.executor.fail(new TandemError('OVERLOADED', 'no', { retryAfterMs: 5000 }));
  await harness.pass(2000);
  const result = client.infer(PICTURE, { label: 'public', deadlineMs: 20_000 });
  await harness.pass(2990);
  expect(harness.messagesOf('infer')).toHaveLength(1);
  await harness.pass(20);
  expect(harness.messagesOf('infer')).toHaveLength(2);
  await harness.finish();
  expect(answerOf((await result).outputs)).toEqual(CLOUD_ANSWER);
});

test('what waits in the socket is part of the time that sending is expected to take', async () => {
  const client = await harness.ready();
  const uplinkMs = async () =>
    (await client.explain(PICTURE, { label: 'public' })).candidates.find(({ k }) => k === 0)?.predicted.uplinkMs ?? 0;
  const before = await uplinkMs();
  harness.newest.bufferedBytes = 1_000_000;
  expect(await uplinkMs()).toBeGreaterThan(before + 1000);
});

test('what one gateway cannot take is not held against the next', async () => {
  harness.segmentsAllowed = 0;
  const client = await harness.ready();
  const first = client.infer(PICTURE, { label: 'public', deadlineMs: 1000 });
  first.catch(() => {});
  await harness.pass(1);
  harness.gateway.executor.fail(new TandemError('OVERLOADED', 'no', { retryAfterMs: 60_000 }));
  await harness.pass(2000);
  // Another instance, which has nothing to do.
  await harness.cut();
  await harness.pass(1000);
  const result = client.infer(PICTURE, { label: 'public', deadlineMs: 20_000 });
  result.catch(() => {});
  for (let i = 0; i < 20; i++) {
    await harness.pass(1000);
    harness.gateway.executor.finish(CLOUD_ANSWER);
  }
  await harness.pass(1000);
  expect(answerOf((await result).outputs)).toEqual(CLOUD_ANSWER);
});

test('what ended without a connection is counted once the gateway has said that it may be sent, and not before', async () => {
  const harness = new ClientHarness();
  const client = await harness.ready();
  const usages = () => harness.messagesOf('ping').flatMap(({ usage }) => usage);
  // The app's policy lets `staff` leave, the gateway does not grant it.
  expect((await client.infer(PICTURE, { label: 'staff' })).route.k).toBe(2);
  await harness.pass(60_000);
  expect(usages()).toEqual([]);
  harness.isReachable = false;
  await harness.cut();
  expect((await client.infer(PICTURE, { label: 'staff' })).route.k).toBe(2);
  expect((await client.infer(PICTURE, { label: 'public' })).route.k).toBe(2);
  harness.isReachable = true;
  await harness.pass(60_000);
  expect(client.state.link).toBe('open');
  expect(usages()).toEqual([{ plan: harness.plan.id, k: 2, count: 1 }]);
});
