import { beforeEach, describe, expect, test } from 'vitest';
import { TandemError } from '../../shared/errors.ts';
import type { Tensors } from '../../shared/tensor.ts';
import { ClientHarness, DEVICE_ANSWER, PICTURE } from '../helpers/client-harness.ts';
import { settle } from '../helpers/fake-clock.ts';

const CLOUD_ANSWER = [7, 7, 7, 7];

let harness: ClientHarness;
beforeEach(() => {
  harness = new ClientHarness();
});

function answer(outputs: Tensors): number[] {
  return Array.from(outputs['y']?.data ?? [], Number);
}

/** Lets the gateway finish whatever it is on as soon as it comes. */
async function serveAll(): Promise<void> {
  await harness.pass(1);
  harness.gateway.executor.finish(CLOUD_ANSWER);
  await harness.pass(1);
}

describe('a request goes', () => {
  test('to the cloud as a picture while no segment is here', async () => {
    harness.allowSegments(0);
    const client = await harness.ready();
    const result = client.infer(PICTURE, { label: 'public' });
    await serveAll();
    const { outputs, route } = await result;
    expect(answer(outputs)).toEqual(CLOUD_ANSWER);
    expect(route).toMatchObject({ k: 0, tier: 'webp-80', label: 'public', size: 16, fallback: null });
    expect(route.bytesUp).toBeGreaterThan(64);
    expect(route.timing.server).toMatchObject({ computeMs: 2 });
    expect(route.decisions[0]?.removed).toContainEqual({
      k: 2,
      tier: null,
      reason: 'no segment is here yet',
      waitsFor: 'segments',
    });
  });

  test('as deep as its label demands, once the segments for that are here', async () => {
    harness.allowSegments(0);
    const client = await harness.ready();
    const result = client.infer(PICTURE, { label: 'personal' });
    await harness.pass(1000);
    expect(harness.messagesOf('infer')).toEqual([]);
    harness.allowSegments(1);
    await serveAll();
    const { route } = await result;
    expect(route).toMatchObject({ k: 1, fallback: null });
    expect(harness.messagesOf('infer')).toMatchObject([{ k: 1, label: 'personal' }]);
  });

  test('nowhere when its label is secret, unknown or missing, or there is no policy', async () => {
    const client = await harness.ready();
    const open = await harness.ready({ policy: undefined });
    for (const [one, label] of [
      [client, 'secret'],
      [client, 'whatever'],
      [client, undefined],
      [open, 'public'],
    ] as const) {
      const { outputs, route } = await one.infer(PICTURE, { label });
      expect(answer(outputs)).toEqual(DEVICE_ANSWER);
      expect(route).toMatchObject({ k: 2, tier: null, bytesUp: 0 });
    }
    expect(harness.messagesOf('infer')).toEqual([]);
  });

  test('nowhere when the gateway does not grant the label, whatever the client’s own policy says', async () => {
    const client = await harness.ready();
    const { route } = await client.infer(PICTURE, { label: 'staff' });
    expect(route.k).toBe(2);
    expect(route.decisions[0]?.removed[0]?.reason).toContain('does not grant');
    expect(harness.messagesOf('infer')).toEqual([]);
  });

  test('no shallower than the gateway’s own floor', async () => {
    const client = await harness.ready({ policy: { aliases: {}, labels: { personal: 'input' } } });
    await expect(client.infer(PICTURE, { label: 'personal', force: { k: 0 } })).rejects.toMatchObject({
      code: 'POLICY_DENIED',
    });
    expect(harness.messagesOf('infer')).toEqual([]);
  });

  test('where it is forced to, unless policy forbids that', async () => {
    const client = await harness.ready();
    const result = client.infer(PICTURE, { label: 'public', force: { k: 1, tier: 'q4' } });
    await serveAll();
    expect((await result).route).toMatchObject({ k: 1, tier: 'q4' });
    await expect(client.infer(PICTURE, { label: 'personal', force: { k: 0 } })).rejects.toMatchObject({
      code: 'POLICY_DENIED',
    });
    expect(harness.messagesOf('infer')).toHaveLength(1);
  });

  test('as tensors when the caller made them, and then never as a picture', async () => {
    const client = await harness.ready();
    const x = { dtype: 'float32', shape: [1, 3, 4, 16], data: new Float32Array(192) } as const;
    const result = client.infer({ x }, { label: 'public' });
    await serveAll();
    const { route } = await result;
    expect(route.decisions[0]?.removed).toContainEqual({
      k: 0,
      tier: 'webp-80',
      reason: 'the input was a tensor, not a picture',
      waitsFor: null,
    });
  });

  test('with the caller’s trace context, if that is one', async () => {
    const client = await harness.ready();
    const traceparent = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`;
    const result = client.infer(PICTURE, { label: 'public', force: { k: 0 }, traceparent });
    await serveAll();
    await result;
    expect(harness.messagesOf('infer')[0]?.trace).toBe(traceparent);
    await expect(client.infer(PICTURE, { traceparent: 'mine' })).rejects.toMatchObject({ code: 'BAD_INPUT' });
  });

  test('not as a format that the device cannot make', async () => {
    harness.webpWorks = false;
    const client = await harness.ready();
    const result = client.infer(PICTURE, { label: 'public' });
    await serveAll();
    const { route } = await result;
    expect(route.decisions[0]?.removed.find(({ k }) => k === 0)?.reason).toContain('cannot make');
  });
});

describe('no answer is lost', () => {
  /** A request that the gateway has and does not answer yet. */
  const underWay = async (client: Awaited<ReturnType<ClientHarness['connect']>>, k = 1) => {
    const result = client.infer(PICTURE, { label: 'public', force: { k } });
    result.catch(() => {});
    await harness.pass(1);
    expect(harness.messagesOf('infer')).toHaveLength(1);
    // Wrapped: an async function would wait for a promise that it returns.
    return { result };
  };

  test('when the link dies: the device goes on from its boundary', async () => {
    const client = await harness.ready();
    const { result } = await underWay(client);
    harness.isReachable = false;
    await harness.cut();
    const { outputs, route } = await result;
    expect(answer(outputs)).toEqual(DEVICE_ANSWER);
    expect(route).toMatchObject({ k: 2, tier: null, fallback: { reason: 'failed' } });
    expect(route.bytesUp).toBeGreaterThan(0);
  });

  test('when the reply is late: the device answers, the gateway is told, its reply goes nowhere', async () => {
    const client = await harness.ready();
    const { result } = await underWay(client);
    await harness.pass(5000);
    const { outputs, route } = await result;
    expect(answer(outputs)).toEqual(DEVICE_ANSWER);
    expect(route).toMatchObject({ k: 2, tier: null, fallback: { reason: 'late' } });
    expect(harness.messagesOf('cancel')).toEqual([{ type: 'cancel', id: harness.messagesOf('infer')[0]?.id }]);
    harness.gateway.executor.finish(CLOUD_ANSWER);
    await harness.pass(1);
    expect(client.state.link).toBe('open');
  });

  test('when reply and device race: the reply wins if it comes first, and the device’s work is dropped', async () => {
    const client = await harness.ready();
    const { result } = await underWay(client);
    harness.deviceGate = new Promise(() => {});
    await harness.pass(5000);
    harness.gateway.executor.finish(CLOUD_ANSWER);
    await harness.pass(1);
    const { outputs, route } = await result;
    expect(answer(outputs)).toEqual(CLOUD_ANSWER);
    expect(route).toMatchObject({ k: 1, fallback: null });
  });

  test('when the reply fails after it was late: the device’s answer is waited for', async () => {
    const client = await harness.ready();
    const { result } = await underWay(client);
    let open = () => {};
    harness.deviceGate = new Promise((resolve) => {
      open = resolve;
    });
    await harness.pass(5000);
    harness.isReachable = false;
    await harness.cut();
    open();
    expect(answer((await result).outputs)).toEqual(DEVICE_ANSWER);
  });

  test('when the reply is late and the last segment comes only then: the device goes on as soon as it can', async () => {
    harness.allowSegments(1);
    const client = await harness.ready();
    const { result } = await underWay(client);
    await harness.pass(5000);
    harness.allowSegments(2);
    await harness.pass(1000);
    const { outputs, route } = await result;
    expect(answer(outputs)).toEqual(DEVICE_ANSWER);
    expect(route).toMatchObject({ k: 2, fallback: { reason: 'late' }, sent: [{ k: 1 }] });
  });

  test('when the reply is late and the device fails: the reply is waited for', async () => {
    const client = await harness.ready();
    const { result } = await underWay(client);
    harness.deviceFails = true;
    await harness.pass(5000);
    harness.gateway.executor.finish(CLOUD_ANSWER);
    await harness.pass(1);
    expect(answer((await result).outputs)).toEqual(CLOUD_ANSWER);
  });

  test('when the reply is late, the device fails and the gateway too: it is asked again', async () => {
    const client = await harness.ready();
    const { result } = await underWay(client);
    harness.deviceFails = true;
    await harness.pass(5000);
    harness.gateway.executor.fail(new TandemError('OVERLOADED', 'full'));
    await harness.pass(1000);
    expect(harness.messagesOf('infer')).toHaveLength(2);
    harness.gateway.executor.finish(CLOUD_ANSWER);
    await harness.pass(1);
    expect(answer((await result).outputs)).toEqual(CLOUD_ANSWER);
  });

  test('when a boundary is too large for the gateway: another tier or the device takes its place', async () => {
    harness.gateway.limits.frameBytesMax = 100;
    const client = await harness.ready();
    const { route } = await client.infer(PICTURE, { label: 'public', force: { k: 0 } });
    expect(route).toMatchObject({
      k: 2,
      sent: [],
      fallback: { message: expect.stringContaining('PAYLOAD_TOO_LARGE') },
    });
    expect(client.state.link).toBe('open');
  });

  test('when the device cannot encode: it finishes by itself', async () => {
    harness.broken.add('encode');
    const client = await harness.ready();
    const { route } = await client.infer(PICTURE, { label: 'public', force: { k: 0 } });
    expect(route).toMatchObject({ k: 2, sent: [], fallback: { message: 'encoding it failed: no canvas' } });
  });

  test('when more are under way than the gateway takes: the others wait, and the connection lives', async () => {
    harness.allowSegments(0);
    const client = await harness.ready();
    const results = Array.from({ length: 5 }, () => client.infer(PICTURE, { label: 'public' }));
    await harness.pass(1);
    expect(harness.messagesOf('infer')).toHaveLength(3);
    for (let i = 0; i < 20; i++) {
      for (let j = 0; j < 3; j++) harness.gateway.executor.finish(CLOUD_ANSWER);
      await harness.pass(100);
    }
    for (const { outputs } of await Promise.all(results)) expect(answer(outputs)).toEqual(CLOUD_ANSWER);
    expect(client.state.link).toBe('open');
  });

  test('when the gateway is slow: it is not chosen again and again, and is tried again in time', async () => {
    const client = await harness.ready();
    for (let i = 0; i < 6; i++) {
      const result = client.infer(PICTURE, { label: 'public' });
      await harness.pass(3000);
      expect(answer((await result).outputs)).toEqual(DEVICE_ANSWER);
      harness.gateway.executor.finish(CLOUD_ANSWER);
      await harness.pass(1);
    }
    const sent = harness.messagesOf('infer').length;
    expect(sent).toBeLessThan(3);
    await harness.pass(600_000);
    const result = client.infer(PICTURE, { label: 'public' });
    await serveAll();
    await harness.pass(3000);
    await result;
    expect(harness.messagesOf('infer')).toHaveLength(sent + 1);
  });

  test('when the gateway is overloaded: the device finishes', async () => {
    const client = await harness.ready();
    const { result } = await underWay(client);
    harness.gateway.executor.fail(new TandemError('OVERLOADED', 'full', { retryAfterMs: 100 }));
    const { route } = await result;
    expect(route).toMatchObject({ k: 2, fallback: { reason: 'failed' } });
  });

  test('when the gateway is overloaded and the device has nothing: it is asked again when it said', async () => {
    harness.allowSegments(0);
    const client = await harness.ready();
    const { result } = await underWay(client, 0);
    harness.gateway.executor.fail(new TandemError('OVERLOADED', 'full', { retryAfterMs: 300 }));
    await harness.pass(299);
    expect(harness.messagesOf('infer')).toHaveLength(1);
    await harness.pass(2);
    expect(harness.messagesOf('infer')).toHaveLength(2);
    harness.gateway.executor.finish(CLOUD_ANSWER);
    await harness.pass(1);
    expect(answer((await result).outputs)).toEqual(CLOUD_ANSWER);
  });

  test('when the link dies and the device has nothing: it is sent again over the next connection', async () => {
    harness.allowSegments(0);
    const client = await harness.ready();
    const { result } = await underWay(client, 0);
    await harness.cut();
    await harness.pass(1000);
    expect(harness.messagesOf('infer')).toHaveLength(2);
    harness.gateway.executor.finish(CLOUD_ANSWER);
    harness.gateway.executor.finish(CLOUD_ANSWER);
    await harness.pass(1);
    expect(answer((await result).outputs)).toEqual(CLOUD_ANSWER);
  });

  test('when the link dies and the last segment is still on its way: the device waits for that', async () => {
    harness.allowSegments(1);
    const client = await harness.ready();
    const { result } = await underWay(client);
    harness.isReachable = false;
    await harness.cut();
    await harness.pass(1000);
    harness.allowSegments(2);
    await harness.pass(1);
    expect(answer((await result).outputs)).toEqual(DEVICE_ANSWER);
  });

  test('when the device fails: the gateway goes on from the boundary it reached', async () => {
    harness.deviceFails = true;
    const client = await harness.ready();
    const result = client.infer(PICTURE, { label: 'public', force: { k: 1 } });
    await serveAll();
    const { outputs, route } = await result;
    expect(answer(outputs)).toEqual(CLOUD_ANSWER);
    expect(route).toMatchObject({ k: 0, fallback: { reason: 'failed' } });
  });

  test('but a failed device tells so where nothing else may run the request', async () => {
    harness.deviceFails = true;
    const client = await harness.ready();
    await expect(client.infer(PICTURE, { label: 'secret' })).rejects.toMatchObject({ code: 'DEVICE_FAILED' });
  });

  test('when the gateway refuses for good: the device finishes and does not ask again', async () => {
    const client = await harness.ready();
    const { result } = await underWay(client);
    harness.gateway.executor.fail(new TandemError('BAD_PAYLOAD', 'no'));
    expect((await result).route.k).toBe(2);
    expect(harness.messagesOf('infer')).toHaveLength(1);
  });
});

describe('waiting ends', () => {
  test('with the deadline', async () => {
    harness.allowSegments(0);
    const client = await harness.ready();
    harness.isReachable = false;
    await harness.cut();
    const result = client.infer(PICTURE, { label: 'public', deadlineMs: 500 });
    result.catch(() => {});
    await harness.pass(500);
    await expect(result).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' });
  });

  test('with the caller’s signal, whose reason is passed on, and the gateway is told', async () => {
    harness.allowSegments(0);
    const client = await harness.ready();
    const controller = new AbortController();
    const result = client.infer(PICTURE, { label: 'public', signal: controller.signal });
    result.catch(() => {});
    await harness.pass(1);
    const reason = new Error('never mind');
    controller.abort(reason);
    await expect(result).rejects.toBe(reason);
    await settle();
    expect(harness.messagesOf('cancel')).toHaveLength(1);
    await expect(client.infer(PICTURE, { signal: controller.signal })).rejects.toBe(reason);
  });

  test('when the client is closed', async () => {
    harness.allowSegments(0);
    const client = await harness.ready();
    const result = client.infer(PICTURE, { label: 'public' });
    result.catch(() => {});
    await harness.pass(1);
    await client.close();
    await expect(result).rejects.toMatchObject({ code: 'CLOSED' });
    await expect(client.infer(PICTURE)).rejects.toMatchObject({ code: 'CLOSED' });
    expect(client.state.link).toBe('closed');
  });

  test('at once where nothing can ever run the request', async () => {
    const client = await harness.ready({ download: false });
    await expect(client.infer(PICTURE, { label: 'secret' })).rejects.toMatchObject({ code: 'POLICY_DENIED' });
    // Segments will never come, whatever the link does.
    await expect(client.infer(PICTURE, { label: 'personal' })).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await expect(client.infer(PICTURE, { label: 'public', force: { k: 1 } })).rejects.toMatchObject({
      code: 'UNAVAILABLE',
    });
  });
});

describe('bad input is told', () => {
  test.each([
    ['pixels that do not fill the picture', { width: 5, height: 4, data: new Uint8Array(3) }, {}],
    ['a picture of no size', { width: 0, height: 4, data: new Uint8Array() }, {}],
    ['a tensor of another name', { z: { dtype: 'float32', shape: [1], data: new Float32Array(1) } } as const, {}],
    [
      'a tensor of another shape',
      { x: { dtype: 'float32', shape: [1, 3, 5, 16], data: new Float32Array(240) } } as const,
      {},
    ],
    ['a tensor without a shape', { x: { dtype: 'float32', data: new Float32Array(192) } } as never, {}],
    [
      'a tensor of the wrong array',
      { x: { dtype: 'float32', shape: [1, 3, 4, 16], data: new Array(192) } } as never,
      {},
    ],
    ['a deadline that is text', PICTURE, { deadlineMs: '100' as never }],
    ['nothing', null as never, {}],
    ['a number', 5 as never, {}],
    ['a picture without pixels', { width: 5, height: 4 } as never, {}],
    ['a picture of half a width', { width: 1.5, height: 4, data: new Uint8Array(24) }, {}],
    ['a deadline of no length', PICTURE, { deadlineMs: 0 }],
  ])('%s (BAD_INPUT)', async (_, input, options) => {
    const client = await harness.ready();
    await expect(client.infer(input, { label: 'public', ...options })).rejects.toMatchObject({ code: 'BAD_INPUT' });
  });

  test('a boundary or a tier that the plan does not have', async () => {
    const client = await harness.ready();
    await expect(client.infer(PICTURE, { label: 'public', force: { k: 9 } })).rejects.toMatchObject({
      code: 'BAD_BOUNDARY',
    });
    await expect(client.infer(PICTURE, { label: 'public', force: { k: 1, tier: 'x' } })).rejects.toMatchObject({
      code: 'UNKNOWN_TIER',
    });
  });

  test('an address that is none (BAD_CONFIG)', async () => {
    await expect(harness.connect({ url: 'gateway:80' })).rejects.toMatchObject({ code: 'BAD_CONFIG' });
  });
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

  test('is given up when it is open and silent', async () => {
    const client = await harness.ready();
    const [near] = harness.channels;
    if (near) near.send = () => {};
    await harness.pass(15_000);
    await harness.pass(5_000);
    await harness.pass(1_000);
    expect(harness.channels.length).toBeGreaterThan(1);
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
    client.subscribe(({ link }) => {
      if (link === 'connecting') void client.close();
    });
    await harness.cut();
    await harness.pass(60_000);
    expect(client.state.link).toBe('closed');
    expect(harness.channels).toHaveLength(1);
  });

  test('lives when a listener throws, and the error is reported', async () => {
    const client = await harness.ready();
    const mistake = new Error('of the app');
    client.subscribe(() => {
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
    expect(answer((await result).outputs)).toEqual(CLOUD_ANSWER);
  });

  test('does not take an upload before a ping for a slow network', async () => {
    const client = await harness.ready();
    const near = harness.channels.at(-1);
    if (near) near.bufferedBytes = 500_000;
    await harness.pass(14_000);
    if (near) {
      const { send } = near;
      near.send = (frame) => void harness.clock.after(2000, () => send.call(near, frame));
    }
    await harness.pass(5000);
    const remote = client.infer(PICTURE, { label: 'public' });
    await serveAll();
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

  test('reports how deep finished requests went before it is closed', async () => {
    const client = await harness.ready();
    await client.infer(PICTURE, { label: 'secret' });
    await client.close();
    await harness.pass(1);
    expect(harness.messagesOf('ping').at(-1)?.usage).toEqual([{ plan: client.plan.id, k: 2, count: 1 }]);
    expect(await harness.gateway.metric('tandem_client_requests_total', { model: 'small', k: '2' })).toBe(1);
  });

  test('reports how deep finished requests went', async () => {
    const client = await harness.ready();
    await client.infer(PICTURE, { label: 'secret' });
    await client.infer(PICTURE, { label: 'secret' });
    await harness.pass(15_000);
    expect(harness.messagesOf('ping').at(-1)?.usage).toEqual([{ plan: client.plan.id, k: 2, count: 2 }]);
    await harness.pass(15_000);
    expect(harness.messagesOf('ping').at(-1)?.usage).toEqual([]);
  });
});

describe('the download', () => {
  test('brings segments in chain order and says how far it is', async () => {
    harness.allowSegments(1);
    const client = await harness.ready();
    expect(client.state).toMatchObject({ segmentsReady: 1, segments: 2, bytesLoaded: 1, bytesTotal: 2 });
    harness.allowSegments(2);
    await harness.pass(1);
    expect(client.state).toMatchObject({ segmentsReady: 2, bytesLoaded: 2, downloadError: null });
  });

  test('tries again when a segment is not the one that the plan names, and in the end says so', async () => {
    harness.corrupt = true;
    const client = await harness.ready();
    await harness.pass(100_000);
    expect(client.state).toMatchObject({ segmentsReady: 0, downloadError: expect.stringContaining('SHA-256') });
    const result = client.infer(PICTURE, { label: 'public' });
    await serveAll();
    expect((await result).route.k).toBe(0);
  });

  test('goes on after a segment was missing for a while, as when a gateway is being replaced', async () => {
    harness.missingFiles = 1;
    const client = await harness.ready();
    await harness.pass(5000);
    expect(client.state).toMatchObject({ segmentsReady: 2, downloadError: null });
  });

  test('that has ended is named where a request needed it', async () => {
    harness.missingFiles = 100;
    const client = await harness.ready();
    await harness.pass(100_000);
    await expect(client.infer(PICTURE, { label: 'secret' })).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringContaining('404'),
    });
  });

  test('yields to a request that waits for the gateway, but not for ever', async () => {
    harness.allowSegments(1);
    const client = await harness.ready();
    const result = client.infer(PICTURE, { label: 'public', force: { k: 0 } });
    await harness.pass(1);
    harness.allowSegments(2);
    await harness.pass(100);
    expect(client.state.segmentsReady).toBe(1);
    await harness.pass(1000);
    expect(client.state.segmentsReady).toBe(2);
    harness.gateway.executor.finish(CLOUD_ANSWER);
    await harness.pass(1);
    await result;
  });

  test('goes on at once when nobody waits for the gateway any more', async () => {
    harness.allowSegments(1);
    const client = await harness.ready();
    const result = client.infer(PICTURE, { label: 'public', force: { k: 0 } });
    await harness.pass(1);
    harness.allowSegments(2);
    await harness.pass(100);
    harness.gateway.executor.finish(CLOUD_ANSWER);
    await harness.pass(1);
    await result;
    expect(client.state.segmentsReady).toBe(2);
  });

  test('goes on after a dead zone, however long that was', async () => {
    harness.allowSegments(1);
    const client = await harness.ready();
    harness.isReachable = false;
    await harness.cut();
    harness.allowSegments(2);
    await harness.pass(600_000);
    harness.isReachable = true;
    await harness.pass(31_000);
    expect(client.state).toMatchObject({ segmentsReady: 2, downloadError: null });
  });
});
