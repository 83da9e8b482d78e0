/** Whatever happens to the link, the gateway or the device, a request that was begun gets its answer. */
import { beforeEach, describe, expect, test } from 'vitest';
import { headDevice } from '../../client/head-device.ts';
import { fakePictures } from '../../client/testkit/fake-pictures.ts';
import { TandemError } from '../../shared/errors.ts';
import { answerOf, CLOUD_ANSWER, ClientHarness, DEVICE_ANSWER, PICTURE } from '../helpers/client-harness.ts';

let harness: ClientHarness;
beforeEach(() => {
  harness = new ClientHarness();
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
    expect(answerOf(outputs)).toEqual(DEVICE_ANSWER);
    expect(route).toMatchObject({ k: 2, tier: null, fallback: { reason: 'failed' } });
    expect(route.bytesUp).toBeGreaterThan(0);
  });

  test('when the reply is late: the device answers, the gateway is told, its reply goes nowhere', async () => {
    const client = await harness.ready();
    const { result } = await underWay(client);
    await harness.pass(5000);
    const { outputs, route } = await result;
    expect(answerOf(outputs)).toEqual(DEVICE_ANSWER);
    expect(route).toMatchObject({ k: 2, tier: null, fallback: { reason: 'late' } });
    expect(harness.messagesOf('cancel')).toEqual([{ type: 'cancel', id: harness.messagesOf('infer')[0]?.id }]);
    await harness.finish();
    expect(client.state.link).toBe('open');
  });

  test('when reply and device race: the reply wins if it comes first, and the device’s work is dropped', async () => {
    const client = await harness.ready();
    const { result } = await underWay(client);
    harness.deviceGate = new Promise(() => {});
    await harness.pass(5000);
    await harness.finish();
    const { outputs, route } = await result;
    expect(answerOf(outputs)).toEqual(CLOUD_ANSWER);
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
    const { outputs, route } = await result;
    expect(answerOf(outputs)).toEqual(DEVICE_ANSWER);
    // It went on where it was: nothing was begun anew.
    expect(route).toMatchObject({ k: 2, fallback: { reason: 'late' }, sent: [{ outcome: 'late' }] });
  });

  test('when the reply comes after all: the device leaves it at the segment that it is at', async () => {
    const run: number[] = [];
    harness.onDevice = (device) => ({
      ...device,
      advance(crossing) {
        run.push(crossing.k);
        return device.advance(crossing);
      },
    });
    const client = await harness.ready();
    let open = () => {};
    harness.deviceGate = new Promise((resolve) => {
      open = resolve;
    });
    const { result } = await underWay(client, 0);
    await harness.pass(5000);
    await harness.finish();
    expect(answerOf((await result).outputs)).toEqual(CLOUD_ANSWER);
    open();
    await harness.pass(1000);
    expect(run).toEqual([0]);
  });

  test('when the gateway fails again and again: it is asked less and less often', async () => {
    harness.allowSegments(0);
    const client = await harness.ready();
    harness.gateway.executor.run = () => Promise.reject(new TandemError('UNAVAILABLE', 'no worker'));
    const result = client.infer(PICTURE, { label: 'public', deadlineMs: 100_000 });
    result.catch(() => {});
    const askedWithin = async (ms: number) => {
      const before = harness.messagesOf('infer').length;
      await harness.pass(ms);
      return harness.messagesOf('infer').length - before;
    };
    // At once, and after 200, 400, 800, 1600 and 3200 ms.
    expect([await askedWithin(190), await askedWithin(5900), await askedWithin(200)]).toEqual([1, 4, 1]);
    await harness.pass(20_000);
    expect(await askedWithin(30_000)).toBe(3);
  });

  test('when the reply is late and the last segment comes only then: the device goes on as soon as it can', async () => {
    harness.allowSegments(1);
    const client = await harness.ready();
    const { result } = await underWay(client);
    await harness.pass(5000);
    harness.allowSegments(2);
    await harness.pass(1000);
    const { outputs, route } = await result;
    expect(answerOf(outputs)).toEqual(DEVICE_ANSWER);
    expect(route).toMatchObject({ k: 2, fallback: { reason: 'late' }, sent: [{ k: 1 }] });
  });

  test('when the reply is late and the device dies while it goes on: the next device does', async () => {
    const client = await harness.ready();
    const { result } = await underWay(client);
    harness.deviceGate = new Promise(() => {});
    await harness.pass(2000);
    await harness.loseDevice();
    harness.deviceGate = Promise.resolve();
    await harness.pass(5000);
    const { outputs, route } = await result;
    expect(answerOf(outputs)).toEqual(DEVICE_ANSWER);
    expect(route).toMatchObject({ k: 2, fallback: { reason: 'late' }, sent: [{ k: 1, outcome: 'late' }] });
  });

  test('when it was sent before there was a device, and is never answered: the device does it once it is there', async () => {
    harness.head = harness.plan;
    const client = await harness.connect(
      {},
      { headDevice: (plan) => headDevice(plan, 'wasm', fakePictures(), harness.clock) },
    );
    const { result } = await underWay(client, 0);
    await harness.pass(10_000);
    const { outputs, route } = await result;
    expect(answerOf(outputs)).toEqual(DEVICE_ANSWER);
    expect(route).toMatchObject({ k: 2, fallback: { reason: 'late' }, sent: [{ k: 0, outcome: 'late' }] });
  });

  test('when the reply is late and the device fails: the reply is waited for', async () => {
    const client = await harness.ready();
    const { result } = await underWay(client);
    harness.deviceFails = true;
    await harness.pass(5000);
    await harness.finish();
    expect(answerOf((await result).outputs)).toEqual(CLOUD_ANSWER);
  });

  test('when the reply is late, the device fails and the gateway too: it is asked again', async () => {
    const client = await harness.ready();
    const { result } = await underWay(client);
    harness.deviceFails = true;
    await harness.pass(5000);
    harness.gateway.executor.fail(new TandemError('OVERLOADED', 'full'));
    await harness.pass(1000);
    expect(harness.messagesOf('infer')).toHaveLength(2);
    await harness.finish();
    expect(answerOf((await result).outputs)).toEqual(CLOUD_ANSWER);
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
    for (const { outputs } of await Promise.all(results)) expect(answerOf(outputs)).toEqual(CLOUD_ANSWER);
    expect(client.state.link).toBe('open');
  });

  test('when the gateway is slow: it is not chosen again and again, and is tried again in time', async () => {
    const client = await harness.ready();
    for (let i = 0; i < 6; i++) {
      const result = client.infer(PICTURE, { label: 'public' });
      await harness.pass(3000);
      expect(answerOf((await result).outputs)).toEqual(DEVICE_ANSWER);
      await harness.finish();
    }
    const sent = harness.messagesOf('infer').length;
    expect(sent).toBeLessThan(3);
    await harness.pass(600_000);
    const result = client.infer(PICTURE, { label: 'public' });
    await harness.serve();
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
    await harness.finish();
    expect(answerOf((await result).outputs)).toEqual(CLOUD_ANSWER);
  });

  test('when the link dies and the device has nothing: it is sent again over the next connection', async () => {
    harness.allowSegments(0);
    const client = await harness.ready();
    const { result } = await underWay(client, 0);
    await harness.cut();
    await harness.pass(1000);
    expect(harness.messagesOf('infer')).toHaveLength(2);
    harness.gateway.executor.finish(CLOUD_ANSWER);
    await harness.finish();
    expect(answerOf((await result).outputs)).toEqual(CLOUD_ANSWER);
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
    expect(answerOf((await result).outputs)).toEqual(DEVICE_ANSWER);
  });

  test('when the device fails: the gateway goes on from the boundary it reached', async () => {
    harness.deviceFails = true;
    const client = await harness.ready();
    const result = client.infer(PICTURE, { label: 'public', force: { k: 1 } });
    await harness.serve();
    const { outputs, route } = await result;
    expect(answerOf(outputs)).toEqual(CLOUD_ANSWER);
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
