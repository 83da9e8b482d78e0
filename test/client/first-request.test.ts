/** The request that a page begins before the SDK has come: what it sends, when it sends nothing, and what the SDK makes of it. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Begun, pendingOf } from '../../client/begun.ts';
import type { CoreClient } from '../../client/client.ts';
import { beginFirst, type First, type FirstOptions, type FirstPlatform } from '../../client/first-request.ts';
import { describeRoute } from '../../client/route-text.ts';
import { fakePictures } from '../../client/testkit/fake-pictures.ts';
import type { InferOptions, Picture } from '../../client/types.ts';
import { encodeJsonFrame } from '../../shared/protocol/json-frame.ts';
import type { ServerMessage } from '../../shared/protocol/messages.ts';
import { planHeadPath } from '../../shared/protocol/paths.ts';
import { answerOf, CLOUD_ANSWER, ClientHarness, DEVICE_ANSWER, PICTURE, POLICY } from '../helpers/client-harness.ts';
import { GatewayHarness } from '../helpers/gateway-harness.ts';
import { httpGateway } from '../helpers/http-gateway.ts';

const PLAIN = { labels: { public: 'input', staff: 'input', secret: 'local' } };

describe('before the SDK', () => {
  let harness: GatewayHarness;
  let http: Awaited<ReturnType<typeof httpGateway>>;
  let asked: string[];
  const begun: First[] = [];
  beforeEach(async () => {
    harness = new GatewayHarness();
    http = await httpGateway(harness);
    asked = [];
  });
  afterEach(async () => {
    for (const first of begun.splice(0)) first.close();
    await http.stop();
  });

  const platform = (changes: Partial<FirstPlatform> = {}): FirstPlatform => ({
    fetch: (url, init) => {
      asked.push(new URL(String(url)).pathname);
      return fetch(url, init);
    },
    pictures: fakePictures(),
    now: () => performance.now(),
    inputOf: async (input) => input as Picture,
    ...changes,
  });
  const begin = (
    options: Partial<FirstOptions> & { readonly token?: string } = {},
    changes: Partial<FirstPlatform> = {},
  ): First | null => {
    const { token = null, ...rest } = options;
    const context = {
      base: http.url,
      token: Promise.resolve(token),
      head: fetch(`${http.url}${planHeadPath('small')}`),
    };
    const first = beginFirst(
      { policy: PLAIN, first: { input: PICTURE, label: 'public' }, ...rest },
      context,
      platform(changes),
    );
    if (first) begun.push(first);
    return first;
  };
  /** A picture that comes when the test says so. */
  const later = () => {
    let give = (_: Picture) => {};
    const input = new Promise<Picture>((resolve) => {
      give = resolve;
    });
    return { input, give };
  };
  const seen = (count: number) => expect.poll(() => harness.executor.seen.length).toBe(count);
  /** Once all that could be sent was. */
  const quiet = () => new Promise((resolve) => setTimeout(resolve, 100));

  test('sends the picture, once, and the answer is there to be taken', async () => {
    const startMs = performance.now();
    const first = begin();
    await seen(1);
    harness.executor.finish([3, 1, 4]);
    const taken = first?.take(PICTURE) as Begun;
    expect(taken).toMatchObject({ input: PICTURE, size: 16, request: { k: 0, tier: 'webp-80', label: 'public' } });
    expect(taken.payload.parts).toHaveLength(1);
    expect(first?.take(PICTURE)).toBeNull();
    const { reply, lastWord, bytesUp } = pendingOf(taken);
    const { message, parts, bytesDown, elapsedMs } = await reply;
    expect(new Float32Array(parts[0]?.slice().buffer as ArrayBuffer)).toEqual(Float32Array.of(3, 1, 4));
    expect(message.receipt).not.toBeNull();
    expect(await lastWord).toBe(message);
    expect([bytesUp > 100, bytesDown > 100, elapsedMs > 0]).toEqual([true, true, true]);
    expect(taken.preprocessMs + taken.encodeMs + elapsedMs).toBeLessThan(performance.now() - startMs);
    expect(harness.executor.seen[0]).toMatchObject({ k: 0, tier: 'webp-80', planId: harness.plan.id });
    expect(asked).toEqual(['/welcome', '/infer']);
  });

  test('waits for a picture that is not there yet, and for the token', async () => {
    const { input, give } = later();
    begin({ first: { input, label: 'staff' }, token: 'sesame' });
    await quiet();
    expect(asked).toEqual(['/welcome']);
    give(PICTURE);
    await seen(1);
    expect(harness.audited).toEqual([]);
    harness.executor.finish();
    await expect.poll(() => harness.audited).toMatchObject([{ label: 'staff', tenant: 'staff', outcome: 'ok' }]);
  });

  test('sends nothing where it was asked for in the moment that the picture came', async () => {
    const { input, give } = later();
    const first = begin({ first: { input, label: 'public' } });
    await quiet();
    give(PICTURE);
    expect(first?.take(PICTURE)).toBeNull();
    await quiet();
    expect(asked).toEqual(['/welcome']);
    expect(harness.executor.seen).toEqual([]);
  });

  test('sends nothing where the picture comes so late that the gateway may grant something else by then', async () => {
    const { input, give } = later();
    let nowMs = 0;
    begin({ first: { input, label: 'public' } }, { now: () => nowMs });
    await quiet();
    expect(asked).toEqual(['/welcome']);
    nowMs = 600_000;
    give(PICTURE);
    await quiet();
    expect(asked).not.toContain('/infer');
    expect(harness.executor.seen).toEqual([]);
  });

  test('sends it also where the SDK has read the plan before the token came', async () => {
    const head = fetch(`${http.url}${planHeadPath('small')}`);
    const token = new Promise<string>((resolve) => setTimeout(resolve, 100, 'sesame'));
    const first = { input: PICTURE, label: 'staff' };
    const made = beginFirst({ policy: PLAIN, first }, { base: http.url, token, head }, platform());
    if (made) begun.push(made);
    await (await head).json();
    await seen(1);
    harness.executor.finish();
  });

  test.each([
    ['there is no network', false],
    ['it is asked for before the plan is there', true],
  ])('leaves no rejection to the page where %s', async (_, isTaken) => {
    const unhandled: unknown[] = [];
    const listener = (reason: unknown) => unhandled.push(reason);
    process.on('unhandledRejection', listener);
    const offline = async (_url: unknown, init?: RequestInit): Promise<Response> => {
      await quiet();
      init?.signal?.throwIfAborted();
      throw new TypeError('Failed to fetch');
    };
    const head = isTaken ? new Promise<Response>(() => {}) : offline(null);
    head.catch(() => {});
    const first = beginFirst(
      { policy: PLAIN, first: { input: PICTURE, label: 'public' } },
      { base: http.url, token: null, head },
      platform({ fetch: offline }),
    );
    if (isTaken) {
      await new Promise((resolve) => setTimeout(resolve, 10));
      expect(first?.take(PICTURE)).toBeNull();
    }
    await quiet();
    await quiet();
    process.off('unhandledRejection', listener);
    expect(unhandled).toEqual([]);
  });

  test('without receipts where none are wanted', async () => {
    const first = begin({ receipts: false });
    await seen(1);
    harness.executor.finish();
    const taken = first?.take(PICTURE) as Begun;
    expect([taken.receiptKey, (await pendingOf(taken).reply).message.receipt]).toEqual([null, null]);
  });

  test.each<[string, Partial<FirstOptions>, Partial<FirstPlatform>]>([
    ['that policy keeps', { first: { input: PICTURE, label: 'secret' } }, {}],
    ['without a policy', { policy: undefined }, {}],
    ['of a label that the gateway does not grant', { first: { input: PICTURE, label: 'staff' } }, {}],
    ['that cannot be read', {}, { inputOf: () => Promise.reject(new Error('no picture')) }],
    ['that this browser cannot encode', {}, { pictures: { ...fakePictures(), encode: async () => null } }],
    [
      'that is larger than a frame may be',
      {},
      { pictures: { ...fakePictures(), encode: async () => new Uint8Array(5000) } },
    ],
  ])('a picture %s is not sent, and left to the SDK', async (_, options, changes) => {
    const first = begin(options, changes);
    await quiet();
    expect(asked).not.toContain('/infer');
    expect(first?.take(PICTURE) ?? null).toBeNull();
  });

  test('is not sent any more once the SDK was asked, or the page has given up', async () => {
    let encoded = () => {};
    const encode = () => new Promise<Uint8Array>((resolve) => (encoded = () => resolve(new Uint8Array(8))));
    for (const end of [(first: First) => first.take(PICTURE), (first: First) => first.close()]) {
      const first = begin({}, { pictures: { ...fakePictures(), encode } }) as First;
      await quiet();
      expect(end(first) ?? null).toBeNull();
      encoded();
      await quiet();
    }
    expect(asked).not.toContain('/infer');
  });

  test('sends nothing where the gateway serves another plan than the one that was read', async () => {
    const head = Response.json({ ...harness.plan, id: 'f'.repeat(64) });
    const first = { input: PICTURE, label: 'public' };
    const context = { base: http.url, token: Promise.resolve(null), head: Promise.resolve(head) };
    const made = beginFirst({ policy: PLAIN, first }, context, platform());
    if (made) begun.push(made);
    await quiet();
    expect(asked).toEqual(['/welcome']);
  });

  test('is sent in the form that is smallest of those that are accurate enough', async () => {
    const { boundaries, measured } = harness.plan;
    const qualities = [80, 60, 20];
    const name = (quality: number) => `webp-${quality}`;
    const tiers = qualities.map((quality) => ({ type: 'picture', name: name(quality), format: 'webp', quality }));
    Object.assign(boundaries[0] ?? {}, { tiers });
    const decodeMs = { fixed: 1, perSize: 0 };
    const exactly = (target: string, tier: string | null, exactMatch: number) => ({
      ...{ target, k: 0, tier, metrics: { exactMatch } },
    });
    Object.assign(measured ?? {}, {
      tiers: qualities.map((quality) => ({
        k: 0,
        tier: name(quality),
        bytes: { fixed: quality, perSize: 0 },
        decodeMs,
      })),
      accuracy: [exactly('server', null, 0.9), exactly('wasm', name(60), 0.89), exactly('wasm', name(20), 0.7)],
    });
    const context = {
      ...{ base: http.url, token: Promise.resolve(null) },
      head: Promise.resolve(Response.json(harness.plan)),
    };
    const first = { input: PICTURE, label: 'public' };
    const made = beginFirst({ policy: PLAIN, first }, context, platform());
    if (made) begun.push(made);
    await seen(1);
    expect(harness.executor.seen[0]?.tier).toBe('webp-60');
  });

  test('comes to nothing where a network answers with a page of its own', async () => {
    const page = new Response('<title>Log in</title>', { headers: { 'Content-Type': 'text/html' } });
    const first = begin({}, { fetch: async (url, init) => (String(url).includes('/infer') ? page : fetch(url, init)) });
    await quiet();
    const { reply, lastWord } = pendingOf(first?.take(PICTURE) as Begun);
    await expect(reply).rejects.toMatchObject({ code: 'UNAVAILABLE', message: expect.stringContaining('HTTP 200') });
    expect(await lastWord).toBeNull();
  });

  test('ends at the gateway with the request that took it', async () => {
    const first = begin();
    await seen(1);
    first?.take(PICTURE)?.cancel();
    await expect.poll(() => harness.audited.map(({ outcome }) => outcome)).toEqual(['cancelled']);
  });

  test('another picture is none of its business', async () => {
    const first = begin();
    await seen(1);
    expect(first?.take({ ...PICTURE })).toBeNull();
    expect(first?.take(PICTURE)).not.toBeNull();
  });

  test('is cancelled at the gateway where nobody takes it', async () => {
    const first = begin();
    await seen(1);
    first?.close();
    await expect.poll(() => harness.audited.map(({ outcome }) => outcome)).toEqual(['cancelled']);
  });
});

describe('the SDK', () => {
  /** What has left, and what comes of it when the test says so. */
  function left(harness: ClientHarness, changes: Partial<Begun['request']> = {}) {
    let settle: { resolve(frame: Uint8Array): void; reject(error: Error): void } | undefined;
    const frame = new Promise<Uint8Array>((resolve, reject) => {
      settle = { resolve, reject };
    });
    let isCancelled = false;
    const begun: Begun = {
      input: PICTURE,
      request: {
        ...{ plan: harness.plan.id, k: 0, tier: 'webp-80', label: 'public', noise: [], retain: true },
        ...{ deadlineMs: 30_000, trace: null, ...changes },
      },
      payload: { parts: [Uint8Array.of(1, 2, 3)], shapes: [[1, 3, 4, 16]] },
      ...{ size: 16, receiptKey: null, bytesUp: 100, preprocessMs: 2, encodeMs: 3 },
      response: frame.then((bytes) => ({ frame: bytes, elapsedMs: 40 })),
      cancel: () => {
        isCancelled = true;
      },
    };
    const say = (message: ServerMessage, parts: Uint8Array[] = []) => settle?.resolve(encodeJsonFrame(message, parts));
    const load = { queueDepth: 0, queueMs: 0 };
    return {
      begun,
      answer() {
        const timing = { queueMs: 0, decodeMs: 1, computeMs: 9, totalMs: 10 };
        const values = new Uint8Array(Float32Array.from(CLOUD_ANSWER).buffer);
        say({ type: 'result', id: 1, shapes: [[1, 4]], parts: [16], timing, receipt: null, load }, [values]);
      },
      fail: (code: 'OVERLOADED' | 'POLICY_DENIED', retryAfterMs: number | null = null) =>
        say({ type: 'error', id: 1, code, message: 'no', retryAfterMs, receipt: null }),
      breakOff: () => settle?.reject(new TypeError('fetch failed')),
      isCancelled: () => isCancelled,
    };
  }

  async function started(options: Parameters<ClientHarness['connect']>[0] = {}, segments = 0) {
    const harness = new ClientHarness();
    harness.segmentsAllowed = segments;
    const client = (await harness.ready({ policy: POLICY, ...options })) as CoreClient;
    const infer = (begun: Begun, inferOptions: InferOptions = {}) =>
      client.infer(PICTURE, { label: 'public', ...inferOptions }, begun);
    return { harness, client, infer };
  }

  test('waits for what has left, and sends nothing', async () => {
    const { harness, infer } = await started();
    const { begun, answer } = left(harness);
    const result = infer(begun);
    answer();
    const { outputs, route } = await result;
    expect(answerOf(outputs)).toEqual(CLOUD_ANSWER);
    expect(harness.messagesOf('infer')).toEqual([]);
    expect(route).toMatchObject({
      ...{ k: 0, tier: 'webp-80', label: 'public', size: 16, bytesUp: 100, decisions: [], fallback: null },
      why: 'k = 0 as webp-80: it had left before the SDK was there',
      timing: { preprocessMs: 2, encodeMs: 3, networkMs: 30, server: { totalMs: 10 } },
      sent: [{ k: 0, tier: 'webp-80', bytes: 100, outcome: 'answered' }],
    });
  });

  test.each(['OVERLOADED', 'breaks off'] as const)('sends it anew where it came to nothing: %s', async (how) => {
    const { harness, infer } = await started();
    const { begun, fail, breakOff } = left(harness);
    const result = infer(begun);
    if (how === 'OVERLOADED') fail(how);
    else breakOff();
    await harness.pass(1000);
    await harness.finish();
    const { outputs, route } = await result;
    expect(answerOf(outputs)).toEqual(CLOUD_ANSWER);
    expect(route.sent.map(({ outcome }) => outcome)).toEqual(['failed', 'answered']);
    expect(route.bytesUp).toBeGreaterThan(100);
  });

  test('sends it anew no sooner than the gateway asked for', async () => {
    const { harness, infer } = await started();
    const { begun, fail } = left(harness);
    const result = infer(begun);
    fail('OVERLOADED', 3000);
    await harness.pass(2990);
    expect(harness.messagesOf('infer')).toEqual([]);
    await harness.pass(20);
    await harness.finish();
    expect(answerOf((await result).outputs)).toEqual(CLOUD_ANSWER);
  });

  test('waits for it, however late it is, where nothing else can answer', async () => {
    const { harness, infer } = await started();
    harness.isReachable = false;
    await harness.cut();
    const { begun, answer, isCancelled } = left(harness);
    const result = infer(begun);
    await harness.pass(20_000);
    expect(isCancelled()).toBe(false);
    answer();
    const { outputs, route } = await result;
    expect(answerOf(outputs)).toEqual(CLOUD_ANSWER);
    expect(route.sent).toMatchObject([{ outcome: 'answered' }]);
  });

  test('learns from it what it does from any other', async () => {
    const { harness, client, infer } = await started();
    const before = client.diagnostics().estimates.server;
    const { begun, answer } = left(harness);
    const result = infer(begun);
    answer();
    await result;
    const { server } = client.diagnostics().estimates;
    // 10 ms, of 5 that were foreseen.
    expect(server).toBeGreaterThan(before);
  });

  test('with a key of its own is the answer to that', async () => {
    const { harness, client, infer } = await started();
    const { begun, answer } = left(harness);
    const result = infer(begun, { idempotencyKey: 'once' });
    answer();
    expect(answerOf((await result).outputs)).toEqual(CLOUD_ANSWER);
    expect(client.diagnostics().routes).toMatchObject([{ k: 0, sent: [{ outcome: 'answered' }] }]);
  });

  test('a refusal is not asked for twice', async () => {
    const { harness, infer } = await started();
    const { begun, fail } = left(harness);
    const result = infer(begun, { deadlineMs: 5000 });
    fail('POLICY_DENIED');
    await expect(Promise.all([result, harness.pass(6000)])).rejects.toThrow();
    expect(harness.messagesOf('infer')).toEqual([]);
  });

  test('goes on with the device where the answer is late', async () => {
    const { harness, infer } = await started({}, 2);
    const { begun, isCancelled } = left(harness);
    const result = infer(begun);
    await harness.pass(6000);
    const { outputs, route } = await result;
    expect(answerOf(outputs)).toEqual(DEVICE_ANSWER);
    expect(route).toMatchObject({ k: 2, fallback: { reason: 'late' }, sent: [{ outcome: 'late' }] });
    expect(isCancelled()).toBe(true);
  });

  test.each([2, 0])('goes on in time where there is less of it, with %d segments here', async (segments) => {
    const { harness, infer } = await started({}, segments);
    const { begun } = left(harness);
    const result = infer(begun, { deadlineMs: 3000 });
    await harness.pass(2000);
    await harness.finish();
    expect((await result).route.sent[0]).toMatchObject({ outcome: 'late' });
  });

  test('goes on with the device that it began on, where that can, though the gateway serves another plan by then', async () => {
    const { harness, client, infer } = await started({}, 2);
    const { begun } = left(harness);
    const result = infer(begun);
    harness.changePlan();
    await harness.cut();
    await harness.pass(6000);
    const { outputs, route } = await result;
    expect(client.plan.id).not.toBe(begun.request.plan);
    expect(answerOf(outputs)).toEqual(DEVICE_ANSWER);
    expect(route).toMatchObject({ k: 2, fallback: { reason: 'late' }, decisions: [] });
  });

  test('goes on with the next device where the one that went on has died', async () => {
    const { harness, infer } = await started({}, 2);
    const { begun } = left(harness);
    harness.deviceGate = new Promise(() => {});
    const result = infer(begun);
    await harness.pass(5000);
    await harness.loseDevice();
    harness.deviceGate = Promise.resolve();
    await harness.pass(20_000);
    expect((await result).route).toMatchObject({ k: 2, fallback: { reason: 'late' } });
  });

  test('is in the account of a request that is refused for its options', async () => {
    const { harness, client, infer } = await started();
    const { begun, isCancelled } = left(harness);
    const sent = [{ label: 'public', k: 0, bytes: 100, outcome: 'pending' }];
    await expect(infer(begun, { deadlineMs: -1 })).rejects.toMatchObject({ code: 'BAD_INPUT', sent });
    expect(client.diagnostics().routes).toMatchObject([{ error: 'BAD_INPUT', sent }]);
    expect(isCancelled()).toBe(true);
  });

  test('is in the account of a request to a client that was closed', async () => {
    const { harness, client, infer } = await started();
    const { begun, isCancelled } = left(harness);
    await client.close();
    const sent = [{ label: 'public', k: 0, bytes: 100, outcome: 'pending' }];
    await expect(infer(begun)).rejects.toMatchObject({ code: 'CLOSED', sent });
    expect(client.diagnostics().routes).toMatchObject([{ error: 'CLOSED', sent }]);
    expect(isCancelled()).toBe(true);
  });

  test('is in an account of its own where another request of its key has the answer', async () => {
    const { harness, client, infer } = await started({}, 2);
    await client.infer(PICTURE, { label: 'secret', idempotencyKey: 'once' });
    const { begun, isCancelled } = left(harness);
    const { route } = await infer(begun, { idempotencyKey: 'once' });
    expect(route.sent).toEqual([]);
    expect(client.diagnostics().routes.at(-1)).toMatchObject({ error: 'CANCELLED', sent: [{ label: 'public' }] });
    expect(isCancelled()).toBe(true);
  });

  test('is said to have left under the label that it left under', async () => {
    const { harness, infer } = await started({}, 2);
    const result = infer(left(harness).begun, { label: 'secret' });
    await harness.serve();
    const { route } = await result;
    expect([route.label, describeRoute(route)]).toEqual(['secret', expect.stringContaining('under the label public')]);
  });

  test('sends it over the connection where the answer is late and there is no device', async () => {
    const { harness, infer } = await started();
    const { begun, isCancelled } = left(harness);
    const result = infer(begun);
    await harness.pass(6000);
    await harness.finish();
    const { outputs, route } = await result;
    expect(answerOf(outputs)).toEqual(CLOUD_ANSWER);
    expect(route.sent.map(({ outcome }) => outcome)).toEqual(['late', 'answered']);
    expect(isCancelled()).toBe(true);
  });

  test.each<[string, InferOptions, Partial<Begun['request']>]>([
    ['another label', { label: 'staff' }, {}],
    ['a forced cut', { force: { k: 2 } }, {}],
    ['the device', { prefer: 'device' }, {}],
    ['another plan', {}, { plan: 'f'.repeat(64) }],
  ])('lets it go where it is asked for %s, and says that it had left', async (_, options, changes) => {
    const { harness, infer } = await started({}, 2);
    const { begun, isCancelled } = left(harness, changes);
    const result = infer(begun, options);
    await harness.serve();
    const { route } = await result;
    expect(isCancelled()).toBe(true);
    expect(route.sent[0]).toMatchObject({ k: 0, bytes: 100, outcome: 'late' });
  });

  test('ends it with the request', async () => {
    const { harness, infer } = await started();
    const { begun, isCancelled } = left(harness);
    const abort = new AbortController();
    const result = infer(begun, { signal: abort.signal });
    abort.abort();
    await expect(result).rejects.toThrow();
    expect(isCancelled()).toBe(true);
  });
});
