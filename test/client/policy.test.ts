/** What leaves the device: the bytes themselves, on a real socket, and the messages that a gateway would see. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { describeRoute } from '../../client/route-text.ts';
import type { InferOptions } from '../../client/types.ts';
import { webSocketConnector } from '../../client/web-socket.ts';
import { HalfReceived } from '../../server/adapters/half-received.ts';
import { attachWebSockets } from '../../server/adapters/ws.ts';
import { TandemError } from '../../shared/errors.ts';
import type { PolicyInput } from '../../shared/policy/language.ts';
import type { Connector } from '../../shared/protocol/channel.ts';
import { decodeFrame } from '../../shared/protocol/frames.ts';
import { WS_PATH } from '../../shared/protocol/paths.ts';
import { answerOf, CLOUD_ANSWER, ClientHarness, DEVICE_ANSWER, PICTURE } from '../helpers/client-harness.ts';
import { relayTo } from '../helpers/relay.ts';

const NOISE = { type: 'gaussian', scale: 0.5 } as const;
/** Every label that these tests make up. */
const EVERYBODY = { anonymous: { labels: ['quiet', 'told', 'both', 'home'] }, tokens: [] };

/** The harness's gateway behind a real server, with a relay before it that counts what comes out of the client. */
class Wire {
  readonly harness: ClientHarness;
  bytes = 0;
  /** Pings that no pong has come for. */
  private unheard = 0;
  private stop = () => {};

  constructor(...options: ConstructorParameters<typeof ClientHarness>) {
    this.harness = new ClientHarness(...options);
    const { executor } = this.harness.gateway;
    const run = executor.run.bind(executor);
    executor.run = (task) => {
      const result = run(task);
      executor.finish(CLOUD_ANSWER);
      return result;
    };
  }

  async connect(policy: PolicyInput | undefined) {
    const server = createServer();
    const limits = {
      frameBytesMax: 4096,
      connectionsMax: 4,
      origins: [],
      heartbeatMs: 600_000,
      halfReceived: new HalfReceived(2 ** 30),
    };
    const cutSockets = attachWebSockets(server, this.harness.gateway.gateway, { path: WS_PATH, ...limits });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const relay = await relayTo(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, (bytes) => {
      this.bytes += bytes;
    });
    const url = `${relay.url.replace('http', 'ws')}${WS_PATH}`;
    const open = webSocketConnector(url, WebSocket as unknown as typeof globalThis.WebSocket);
    const count = (frame: Uint8Array) => {
      const { type } = decodeFrame(frame).header as { type: string };
      this.unheard += Number(type === 'ping') - Number(type === 'pong');
    };
    const connector = (): Connector => (events) => {
      const onFrame = (frame: Uint8Array) => {
        count(frame);
        events.onFrame(frame);
      };
      const channel = open({ ...events, onFrame });
      const { send } = channel;
      channel.send = (frame) => {
        count(frame);
        send(frame);
      };
      return channel;
    };
    const client = await this.harness.connect({ policy }, { connector });
    this.stop = () => {
      void client.close();
      relay.close();
      cutSockets();
      server.close();
    };
    while (client.state.link !== 'open' || client.state.segmentsReady < 2) {
      await new Promise((resolve) => client.addEventListener('statechange', resolve));
    }
    return client;
  }

  /** All that was asked is answered. */
  async quiet(): Promise<void> {
    while (this.unheard > 0) await new Promise((resolve) => setImmediate(resolve));
  }

  close(): void {
    this.stop();
  }
}

let wire: Wire | null = null;
afterEach(() => wire?.close());

/** What a plan says of leakage, but for its rows. */
const NO_LEAKAGE = {
  ...{ attack: 'none was made', view: 'nothing', trainingSamples: 1, samples: 1, accuracySamples: 1, seeds: 1 },
  ...{ taskOriginal: {}, taskGuess: {}, accuracy: {} },
};

function leakageRow(k: number, tier: string, leakage: number) {
  return {
    ...{ k, tier, leakage, noise: null, sd: 0, ssim: 0, ssimGuess: 0, psnr: 0, psnrGuess: 0, distanceCorrelation: 0 },
    ...{ task: {}, accuracy: {}, bytesMean: 0, attack: 'none' },
  };
}

describe('on a real socket', () => {
  const denying: [string, PolicyInput['labels'][string] | null, PolicyInput['labels'][string]][] = [
    ['the client’s policy says local', 'local', 'input'],
    ['the gateway’s policy says local', 'input', 'local'],
    ['the client was given no policy', null, 'input'],
    [
      'the network is not known, and one of them is denied',
      { from: 'input', networks: { cellular: 'local' } },
      'input',
    ],
    ['the gateway denies this network', 'input', { from: 'input', networks: { wifi: 'local' } }],
    ['the gateway’s region is not known', { from: 'input', regions: { eu: 'local' } }, 'input'],
    ['the credentials are another tenant’s', { from: 'input', tenants: { anonymous: 'local' } }, 'input'],
    ['nothing is measured, and there is a ceiling', { leakageMax: 1 }, 'input'],
    ['no boundary has such a tier', { from: 'input', tiers: ['q2'] }, 'input'],
    ['the name is of no tensor', 'h2', 'input'],
  ];

  test.each(denying)('not a byte of a request leaves where %s', async (_, own, theirs) => {
    const labels = ['asked', 'public'];
    wire = new Wire({
      policy: { labels: { asked: theirs, public: 'input' } },
      credentials: { anonymous: { labels }, tokens: [] },
    });
    const policy = own === null ? undefined : { labels: { asked: own, public: 'input' } };
    const client = await wire.connect(policy);
    const toCloud = { label: 'public', prefer: 'cloud' } as const;
    // What is sent comes after what was sent before: its arrival says that there is nothing else on the way.
    const { link } = client as unknown as { link: { report(): void } };
    const arrival = async (own: Wire) => {
      if (policy) return (await client.infer(PICTURE, toCloud)).route.bytesUp;
      await own.quiet();
      const before = own.bytes;
      link.report();
      await own.quiet();
      return own.bytes - before;
    };
    const first = await arrival(wire);
    const before = wire.bytes;
    for (const options of [{ label: 'asked' }, { label: 'asked', prefer: 'cloud' }, { label: 'nobody' }, {}] as const) {
      const { outputs, route } = await client.infer(PICTURE, options);
      expect(answerOf(outputs)).toEqual(DEVICE_ANSWER);
      expect(route).toMatchObject({ k: 2, tier: null, bytesUp: 0, sent: [], receipt: null });
    }
    for (const k of [0, 1]) {
      await expect(client.infer(PICTURE, { label: 'asked', force: { k } })).rejects.toMatchObject({
        code: 'POLICY_DENIED',
      });
    }
    const last = await arrival(wire);
    if (!policy) {
      expect(last).toBeGreaterThan(0);
      expect([last, wire.bytes - before]).toEqual([first, first]);
      expect(wire.harness.gateway.executor.seen).toEqual([]);
      return;
    }
    // A WebSocket frame of this size has 8 bytes before it, the mask included (RFC 6455, 5.2).
    expect([last, wire.bytes - before]).toEqual([first, last + 8]);
    expect(wire.harness.gateway.executor.seen).toHaveLength(2);
  });
});

describe('a client', () => {
  test('hands the gateway’s receipt on, of what was sent, and none of an answer of its own', async () => {
    const harness = new ClientHarness();
    const client = await harness.ready();
    const result = client.infer(PICTURE, { label: 'personal', force: { k: 1, tier: 'q4' } });
    await harness.serve();
    const { receipt } = (await result).route;
    expect(receipt?.receipt).toMatchObject({ k: 1, tier: 'q4', label: 'personal', boundary: ['h'], disclosed: ['y'] });
    expect(receipt?.receipt).toMatchObject({ plan: harness.plan.id, retained: true, noisePromised: [] });
    expect(JSON.parse(receipt?.text ?? '')).toEqual(receipt?.receipt);
    const own = await client.infer(PICTURE, { label: 'secret' });
    expect(own.route).toMatchObject({ receipt: null, bytesUp: 0 });
  });

  test.each([
    ...['k', 'tier', 'label', 'bytes', 'sha256', 'plan'],
    ...['model', 'boundary', 'leakage', 'disclosed', 'noisePromised', 'computed'],
  ])('hands no receipt on whose %s is not that of what was sent', async (field) => {
    const harness = new ClientHarness();
    const { receipts } = harness.gateway;
    const sign = receipts.sign.bind(receipts);
    receipts.sign = (arrival, fields) => {
      const wrong = {
        ...{ k: 0, tier: 'q8', label: 'public', bytes: 1, plan: 'b'.repeat(64), model: 'other' },
        ...{ boundary: [], leakage: 0, disclosed: [], noisePromised: [NOISE], computed: 'begun' as const },
      };
      if (field === 'sha256') return sign({ ...arrival, sha256: '0'.repeat(64) }, fields);
      return sign(arrival, { ...fields, [field]: wrong[field as keyof typeof wrong] });
    };
    const client = await harness.ready();
    const result = client.infer(PICTURE, { label: 'personal', force: { k: 1, tier: 'q4' } });
    await harness.serve();
    expect((await result).route).toMatchObject({ k: 1, receipt: null });
  });

  test('hands no receipt on that says that something was retained which it had forbidden', async () => {
    const harness = new ClientHarness();
    const { receipts } = harness.gateway;
    const sign = receipts.sign.bind(receipts);
    receipts.sign = (arrival, fields) => sign(arrival, { ...fields, retained: true });
    const labels = { public: { from: 'input', retain: false }, personal: 'input' } as const;
    const client = await harness.ready({ policy: { labels } });
    const receiptFor = async (label: string) => {
      const result = client.infer(PICTURE, { label, force: { k: 1 } });
      await harness.serve();
      return (await result).route.receipt;
    };
    expect(await receiptFor('public')).toBeNull();
    expect((await receiptFor('personal'))?.receipt).toMatchObject({ retained: true });
  });

  test('says in words all that left the device, whether there is a receipt for it or not', async () => {
    const harness = new ClientHarness();
    const client = await harness.ready();
    expect(describeRoute((await client.infer(PICTURE, { label: 'secret' })).route)).toBe(
      'Nothing left this device for this request.',
    );
    const cut = new ClientHarness();
    cut.segmentsAllowed = 0;
    const result = (await cut.ready()).infer(PICTURE, { label: 'public' });
    await cut.pass(1);
    await cut.cut();
    await cut.pass(1000);
    // The first is lost with its connection.
    expect(cut.messagesOf('infer')).toHaveLength(2);
    await cut.finish();
    await cut.finish();
    const { route } = await result;
    const [, { bytes } = { bytes: 0 }] = route.sent;
    const signed = route.receipt?.receipt.bytes;
    expect(describeRoute(route)).toBe(
      `${2 * bytes} bytes left this device under the label public: the input as webp-80 (${bytes} bytes, failed); ` +
        `the input as webp-80 (${bytes} bytes, answered). The gateway received ${signed} bytes: the input as webp-80, under the ` +
        'label public. Of the input they give away an amount that is not measured. Of the answer the gateway has learned: y. ' +
        'There is no receipt for the rest.',
    );
    const unsigned = route.sent.map((sent) => ({ ...sent, receipt: null }));
    expect(describeRoute({ ...route, sent: unsigned })).toMatch(/answered\)\. There is no receipt for it\.$/);
  });

  test('asks for no receipts where it is told to', async () => {
    const harness = new ClientHarness();
    const client = await harness.ready({ receipts: false });
    const result = client.infer(PICTURE, { label: 'public', prefer: 'cloud' });
    await harness.serve();
    expect((await result).route.receipt).toBeNull();
    expect(harness.messagesOf('hello')).toMatchObject([{ receipts: false }]);
  });

  test('believes the gateway once that something is too large, and itself as often as it is', async () => {
    const harness = new ClientHarness();
    const { executor } = harness.gateway;
    const client = await harness.ready();
    const result = client.infer(PICTURE, { label: 'public', prefer: 'cloud' });
    for (let step = 0; step < 5; step++) {
      await harness.pass(1);
      executor.fail(new TandemError('PAYLOAD_TOO_LARGE', 'no'));
    }
    const { route } = await result;
    expect(route.sent.map(({ outcome }) => outcome)).toEqual(['failed', 'failed']);
    expect([route.k, harness.messagesOf('infer').length]).toEqual([2, 2]);

    const narrow = new ClientHarness();
    narrow.gateway.limits.frameBytesMax = 100;
    const { route: own } = await (await narrow.ready()).infer(PICTURE, { label: 'public', prefer: 'cloud' });
    const tiers = [...new Set(own.decisions.flatMap(({ chosen }) => chosen?.tier ?? []))];
    // All three are too large for the link, and none of them left.
    expect([tiers.sort(), own.sent, narrow.messagesOf('infer')]).toEqual([['q4', 'q8', 'webp-80'], [], []]);
  });

  test('sends nothing to a gateway without its plan, which it came to be connected to meanwhile', async () => {
    const harness = new ClientHarness();
    let isFirst = true;
    harness.onDevice = (device) => ({
      ...device,
      async encode(...args) {
        const encoded = await device.encode(...args);
        if (isFirst) {
          isFirst = false;
          harness.gateway.plan.id = 'c'.repeat(64);
          await harness.cut();
          while (harness.channels.length < 2) await harness.pass(100);
        }
        return encoded;
      },
    });
    const client = await harness.ready();
    const result = client.infer(PICTURE, { label: 'public', prefer: 'cloud' });
    await harness.pass(10_000);
    const { route } = await result;
    expect([client.state.link, isFirst, route.k, route.sent]).toEqual(['open', false, 2, []]);
    expect(harness.messagesOf('infer')).toEqual([]);
  });

  test('heeds the gateway that it is connected to, whatever the one before had granted', async () => {
    const lenient = new ClientHarness({ policy: { labels: { personal: 'input' } } });
    const strict = new ClientHarness({ policy: { labels: { personal: 'h' } } });
    let isReplaced = false;
    const [own, other] = [lenient.host(), strict.host()];
    const client = await lenient.connect(
      { policy: { labels: { personal: 'input' } } },
      { connector: (url) => (events) => (isReplaced ? other : own).connector(url)(events) },
    );
    await lenient.pass(1);
    const shallowest = async () => {
      const { candidates } = await client.explain(PICTURE, { label: 'personal' });
      return Math.min(...candidates.map(({ k }) => k));
    };
    expect(await shallowest()).toBe(0);
    isReplaced = true;
    await lenient.cut();
    await lenient.pass(1000);
    expect(client.state.link).toBe('open');
    expect(await shallowest()).toBe(1);
  });

  test('asks for nothing to be retained where either policy says so', async () => {
    const labels = { quiet: 'input', told: 'input', both: 'input' } as const;
    const harness = new ClientHarness({
      policy: { labels: { ...labels, told: { from: 'input', retain: false } } },
      credentials: EVERYBODY,
    });
    const client = await harness.ready({ policy: { labels: { ...labels, quiet: { from: 'input', retain: false } } } });
    for (const label of ['quiet', 'told', 'both']) {
      const result = client.infer(PICTURE, { label, prefer: 'cloud' });
      await harness.serve();
      expect((await result).route.receipt?.receipt).toMatchObject({ label, retained: label === 'both' });
    }
    expect(harness.gateway.audited.map(({ label }) => label)).toEqual(['both']);
  });

  test('says that it is policy where only tiers and figures are in the way, and there is no device', async () => {
    const harness = new ClientHarness();
    harness.allowSegments(0);
    harness.saveData = true;
    const client = await harness.ready({ policy: { labels: { personal: { from: 'input', leakageMax: 0.5 } } } });
    await expect(client.infer(PICTURE, { label: 'personal' })).rejects.toMatchObject({ code: 'POLICY_DENIED' });
    expect(harness.messagesOf('infer')).toEqual([]);
  });

  test('heeds its network, anew for each request', async () => {
    const labels = { home: { from: 'input', networks: { cellular: 'local', '2g': 'h' } } } as const;
    const harness = new ClientHarness({ policy: { labels }, credentials: EVERYBODY });
    const client = await harness.ready({ policy: { labels: { home: 'input' } } });
    const shallowest = async () => {
      const { candidates } = await client.explain(PICTURE, { label: 'home' });
      return Math.min(...candidates.map(({ k }) => k));
    };
    expect(await shallowest()).toBe(2);
    harness.network = { type: 'wifi', effectiveType: '4g' };
    expect(await shallowest()).toBe(0);
    harness.network = { type: 'wifi', effectiveType: '2g' };
    expect(await shallowest()).toBe(1);
    harness.network = { type: 'wifi' };
    expect(await shallowest()).toBe(1);
    harness.network = { type: 'unknown', effectiveType: '4g' };
    expect(await shallowest()).toBe(2);
    harness.network = { type: 'cellular', effectiveType: '4g' };
    expect(await shallowest()).toBe(2);
  });

  test('sends nothing that was decided on another network', async () => {
    const labels = { home: { from: 'input', networks: { cellular: 'local' } } } as const;
    const harness = new ClientHarness({ policy: { labels: { home: 'input' } }, credentials: EVERYBODY });
    harness.network = { type: 'wifi', effectiveType: '4g' };
    harness.onDevice = (device) => ({
      ...device,
      encode(...args) {
        harness.network = { type: 'cellular', effectiveType: '4g' };
        return device.encode(...args);
      },
    });
    const client = await harness.ready({ policy: { labels } });
    const { route } = await client.infer(PICTURE, { label: 'home', prefer: 'cloud' });
    expect(route).toMatchObject({ k: 2, bytesUp: 0, sent: [] });
    expect(harness.messagesOf('infer')).toEqual([]);
  });

  test('encodes anew where the network that it is on by now asks for noise', async () => {
    const labels = { home: { from: 'h', networks: { cellular: { noise: NOISE } } } } as const;
    const harness = new ClientHarness({ policy: { labels: { home: 'h' } }, credentials: EVERYBODY });
    harness.network = { type: 'wifi', effectiveType: '4g' };
    let encodings = 0;
    harness.onDevice = (device) => ({
      ...device,
      encode(...args) {
        encodings++;
        harness.network = { type: 'cellular', effectiveType: '4g' };
        return device.encode(...args);
      },
    });
    const client = await harness.ready({ policy: { labels } });
    const result = client.infer(PICTURE, { label: 'home', prefer: 'cloud' });
    await harness.serve();
    expect((await result).route.sent).toMatchObject([{ k: 1, noise: [NOISE], outcome: 'answered' }]);
    expect(encodings).toBe(2);
    expect(harness.messagesOf('infer')).toHaveLength(1);
  });

  test('and a gateway of any two policies agree: what is sent is answered, and nothing else is sent', async () => {
    const tiers: string[][] = [['q4'], ['q8', 'q4'], ['webp-80', 'q8'], ['webp-80', 'q4'], ['webp-80', 'q8', 'q4']];
    const terms = fc.record(
      {
        leakageMax: fc.constantFrom(0.2, 0.5, 1),
        tiers: fc.constantFrom(...tiers),
        noise: fc.constantFrom(NOISE, { type: 'dropout', scale: 0.2 } as const),
        from: fc.oneof(
          { arbitrary: fc.constantFrom('input', 'x', 'h'), weight: 7 },
          { arbitrary: fc.constantFrom('y', 'local'), weight: 1 },
        ),
      },
      { requiredKeys: [] },
    );
    const overrides = (...names: string[]) => fc.dictionary(fc.constantFrom(...names), terms, { maxKeys: 1 });
    const rules = fc
      .record({
        own: terms,
        networks: overrides('wifi', 'cellular'),
        regions: overrides('eu', 'us'),
        tenants: overrides('anonymous', 'clinic'),
      })
      .map(({ own, ...rest }) => ({ from: 'input', ...own, ...rest }));
    const networks = fc.constantFrom(null, { type: 'wifi', effectiveType: '4g' }, { type: 'cellular' });
    let mayBeSent = 0;
    await fc.assert(
      fc.asyncProperty(rules, rules, networks, async (own, theirs, network) => {
        const harness = new ClientHarness({
          policy: { labels: { l: theirs } } as PolicyInput,
          credentials: { anonymous: { labels: ['l'] }, tokens: [] },
          region: 'eu',
        });
        harness.network = network;
        const leakage = { rows: [[0, 'webp-80', 1] as const, [1, 'q8', 0.5] as const, [1, 'q4', 0.2] as const] };
        const rows = leakage.rows.map(([k, tier, value]) => leakageRow(k, tier, value));
        for (const plan of [harness.plan, harness.gateway.plan])
          Object.assign(plan.measured ?? {}, { leakage: { ...NO_LEAKAGE, rows } });
        const client = await harness.ready({ policy: { labels: { l: own } } as PolicyInput });
        const result = client.infer(PICTURE, { label: 'l', prefer: 'cloud' });
        await harness.serve();
        await harness.pass(1);
        harness.gateway.executor.finish(CLOUD_ANSWER);
        const { route } = await result;
        const sent = harness.messagesOf('infer');
        expect(route.sent.map(({ outcome }) => outcome)).toEqual(sent.map(() => 'answered'));
        // What both sides' own terms and those of their overrides that hold say, read plainly.
        const held = [own, theirs].flatMap((rule) => [
          ...[rule, rule.regions['eu'], rule.tenants['anonymous']],
          ...Object.entries(rule.networks).flatMap(([name, each]) =>
            network === null || network.type === name ? [each] : [],
          ),
        ]);
        const floors = { input: 0, x: 0, h: 1, y: 2, local: 2 };
        const both = held.filter((each) => each !== undefined);
        const allowed = rows.filter(({ k, tier, leakage: given }) =>
          both.every(
            (term) =>
              k >= floors[(term.from ?? 'input') as keyof typeof floors] &&
              (term.tiers?.includes(tier) ?? true) &&
              given <= (term.leakageMax ?? 1) &&
              (!term.noise || k > 0),
          ),
        );
        if (allowed.length > 0) expect(sent).toHaveLength(1);
        mayBeSent += allowed.length > 0 ? 1 : 0;
        for (const { k, tier, noise } of sent) {
          expect(allowed).toContainEqual(expect.objectContaining({ k, tier }));
          for (const term of both) if (term.noise) expect(noise).toContainEqual(term.noise);
        }
        await client.close();
      }),
      { numRuns: 150 },
    );
    expect(mayBeSent).toBeGreaterThan(30);
  });
});

describe('a request that comes to nothing', () => {
  /** One that the gateway has, and that this device cannot finish. */
  const begun = async (harness: ClientHarness, options: InferOptions = {}) => {
    const client = await harness.ready();
    const result = client.infer(PICTURE, { label: 'public', ...options });
    const error = result.then(
      () => undefined,
      (reason: unknown) => reason,
    );
    await harness.pass(1);
    return { client, error };
  };
  /** In one process the gateway's last word is there before the caller has the error. */
  const RECEIPT = expect.objectContaining({ receipt: expect.objectContaining({ computed: 'begun' }) });
  const SENT = [
    {
      label: 'public',
      k: 0,
      tier: 'webp-80',
      noise: [],
      bytes: expect.any(Number),
      outcome: 'pending',
      receipt: RECEIPT,
    },
  ];
  let harness: ClientHarness;
  beforeEach(() => {
    harness = new ClientHarness();
    harness.segmentsAllowed = 0;
  });

  test('says what had left the device, in its error and in the diagnostics', async () => {
    const { client, error } = await begun(harness, { deadlineMs: 1000 });
    await harness.pass(2000);
    expect(await error).toMatchObject({ code: 'DEADLINE_EXCEEDED', sent: SENT, cause: { sent: undefined } });
    expect(client.diagnostics().routes).toEqual([
      { error: 'DEADLINE_EXCEEDED', label: 'public', sent: SENT, bytesUp: expect.any(Number), totalMs: 1000 },
    ]);
    expect(client.diagnostics().routes[0]?.bytesUp).toBe(client.diagnostics().routes[0]?.sent[0]?.bytes);
  });

  test('rejects with its signal’s reason as it is, and is in the diagnostics alone', async () => {
    const abort = new AbortController();
    const { client, error } = await begun(harness, { signal: abort.signal });
    const reason = new TandemError('CANCELLED', 'the app’s own');
    abort.abort(reason);
    expect(await error).toBe(reason);
    expect(reason.sent).toBeUndefined();
    expect(client.diagnostics().routes).toMatchObject([{ error: 'ABORTED', sent: SENT }]);
  });

  test('has an account of its own where several end for one reason', async () => {
    const { client, error } = await begun(harness);
    const idle = client.infer(PICTURE, { label: 'personal' });
    idle.catch(() => {});
    await harness.pass(1);
    await client.close();
    const unsigned = SENT.map((sent) => ({ ...sent, receipt: null }));
    expect(await error).toMatchObject({ code: 'CLOSED', sent: unsigned });
    await expect(idle).rejects.toMatchObject({ code: 'CLOSED', sent: undefined });
    const { routes } = client.diagnostics();
    expect(routes).toHaveLength(2);
    expect(routes.find(({ label }) => label === 'public')).toMatchObject({ error: 'CLOSED', sent: unsigned });
    expect(routes.find(({ label }) => label === 'personal')).toMatchObject({ error: 'CLOSED', sent: [], bytesUp: 0 });
  });

  test('says that a reply failed where it cannot be used', async () => {
    const ready = new ClientHarness();
    const client = await ready.ready();
    // A shape that its data are too few for.
    const y = { dtype: 'float32', shape: [1, 9], data: new Float32Array(4) } as const;
    ready.gateway.executor.run = async () => ({ outputs: { y }, decodeMs: 1, computeMs: 1 });
    const { route } = await client.infer(PICTURE, { label: 'public', prefer: 'cloud' });
    expect([route.k, route.sent.map(({ outcome }) => outcome)]).toEqual([2, ['failed']]);
  });
});
