/** What the gateway signs of all that leaves: of replies that come late, and of requests that come to nothing. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { LastWords } from '../../client/last-words.ts';
import { describeRoute } from '../../client/route-text.ts';
import { FakeClock } from '../../client/testkit/fake-clock.ts';
import type { Client, InferOptions, ReceiptDetail, SentBoundary } from '../../client/types.ts';
import { verifyReceipt } from '../../client/verify-receipt.ts';
import { TandemError } from '../../shared/errors.ts';
import { decodeFrame, encodeFrame } from '../../shared/protocol/frames.ts';
import type { MessageOf } from '../../shared/protocol/messages.ts';
import { answerOf, CLOUD_ANSWER, ClientHarness, DEVICE_ANSWER, PICTURE } from '../helpers/client-harness.ts';

function listen(client: Client): ReceiptDetail[] {
  const told: ReceiptDetail[] = [];
  client.addEventListener('receipt', ({ detail }) => told.push(detail));
  return told;
}

/** A client whose device can finish what it sends, and what it is told of receipts. */
async function started(harness: ClientHarness) {
  const client = await harness.ready();
  return { client, told: listen(client) };
}

/** The account of what left, of an answer or of an error. */
async function sentOf(work: Promise<{ route: { sent: readonly SentBoundary[] } }>) {
  return work.then(
    ({ route }) => route.sent,
    (error: TandemError) => error.sent ?? [],
  );
}

/** The same in which nothing can change any more without being seen. */
const frozen = (sent: readonly SentBoundary[]) => JSON.parse(JSON.stringify(sent)) as unknown;

const ANYBODY = { anonymous: { labels: ['public'] }, tokens: [] };
const TO_CLOUD = { label: 'public', prefer: 'cloud' } as const;

describe('a receipt comes, once', () => {
  test('with its answer: in the route, in the account of what was sent, and by the event', async () => {
    const harness = new ClientHarness();
    const { client, told } = await started(harness);
    const result = client.infer(PICTURE, TO_CLOUD);
    await harness.serve();
    const { route } = await result;
    expect(route.receipt?.receipt.computed).toBe('yes');
    expect(route.sent[0]?.receipt).toBe(route.receipt);
    expect(told).toEqual([{ label: 'public', sent: route.sent[0], receipt: route.receipt }]);
  });

  test('with its answer, however long it takes to read what was sent', async () => {
    const harness = new ClientHarness();
    const { sha256 } = harness.host();
    let ms = 0;
    const client = await harness.connect(
      {},
      {
        async sha256(content) {
          if (ms > 0) await new Promise<void>((resolve) => harness.clock.after(ms, resolve));
          return sha256(content);
        },
      },
    );
    await harness.pass(1000);
    ms = 50;
    const result = client.infer(PICTURE, TO_CLOUD);
    await harness.serve();
    await harness.pass(100);
    expect((await result).route.receipt?.receipt.computed).toBe('yes');
  });

  test('of a reply that was late: after the route, which stays as it was', async () => {
    const harness = new ClientHarness();
    const { client, told } = await started(harness);
    const cancelled: (() => void)[] = [];
    delayLastWords(harness, cancelled);
    const result = client.infer(PICTURE, TO_CLOUD);
    await harness.pass(5000);
    const { outputs, route } = await result;
    expect(answerOf(outputs)).toEqual(DEVICE_ANSWER);
    expect(route).toMatchObject({ fallback: { reason: 'late' }, receipt: null, sent: [{ receipt: null }] });
    expect(describeRoute(route)).toMatch(/late\)\. There is no receipt for it\.$/);
    const before = frozen(route.sent);
    expect(told).toEqual([]);
    for (const come of cancelled) come();
    await harness.pass(1);
    expect(told).toHaveLength(1);
    expect(told[0]?.sent).toBe(route.sent[0]);
    expect(told[0]?.receipt.receipt).toMatchObject({ computed: 'begun', k: 0, disclosed: ['y'] });
    expect(await verifyReceipt(told[0]?.receipt as ReceiptDetail['receipt'])).not.toBeNull();
    expect(frozen(route.sent)).toEqual(before);
  });

  test('of a reply that the gateway has only after it was given up', async () => {
    const harness = new ClientHarness();
    const { client, told } = await started(harness);
    const result = client.infer(PICTURE, { label: 'public', force: { k: 0 } });
    await harness.pass(5000);
    const { route } = await result;
    harness.gateway.executor.finish(CLOUD_ANSWER);
    await harness.pass(10);
    expect(told.map(({ sent }) => sent)).toEqual(route.sent);
    expect(told[0]?.sent).toBe(route.sent[0]);
  });

  test('of a request that its caller ended', async () => {
    const harness = new ClientHarness();
    const { client, told } = await started(harness);
    const abort = new AbortController();
    const result = client.infer(PICTURE, { ...TO_CLOUD, signal: abort.signal });
    result.catch(() => {});
    await harness.pass(1);
    abort.abort();
    await harness.pass(1);
    await expect(result).rejects.toThrow();
    expect(told).toMatchObject([{ label: 'public', sent: { k: 0 }, receipt: { receipt: { computed: 'begun' } } }]);
    expect(client.diagnostics().routes[0]?.sent[0]).toBe(told[0]?.sent);
  });

  test('of a request that was taken out of the queue: nothing was computed from it', async () => {
    const harness = new ClientHarness({ concurrency: 1 });
    const { client, told } = await started(harness);
    occupy(harness);
    const result = client.infer(PICTURE, TO_CLOUD);
    await harness.pass(5000);
    const { route } = await result;
    expect(told).toMatchObject([{ receipt: { receipt: { computed: 'no', disclosed: [] } } }]);
    const sent = route.sent.map((each) => ({ ...each, receipt: told[0]?.receipt ?? null }));
    expect(describeRoute({ ...route, sent })).toMatch(
      /It computed nothing from them\. Of the answer the gateway has learned: nothing\.$/,
    );
  });

  test('of a request that the gateway had no room for, and of one that it failed at: in the route', async () => {
    const shed = new ClientHarness({ concurrency: 1, queueDepthMax: 0 });
    const { client } = await started(shed);
    occupy(shed);
    const { route } = await client.infer(PICTURE, TO_CLOUD);
    expect(route).toMatchObject({ k: 2, receipt: null });
    expect(route.sent).toMatchObject([{ outcome: 'failed', receipt: { receipt: { computed: 'no' } } }]);
    const failing = new ClientHarness();
    const other = await started(failing);
    const result = other.client.infer(PICTURE, TO_CLOUD);
    await failing.pass(1);
    failing.gateway.executor.fail(new Error('boom'));
    await failing.pass(1);
    expect((await result).route.sent).toMatchObject([
      { outcome: 'failed', receipt: { receipt: { computed: 'begun', disclosed: ['y'] } } },
    ]);
  });

  test('of a request that was refused, and that nothing can answer: in its error', async () => {
    const harness = new ClientHarness();
    harness.segmentsAllowed = 0;
    harness.saveData = true;
    const client = await harness.ready();
    const error = client.infer(PICTURE, { label: 'public' }).catch((reason: unknown) => reason);
    await harness.pass(1);
    harness.gateway.executor.fail();
    expect(await error).toMatchObject({
      code: 'UNAVAILABLE',
      sent: [{ outcome: 'failed', receipt: { receipt: { bytes: 64, computed: 'begun' } } }],
    });
  });

  test('of a request that policy refused: that was written down, whatever the client asks, and the receipt says so', async () => {
    const harness = new ClientHarness({ policy: { labels: { public: 'h' } }, credentials: ANYBODY });
    const client = await harness.ready({ policy: { labels: { public: { from: 'input', retain: false } } } });
    const told = listen(client);
    // As if the gateway had become stricter since it said what it grants.
    const { welcome } = (client as unknown as { link: { welcome: MessageOf<'welcome'> } }).link;
    Object.assign(welcome, { labels: [{ label: 'public', terms: [{ from: 'input' }], networks: {} }] });
    const { route } = await client.infer(PICTURE, { label: 'public', force: { k: 0 } });
    expect(route).toMatchObject({ k: 2, fallback: { message: expect.stringContaining('POLICY_DENIED') } });
    expect(route.sent).toMatchObject([{ k: 0, receipt: { receipt: { computed: 'no', retained: true } } }]);
    expect(told).toHaveLength(1);
    expect(harness.gateway.audited).toMatchObject([{ outcome: 'policy_denied', receipt: told[0]?.receipt.receipt.id }]);
  });

  test.each<[string, (harness: ClientHarness) => Promise<void>]>([
    ['its connection is gone', (harness) => harness.cut()],
    ['the gateway is of an earlier version, which signs answers alone', async () => {}],
  ])('or not at all, where %s', async (_, happens) => {
    const harness = new ClientHarness({ concurrency: 1 });
    const { client, told } = await started(harness);
    occupy(harness);
    signAnswersAlone(harness);
    const result = client.infer(PICTURE, TO_CLOUD);
    await harness.pass(1);
    await happens(harness);
    await harness.pass(10_000);
    expect((await result).route).toMatchObject({ k: 2, receipt: null, sent: [{ receipt: null }] });
    expect(told).toEqual([]);
    expect(client.state.link).toBe('open');
  });
});

/** The gateway's worker is at something else. */
function occupy({ gateway, plan }: ClientHarness): void {
  const task = { planId: plan.id, k: 1, tier: 'q8', payload: { parts: [], shapes: [] } };
  gateway.admission.submit(task, 120_000).result.catch(() => {});
}

/** Holds back what the gateway says of requests. */
function delayLastWords(harness: ClientHarness, held: (() => void)[]): void {
  const channel = harness.channels.at(-1);
  if (!channel?.events) throw new Error('there is no connection');
  const { events } = channel;
  channel.events = {
    ...events,
    onFrame: (frame) => {
      const { type } = decodeFrame(frame).header as { type: string };
      if (type === 'error') held.push(() => events.onFrame(frame));
      else events.onFrame(frame);
    },
  };
}

function signAnswersAlone(harness: ClientHarness): void {
  const channel = harness.channels.at(-1);
  if (!channel?.events) throw new Error('there is no connection');
  const { events } = channel;
  channel.events = {
    ...events,
    onFrame: (frame) => {
      const { receipt: _signed, ...header } = decodeFrame(frame).header as MessageOf<'error'>;
      events.onFrame(header.type === 'error' ? encodeFrame(header as MessageOf<'error'>) : frame);
    },
  };
}

/** What becomes of a request at the gateway, and what its caller does meanwhile. */
const fates = fc.array(
  fc.record({
    gateway: fc.constantFrom('answers', 'fails', 'cannot decode', 'is silent'),
    caller: fc.constantFrom('waits', 'leaves', 'gives it 20 ms'),
    k: fc.constantFrom(0, 1),
    label: fc.constantFrom('public', 'quiet'),
  }),
  { minLength: 1, maxLength: 8 },
);

test('every payload that the gateway has, over a connection that stays open, has exactly one receipt', async () => {
  const labels = { public: 'input', quiet: { from: 'input', retain: false } } as const;
  let signed = 0;
  const run = async (
    { isBusy, ...room }: { concurrency: number; queueDepthMax: number; isBusy: boolean },
    all: typeof fates extends fc.Arbitrary<infer T> ? T : never,
  ) => {
    const credentials = { anonymous: { labels: Object.keys(labels) }, tokens: [] };
    const harness = new ClientHarness({
      ...room,
      policy: { labels: { public: 'input', quiet: 'input' } },
      credentials,
    });
    const client = await harness.ready({ policy: { labels } });
    const told = listen(client);
    if (isBusy) occupy(harness);
    const { executor } = harness.gateway;
    const accounts: Promise<readonly SentBoundary[]>[] = [];
    for (const { gateway, caller, k, label } of all) {
      const leaving = new AbortController();
      const options: InferOptions = {
        ...{ label, force: { k }, signal: leaving.signal },
        ...(caller === 'gives it 20 ms' && { deadlineMs: 20 }),
      };
      const work = client.infer(PICTURE, options);
      accounts.push(sentOf(work));
      await harness.pass(1);
      if (caller === 'leaves') leaving.abort(new TandemError('CANCELLED', 'left'));
      if (gateway === 'answers') executor.finish([7, 7, 7, 7]);
      if (gateway === 'fails') executor.fail(new Error('boom'));
      if (gateway === 'cannot decode') executor.fail();
      await harness.pass(1);
    }
    await harness.pass(40_000);
    const sent = (await Promise.all(accounts)).flat();
    const received = harness.messagesOf('infer');
    expect(told).toHaveLength(received.length);
    expect(new Set(told.map(({ receipt }) => receipt.receipt.id)).size).toBe(told.length);
    expect(new Set(told.map((detail) => detail.sent)).size).toBe(told.length);
    for (const { receipt, label } of told) {
      expect(await verifyReceipt(receipt)).toEqual(receipt.receipt);
      expect(receipt.receipt.retained).toBe(label === 'public');
    }
    for (const each of sent) {
      const own = told.filter((detail) => detail.sent === each);
      expect(own).toHaveLength(1);
      expect([null, own[0]?.receipt]).toContain(each.receipt);
    }
    // What was never handed to a worker was not computed, and the audit names the same receipts.
    const begun = told.filter(({ receipt }) => receipt.receipt.computed !== 'no');
    expect(begun).toHaveLength(executor.seen.length - Number(isBusy));
    const audited = harness.gateway.audited.map(({ receipt }) => receipt);
    const due = told.filter(({ label }) => label === 'public').map(({ receipt }) => receipt.receipt.id);
    expect([...audited].sort()).toEqual([...due].sort());
    signed += told.length;
    await client.close();
  };
  const rooms = fc.record({
    ...{ concurrency: fc.constantFrom(1, 2, 4), queueDepthMax: fc.constantFrom(0, 1, 8) },
    isBusy: fc.boolean(),
  });
  await fc.assert(fc.asyncProperty(rooms, fates, run), { numRuns: 100 });
  expect(signed).toBeGreaterThan(200);
});

describe('a last word', () => {
  const word: MessageOf<'error'> = {
    ...({ type: 'error', id: 1, code: 'CANCELLED', message: 'left' } as const),
    ...{ retryAfterMs: null, receipt: null },
  };

  test('is awaited for half a minute after the answer was given up, and not before for any time', async () => {
    const clock = new FakeClock();
    const words = new LastWords();
    const [kept, left, heard] = [words.of(1), words.of(2), words.of(3)];
    words.givenUp(2, clock);
    words.givenUp(3, clock);
    await clock.advance(29_000);
    words.came(3, word);
    await clock.advance(2_000);
    expect([await left, await heard]).toEqual([null, word]);
    await clock.advance(100_000);
    words.came(1, word);
    expect(await kept).toBe(word);
  });

  test('of so many is awaited that an endless row of them takes no room, and of none once the connection is gone', async () => {
    const words = new LastWords();
    const first = words.of(1);
    const others = Array.from({ length: 128 }, (_, i) => words.of(i + 2));
    expect(await first).toBeNull();
    words.clear();
    expect(new Set(await Promise.all(others))).toEqual(new Set([null]));
  });
});
