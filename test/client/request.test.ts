/** What happens to one request: where it goes, how it ends, what is refused. */
import { createHash } from 'node:crypto';
import { beforeEach, describe, expect, test } from 'vitest';
import { settle } from '../../client/testkit/fake-clock.ts';
import { flatTier } from '../../client/testkit/small-plan.ts';
import { planContract } from '../../shared/plan-contract.ts';
import { answerOf, CLOUD_ANSWER, ClientHarness, DEVICE_ANSWER, PICTURE } from '../helpers/client-harness.ts';

let harness: ClientHarness;
beforeEach(() => {
  harness = new ClientHarness();
});

describe('a request goes', () => {
  test('to the cloud as a picture while no segment is here', async () => {
    harness.allowSegments(0);
    const client = await harness.ready();
    const result = client.infer(PICTURE, { label: 'public' });
    await harness.serve();
    const { outputs, route } = await result;
    expect(answerOf(outputs)).toEqual(CLOUD_ANSWER);
    expect(route).toMatchObject({ k: 0, tier: 'webp-80', label: 'public', size: 16, fallback: null });
    expect(route.bytesUp).toBeGreaterThan(64);
    expect(route.timing.server).toMatchObject({ computeMs: 2 });
    expect(route.why).toContain('nothing else could be done: no segment is here yet');
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
    await harness.serve();
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
      expect(answerOf(outputs)).toEqual(DEVICE_ANSWER);
      expect(route).toMatchObject({ k: 2, tier: null, bytesUp: 0 });
      if (label === undefined) expect(route.why).toContain('a request without a label stays on the device');
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
    await harness.serve();
    expect((await result).route).toMatchObject({ k: 1, tier: 'q4' });
    await expect(client.infer(PICTURE, { label: 'personal', force: { k: 0 } })).rejects.toMatchObject({
      code: 'POLICY_DENIED',
    });
    expect(harness.messagesOf('infer')).toHaveLength(1);
  });

  test('where it is forced to once that can be done, where there is neither a link nor a whole device', async () => {
    harness.allowSegments(1);
    const client = await harness.ready();
    harness.isReachable = false;
    await harness.cut();
    const result = client.infer(PICTURE, { label: 'public', force: { k: 1, tier: 'q4' } });
    await harness.pass(100);
    harness.isReachable = true;
    await harness.pass(10_000);
    await harness.finish();
    expect((await result).route).toMatchObject({ k: 1, tier: 'q4', fallback: null });
  });

  test('to the end of the device where it is forced to the cloud and there is no link', async () => {
    const client = await harness.ready();
    harness.isReachable = false;
    await harness.cut();
    const { outputs, route } = await client.infer(PICTURE, { label: 'public', force: { k: 0 } });
    expect(answerOf(outputs)).toEqual(DEVICE_ANSWER);
    expect(route).toMatchObject({ k: 2, fallback: { reason: 'failed' } });
  });

  test('in the tiers that policy leaves where it is forced to a boundary, and not to another tier than it is forced to', async () => {
    const labels = { public: { from: 'input', tiers: ['webp-80', 'q4'] } } as const;
    const client = await harness.ready({ policy: { labels } });
    const result = client.infer(PICTURE, { label: 'public', force: { k: 1 } });
    await harness.serve();
    expect((await result).route).toMatchObject({ k: 1, tier: 'q4', fallback: null });
    await expect(client.infer(PICTURE, { label: 'public', force: { k: 1, tier: 'q8' } })).rejects.toMatchObject({
      code: 'POLICY_DENIED',
      message: expect.stringContaining('only the tiers'),
    });
  });

  test('as tensors when the caller made them, and then never as a picture', async () => {
    const client = await harness.ready();
    const x = { dtype: 'float32', shape: [1, 3, 4, 16], data: new Float32Array(192) } as const;
    const result = client.infer({ x }, { label: 'public' });
    await harness.serve();
    const { route } = await result;
    expect(route.decisions[0]?.removed).toContainEqual({
      k: 0,
      tier: 'webp-80',
      reason: 'the input was a tensor, not a picture',
      waitsFor: null,
    });
  });

  test('with an account of what each step took', async () => {
    harness.onDevice = (device) => ({
      ...device,
      begin: async (picture) => ({ ...(await device.begin(picture)), ms: 3 }),
      advance: async (crossing) => ({ ...(await device.advance(crossing)), ms: 5 }),
      encode: async (crossing, tier) => ({ ...(await device.encode(crossing, tier)), ms: 7 }),
    });
    const client = await harness.ready();
    const result = client.infer(PICTURE, { label: 'public', force: { k: 1 } });
    await harness.serve();
    expect((await result).route.timing).toMatchObject({ preprocessMs: 3, deviceMs: 5, encodeMs: 7 });
  });

  test.each(['load', 'advance'] as const)(
    'with the expectation that what the device took to %s has taught',
    async (step) => {
      harness.onDevice = (device) => ({
        ...device,
        load: async (k, model) => ({ ...(await device.load(k, model)), ms: step === 'load' ? 300 : 10 }),
        advance: async (crossing) => ({ ...(await device.advance(crossing)), ms: step === 'advance' ? 300 : 10 }),
      });
      const client = await harness.ready();
      if (step === 'advance') await client.infer(PICTURE, { label: 'public', prefer: 'device' });
      // 10 ms a segment were planned.
      expect(client.diagnostics().estimates.device).toBeGreaterThan(5);
      const cost = (await client.explain(PICTURE, { label: 'secret' })).chosen?.predicted;
      expect(cost?.deviceMs).toBeGreaterThan(100);
    },
  );

  test('with the caller’s trace context, if that is one', async () => {
    const client = await harness.ready();
    const traceparent = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`;
    const result = client.infer(PICTURE, { label: 'public', force: { k: 0 }, traceparent });
    await harness.serve();
    await result;
    expect(harness.messagesOf('infer')[0]?.trace).toBe(traceparent);
    await expect(client.infer(PICTURE, { traceparent: 'mine' })).rejects.toMatchObject({ code: 'BAD_INPUT' });
  });

  test('not as a format that the device cannot make', async () => {
    harness.webpWorks = false;
    const client = await harness.ready();
    const result = client.infer(PICTURE, { label: 'public' });
    await harness.serve();
    const { route } = await result;
    expect(route.decisions[0]?.removed.find(({ k }) => k === 0)?.reason).toContain('cannot make');
  });

  test('in another format where the device finds out only now that it cannot make one', async () => {
    const client = await harness.ready();
    harness.webpWorks = false;
    const result = client.infer(PICTURE, { label: 'public', prefer: 'cloud' });
    await harness.serve();
    const { route } = await result;
    expect(route).toMatchObject({ k: 1, sent: [{ k: 1 }] });
    expect(route.decisions[0]?.chosen?.k).toBe(0);
    expect(route.decisions[1]?.removed).toContainEqual(
      expect.objectContaining({ k: 0, tier: 'webp-80', reason: 'this device cannot make the format' }),
    );
  });

  test('with what the device has made of the outputs before it: the answer is whole', async () => {
    const [, middle, last] = harness.plan.boundaries;
    Object.assign(last ?? {}, { tensors: [...(middle?.tensors ?? []), ...(last?.tensors ?? [])] });
    replan();
    const client = await harness.ready();
    const result = client.infer(PICTURE, { label: 'public', force: { k: 1, tier: 'q8' } });
    await harness.serve();
    const { outputs, route } = await result;
    expect(route.k).toBe(1);
    expect(answerOf(outputs)).toEqual(CLOUD_ANSWER);
    expect(outputs['h']).toMatchObject({ shape: [1, 2, 1, 4] });
  });
});

/** What the gateway serves by now, after the test has changed it. */
function replan(): void {
  harness.plan.id = createHash('sha256').update(planContract(harness.plan)).digest('hex');
  Object.assign(harness.gateway.plan, harness.plan);
}

describe('a model of tensors', () => {
  beforeEach(() => {
    harness.plan.preprocess = null;
    Object.assign(harness.plan.boundaries[0] ?? {}, { tiers: [flatTier('q8', 8, [3])] });
    replan();
  });

  test('is sent them as they are before the device has anything', async () => {
    harness.allowSegments(0);
    const client = await harness.ready();
    const x = { dtype: 'float32', shape: [1, 3, 4, 16], data: new Float32Array(192) } as const;
    const result = client.infer({ x }, { label: 'public' });
    await harness.serve();
    const { outputs, route } = await result;
    expect(answerOf(outputs)).toEqual(CLOUD_ANSWER);
    expect(route).toMatchObject({ k: 0, tier: 'q8' });
  });

  test('refuses a picture, and that is no fault of the device', async () => {
    const client = await harness.ready();
    await expect(client.infer(PICTURE, { label: 'public' })).rejects.toMatchObject({
      code: 'BAD_INPUT',
      message: 'small takes tensors, not pictures',
    });
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
    await expect(result).rejects.toMatchObject({
      code: 'DEADLINE_EXCEEDED',
      message: expect.stringMatching(
        /^there was no answer within 500 ms: .*there is no connection.*no segment is here yet/,
      ),
    });
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

  test('at once with a tier that there is not, though segments are still on their way', async () => {
    harness.allowSegments(0);
    const client = await harness.ready();
    const force = { k: 1, tier: 'x' };
    await expect(client.infer(PICTURE, { label: 'public', force })).rejects.toMatchObject({ code: 'UNKNOWN_TIER' });
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
    ['somebody to prefer whom there is not', PICTURE, { prefer: 'phone' as never }],
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
