/** What the gateway refuses, writes down and signs, whatever the client on the other side believes. */
import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { verifyReceipt } from '../../client/verify-receipt.ts';
import { type Plan, tierKey } from '../../shared/plan.ts';
import type { PolicyInput } from '../../shared/policy/language.ts';
import type { MessageOf } from '../../shared/protocol/messages.ts';
import { parseReceipt } from '../../shared/receipt.ts';
import { expectType, GatewayHarness, type Peer, send, sendInfer } from '../helpers/gateway-harness.ts';
import { wsTransport } from '../helpers/transports.ts';
import { samplePlan } from '../shared/sample-plan.ts';

const LEAKAGE = { '0/webp-80': 1, '1/q8': 0.6, '1/q4': 0.3, '2/q8': 0.2 };
const NOISE = { type: 'gaussian', scale: 0.5 } as const;

function leakyPlan(): Plan {
  const plan = samplePlan();
  const rows = Object.entries(LEAKAGE).map(([key, leakage]) => {
    const [k, tier] = key.split('/');
    return { k: Number(k), tier, leakage };
  });
  return { ...plan, measured: { ...plan.measured, leakage: { rows } } as Plan['measured'] };
}

/** Every boundary that can be sent, at every tier, as a client without any policy would send it. */
const SENDABLE: readonly Pick<MessageOf<'infer'>, 'k' | 'tier' | 'shapes' | 'parts'>[] = [
  { k: 0, tier: 'webp-80', shapes: [[1, 3, 4, 16]], parts: [64] },
  { k: 1, tier: 'q8', shapes: [[1, 2, 4, 8]], parts: [65] },
  { k: 1, tier: 'q4', shapes: [[1, 2, 4, 8]], parts: [33] },
  {
    k: 2,
    tier: 'q8',
    shapes: [
      [1, 4, 2, 4],
      [1, 2, 4, 8],
    ],
    parts: [33, 65],
  },
];

const policy: PolicyInput = {
  aliases: { features: 'a' },
  labels: {
    open: 'input',
    secret: 'local',
    features: 'features',
    // The skip connection carries `a` past `b`, up to the output.
    deep: 'b',
    sealed: { leakageMax: 0.3 },
    coarse: { from: 'input', tiers: ['q4'] },
    quiet: { from: 'input', retain: false },
    noisy: { from: 'input', noise: NOISE },
    abroad: { from: 'input', regions: { eu: { from: 'a' }, us: 'local' } },
    hired: { from: 'input', tenants: { clinic: { tiers: ['q8'] }, anonymous: 'local' } },
    moving: { from: 'a', networks: { cellular: 'local' } },
  },
};
const ALL = Object.keys(LEAKAGE);
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  ...{ open: ALL, secret: [], features: ['1/q8', '1/q4', '2/q8'], deep: [] },
  ...{ sealed: ['1/q4', '2/q8'], coarse: ['1/q4'], quiet: ALL, noisy: [] },
  ...{ abroad: ['1/q8', '1/q4', '2/q8'], hired: ['1/q8', '2/q8'], moving: ['1/q8', '1/q4', '2/q8'] },
  ...{ nobody: [], '': [] },
};
const labels = Object.keys(policy.labels);
const credentials = {
  anonymous: { labels: ['hired', 'open'] },
  // printf %s sesame | sha256sum
  tokens: [{ name: 'clinic', sha256: 'd0c04f4b1951e4aeaaec8223ed2039e542f3aae805a6fa7f6d794e5afff5d272', labels }],
};

async function started(place: { readonly region?: string } = { region: 'eu' }): Promise<GatewayHarness> {
  const harness = new GatewayHarness({ plan: leakyPlan(), policy, credentials, ...place, concurrency: 1 });
  await harness.start(wsTransport);
  return harness;
}

async function outcomeOf(harness: GatewayHarness, peer: Peer, changes: Partial<MessageOf<'infer'>>): Promise<string> {
  const before = harness.executor.seen.length;
  sendInfer(peer, changes);
  send(peer, { type: 'ping', id: 99, usage: [] });
  for (;;) {
    const { message } = await peer.next();
    if (message.type === 'error') {
      // Nothing was handed on to be decoded.
      expect(harness.executor.seen).toHaveLength(before);
      expect((await peer.next()).message.type).toBe('pong');
      return message.code;
    }
    if (message.type === 'pong') {
      harness.executor.finish();
      return (await expectType(peer, 'result')).message.type;
    }
  }
}

describe('a client that asks no policy', () => {
  test.each(Object.entries(ALLOWED).filter(([label]) => label !== ''))(
    'is refused everything that the label %s may not send, and nothing else',
    async (label, allowed) => {
      const harness = await started();
      const peer = await harness.welcomed('sesame');
      for (const sent of SENDABLE) {
        const outcome = await outcomeOf(harness, peer, { ...sent, label });
        const denied = labels.includes(label) ? 'POLICY_DENIED' : 'LABEL_NOT_GRANTED';
        const key = tierKey(sent.k, sent.tier);
        expect([key, outcome]).toEqual([key, allowed.includes(key) ? 'result' : denied]);
      }
      await harness.stop();
    },
  );

  test('is refused where it does not even say that it added the noise that is asked for', async () => {
    const harness = await started();
    const peer = await harness.welcomed('sesame');
    const [picture, features] = SENDABLE;
    const noisy = (noise: MessageOf<'infer'>['noise']) =>
      outcomeOf(harness, peer, { ...features, label: 'noisy', noise });
    expect(await noisy([])).toBe('POLICY_DENIED');
    expect(await noisy([{ type: 'gaussian', scale: 0.4 }])).toBe('POLICY_DENIED');
    expect(await noisy([{ type: 'laplace', scale: 9 }])).toBe('POLICY_DENIED');
    expect(await noisy([NOISE])).toBe('result');
    expect(
      await noisy([
        { type: 'dropout', scale: 0.1 },
        { ...NOISE, scale: 1 },
      ]),
    ).toBe('result');
    // A picture has none, whatever is said.
    expect(await outcomeOf(harness, peer, { ...picture, label: 'noisy', noise: [NOISE] })).toBe('POLICY_DENIED');
    await harness.stop();
  });

  test('is judged by every region where the gateway was not told its own', async () => {
    const harness = await started({});
    const peer = await harness.welcomed('sesame');
    for (const sent of SENDABLE)
      expect(await outcomeOf(harness, peer, { ...sent, label: 'abroad' })).toBe('POLICY_DENIED');
    await harness.stop();
  });

  test('is judged by its credentials', async () => {
    const harness = await started();
    const peer = await harness.welcomed();
    for (const sent of SENDABLE)
      expect(await outcomeOf(harness, peer, { ...sent, label: 'hired' })).toBe('POLICY_DENIED');
    expect(await outcomeOf(harness, peer, { ...SENDABLE[1], label: 'quiet' })).toBe('LABEL_NOT_GRANTED');
    expect(await outcomeOf(harness, peer, { ...SENDABLE[1], label: 'open' })).toBe('result');
    await harness.stop();
  });
});

test('the welcome tells a client all that it has to heed, resolved for it', async () => {
  const harness = await started();
  const peer = await harness.connect();
  send(peer, { type: 'hello', client: 'test', token: 'sesame', receipts: false });
  const { message } = await expectType(peer, 'welcome');
  expect(message).toMatchObject({ tenant: 'clinic', region: 'eu' });
  const termsOf = (label: string) => message.labels.find((each) => each.label === label);
  expect(termsOf('features')).toEqual({ label: 'features', terms: [{ from: 'a' }], networks: {} });
  expect(termsOf('abroad')?.terms).toEqual([{ from: 'input' }, { from: 'a' }]);
  expect(termsOf('hired')?.terms).toEqual([{ from: 'input' }, { tiers: ['q8'] }]);
  expect(termsOf('moving')).toEqual({
    label: 'moving',
    terms: [{ from: 'a' }],
    networks: { cellular: { from: 'local' } },
  });
  await harness.stop();
});

describe('the audit', () => {
  test('has a line of every request: what came, whose it was, how it ended, and nothing of what it held', async () => {
    const harness = await started();
    const peer = await harness.welcomed('sesame', true);
    await outcomeOf(harness, peer, { ...SENDABLE[2], label: 'sealed' });
    await outcomeOf(harness, peer, { ...SENDABLE[1], label: 'sealed' });
    await outcomeOf(harness, peer, { ...SENDABLE[1], label: 'made up by whoever asks' });
    await outcomeOf(harness, peer, { ...SENDABLE[1], label: 'open', k: 9 });
    const common = { tenant: 'clinic', model: 'sample' };
    expect(harness.audited).toEqual([
      {
        ...common,
        ...{ label: 'sealed', k: '1', tier: 'q4', boundary: ['a'], bytes: 33, leakage: 0.3 },
        ...{ outcome: 'ok', denied: null, receipt: 'receipt-1' },
      },
      {
        ...common,
        ...{ label: 'sealed', k: '1', tier: 'q8', boundary: ['a'], bytes: 65, leakage: 0.6 },
        ...{ outcome: 'policy_denied', denied: 'leakage', receipt: 'receipt-2' },
      },
      {
        ...common,
        ...{ label: 'none', k: '1', tier: 'q8', boundary: ['a'], bytes: 65, leakage: 0.6 },
        ...{ outcome: 'label_not_granted', denied: 'label', receipt: 'receipt-3' },
      },
      {
        ...common,
        ...{ label: 'open', k: 'none', tier: 'none', boundary: [], bytes: 65, leakage: null },
        ...{ outcome: 'bad_boundary', denied: null, receipt: 'receipt-4' },
      },
    ]);
    await harness.stop();
  });

  test('counts by label, with labels of the policy alone', async () => {
    const harness = await started();
    const peer = await harness.welcomed('sesame');
    for (const label of ['sealed', 'secret', 'made up', 'made up as well']) {
      await outcomeOf(harness, peer, { ...SENDABLE[1], label });
    }
    await outcomeOf(harness, peer, { ...SENDABLE[1], label: 'open' });
    const count = (label: string, outcome: string) =>
      harness.metric('tandem_audit_requests_total', { label, model: 'sample', k: '1', tier: 'q8', outcome });
    expect(await count('open', 'ok')).toBe(1);
    expect(await count('sealed', 'policy_denied')).toBe(1);
    expect(await count('none', 'label_not_granted')).toBe(2);
    const denials = (label: string, reason: string) =>
      harness.metric('tandem_audit_denials_total', { label, model: 'sample', reason });
    expect(await denials('sealed', 'leakage')).toBe(1);
    expect(await denials('secret', 'boundary')).toBe(1);
    expect(await denials('none', 'label')).toBe(2);
    const bytes = (label: string) => harness.metric('tandem_audit_payload_bytes_total', { label, model: 'sample' });
    expect([await bytes('open'), await bytes('none')]).toEqual([65, 130]);
    await harness.stop();
  });

  test('has no line, nor has the log, of what may not be retained: the counters alone know', async () => {
    const harness = await started();
    const peer = await harness.welcomed('sesame', true);
    expect(await outcomeOf(harness, peer, { ...SENDABLE[1], label: 'quiet' })).toBe('result');
    expect(await outcomeOf(harness, peer, { ...SENDABLE[1], label: 'open', retain: false })).toBe('result');
    expect(await outcomeOf(harness, peer, { ...SENDABLE[1], label: 'quiet', k: 9 })).toBe('BAD_BOUNDARY');
    expect([harness.audited, harness.logged]).toEqual([[], []]);
    const labels = { label: 'quiet', model: 'sample', k: '1', tier: 'q8', outcome: 'ok' };
    expect(await harness.metric('tandem_audit_requests_total', labels)).toBe(1);
    await outcomeOf(harness, peer, { ...SENDABLE[1], label: 'open' });
    expect([harness.audited.length, harness.logged.length]).toEqual([1, 1]);
    await harness.stop();
  });

  test('has a line of what policy refused, though the client asks for none: it may be trying what a token can do', async () => {
    const harness = await started();
    const peer = await harness.welcomed('sesame');
    expect(await outcomeOf(harness, peer, { ...SENDABLE[0], label: 'features', retain: false })).toBe('POLICY_DENIED');
    expect(await outcomeOf(harness, peer, { ...SENDABLE[1], label: 'made up', retain: false })).toBe(
      'LABEL_NOT_GRANTED',
    );
    expect(harness.audited.map(({ label, outcome }) => `${label} ${outcome}`)).toEqual([
      'features policy_denied',
      'none label_not_granted',
    ]);
    await harness.stop();
  });
});

describe('a receipt', () => {
  async function receiptFor(changes: Partial<MessageOf<'infer'>>) {
    const harness = await started();
    const peer = await harness.connect();
    send(peer, { type: 'hello', client: 'test', token: 'sesame', receipts: true });
    const { receiptKey } = (await expectType(peer, 'welcome')).message;
    sendInfer(peer, { ...SENDABLE[3], ...changes });
    send(peer, { type: 'ping', id: 99, usage: [] });
    await expectType(peer, 'pong');
    harness.executor.finish();
    const { receipt } = (await expectType(peer, 'result')).message;
    await harness.stop();
    if (!receipt || receiptKey === null) throw new Error('there is no receipt');
    return { ...receipt, key: receiptKey };
  }

  test('says what was received, and who learned what', async () => {
    const { text } = await receiptFor({ label: 'quiet', noise: [NOISE] });
    expect(parseReceipt(text)).toEqual({
      ...{ id: 'receipt-1', time: '2026-01-01T00:00:00.000Z', model: 'sample', plan: 'a'.repeat(64) },
      ...{ k: 2, boundary: ['b', 'a'], tier: 'q8', label: 'quiet', bytes: 98, leakage: 0.2 },
      // head -c 98 /dev/zero | sha256sum
      sha256: '30274f1a3e86d58c63c688e25ae4e34231a6f0cc07d6fc55c8b1ab154aff2fdf',
      ...{ computed: 'yes', disclosed: ['y'], noisePromised: [NOISE], retained: false },
    });
  });

  test('can be checked, by the gateway’s key alone', async () => {
    const receipt = await receiptFor({ label: 'open' });
    const said = parseReceipt(receipt.text);
    expect(await verifyReceipt(receipt)).toEqual(said);
    expect(await verifyReceipt(receipt, receipt.key)).toEqual(said);
    // What stands beside the text is not what was signed.
    const shown = { ...receipt, receipt: { ...said, k: 3, leakage: 0 } };
    expect(await verifyReceipt(shown)).toEqual(said);
    const other = await receiptFor({ label: 'open' });
    expect(await verifyReceipt(receipt, other.key)).toBeNull();
    for (const key of ['', 'no base64', 'AAAA']) expect(await verifyReceipt(receipt, key)).toBeNull();
    expect(await verifyReceipt({ ...receipt, signature: 'AAAA' })).toBeNull();
  });

  test('is none any more when any byte of it was changed', async () => {
    const receipt = await receiptFor({ label: 'open' });
    const flipped = (text: string, at: number) =>
      text.slice(0, at) + String.fromCharCode(text.charCodeAt(at) ^ 1) + text.slice(at + 1);
    for (let at = 0; at < receipt.text.length; at++) {
      expect([at, await verifyReceipt({ ...receipt, text: flipped(receipt.text, at) })]).toEqual([at, null]);
    }
    const signature = Buffer.from(receipt.signature, 'base64');
    for (let at = 0; at < signature.length; at++) {
      const changed = Buffer.from(signature);
      changed[at] = (changed[at] as number) ^ 1;
      const verdict = await verifyReceipt({ ...receipt, signature: changed.toString('base64') });
      expect([at, verdict]).toEqual([at, null]);
    }
  });

  const REFUSED: readonly [string, Partial<MessageOf<'infer'>>, object][] = [
    ['POLICY_DENIED', { ...SENDABLE[0], label: 'features' }, { k: 0, boundary: ['x'], leakage: 1, bytes: 64 }],
    ['LABEL_NOT_GRANTED', { ...SENDABLE[1], label: 'made up' }, { label: 'made up', boundary: ['a'], leakage: 0.6 }],
    ['UNKNOWN_PLAN', { ...SENDABLE[1], plan: 'b'.repeat(64) }, { model: null, plan: 'b'.repeat(64), boundary: [] }],
    ['BAD_BOUNDARY', { ...SENDABLE[1], k: 9 }, { k: 9, model: 'sample', boundary: [], leakage: null }],
    ['UNKNOWN_TIER', { ...SENDABLE[1], tier: 'q2' }, { tier: 'q2', boundary: ['a'], leakage: null }],
    ['BAD_TENSOR', { ...SENDABLE[1], shapes: [[1]] }, { boundary: ['a'], leakage: 0.6, bytes: 65 }],
    ['PAYLOAD_TOO_LARGE', { ...SENDABLE[1], parts: [999] }, { boundary: ['a'], bytes: 999 }],
  ];

  test.each(REFUSED)(
    'is given of what is refused with %s: it was received, and nothing computed',
    async (code, changes, said) => {
      const harness = await started();
      const peer = await harness.connect();
      send(peer, { type: 'hello', client: 'test', token: 'sesame', receipts: true });
      const key = (await expectType(peer, 'welcome')).message.receiptKey ?? '';
      sendInfer(peer, { label: 'open', ...changes, retain: false });
      const { message } = await expectType(peer, 'error');
      expect(message.code).toBe(code);
      const { text, signature } = message.receipt ?? { text: '', signature: '' };
      const receipt = await verifyReceipt({ text, signature, key });
      expect(receipt).toMatchObject({ ...said, computed: 'no', disclosed: [] });
      expect(receipt?.sha256).toBe(
        createHash('sha256')
          .update(Buffer.alloc(receipt?.bytes ?? 0))
          .digest('hex'),
      );
      // What policy refused is written down all the same, and the receipt says so.
      const isDenied = harness.audited.length > 0;
      expect([receipt?.retained, isDenied]).toEqual([isDenied, ['POLICY_DENIED', 'LABEL_NOT_GRANTED'].includes(code)]);
      await harness.stop();
    },
  );

  test('comes only to who asks for it', async () => {
    const harness = await started();
    const peer = await harness.welcomed('sesame');
    sendInfer(peer, { ...SENDABLE[1], label: 'open' });
    send(peer, { type: 'ping', id: 99, usage: [] });
    await expectType(peer, 'pong');
    harness.executor.finish();
    expect((await expectType(peer, 'result')).message.receipt).toBeNull();
    sendInfer(peer, { ...SENDABLE[1], label: 'open', k: 9 });
    expect((await expectType(peer, 'error')).message.receipt).toBeNull();
    expect(harness.audited.map(({ receipt }) => receipt)).toEqual([null, null]);
    await harness.stop();
  });
});
