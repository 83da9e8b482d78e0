/** A gateway with a fake executor and a hand-moved clock, and peers that speak frames to it over any channel. */

import { FakeClock } from '../../client/testkit/fake-clock.ts';
import { fakeReceipts } from '../../client/testkit/fake-receipts.ts';
import { smallPlan } from '../../client/testkit/small-plan.ts';
import { Admission } from '../../server/admission.ts';
import type { AuditRecord } from '../../server/audit-log.ts';
import type { RequestRecord } from '../../server/connection.ts';
import type { Credentials } from '../../server/credentials.ts';
import { createGateway, type Gateway } from '../../server/gateway.ts';
import { type GatewayMetrics, gatewayMetrics } from '../../server/metrics.ts';
import type { Plan } from '../../shared/plan.ts';
import type { PolicyInput } from '../../shared/policy/language.ts';
import { parsePolicy } from '../../shared/policy/language.ts';
import { decodeFrame, encodeFrame } from '../../shared/protocol/frames.ts';
import type { ClientMessage, MessageOf, ServerMessage } from '../../shared/protocol/messages.ts';
import { parseServerMessage } from '../../shared/protocol/server-messages.ts';
import { FakeExecutor } from './fake-executor.ts';

export interface Received {
  readonly message: ServerMessage;
  readonly parts: readonly Uint8Array[];
}

/** One client, at the level of frames. */
export interface Peer {
  sendBytes(bytes: Uint8Array | string): void;
  /** The next message from the gateway. */
  next(): Promise<Received>;
  readonly closed: Promise<{ code: number; reason: string }>;
  close(): void;
}

/** A way to connect peers to a gateway: in memory, or over a socket. */
export interface Transport {
  connect(): Promise<Peer>;
  stop(): Promise<void>;
}

export type TransportFactory = (gateway: Gateway, frameBytesMax: number) => Promise<Transport>;

interface HarnessOptions {
  readonly concurrency?: number;
  readonly queueDepthMax?: number;
  readonly plan?: Plan;
  readonly policy?: PolicyInput;
  readonly credentials?: Credentials;
  readonly region?: string;
}

const POLICY: PolicyInput = {
  aliases: { features: 'h' },
  labels: { public: 'input', personal: 'features', secret: 'local', staff: 'input' },
};

export class GatewayHarness {
  readonly plan: Plan;
  /** What was logged of requests, and in the audit log. */
  readonly logged: RequestRecord[] = [];
  readonly audited: AuditRecord[] = [];
  readonly clock = new FakeClock();
  readonly executor: FakeExecutor;
  readonly admission: Admission;
  readonly metrics: GatewayMetrics;
  readonly gateway: Gateway;
  readonly receipts = fakeReceipts();
  readonly limits = { frameBytesMax: 4096, inFlightMax: 3, idleTimeoutMs: 60_000 };
  private transport: Transport | null = null;
  private readonly peers: Peer[] = [];

  constructor(options: HarnessOptions = {}) {
    this.plan = options.plan ?? smallPlan();
    this.executor = new FakeExecutor(options.concurrency ?? 1);
    this.admission = new Admission(this.executor, this.clock, options.queueDepthMax ?? 8);
    const { admission } = this;
    this.metrics = gatewayMetrics({
      load: () => admission.load,
      inFlight: () => admission.inFlight,
      isReady: () => true,
    });
    this.gateway = createGateway({
      name: 'test',
      plans: [this.plan],
      policy: parsePolicy(options.policy ?? POLICY, 'policy'),
      credentials: options.credentials ?? CREDENTIALS,
      region: options.region ?? null,
      receipts: this.receipts,
      onRequest: (record) => this.logged.push(record),
      onAudit: (record) => this.audited.push(record),
      admission,
      metrics: this.metrics,
      clock: this.clock,
      limits: this.limits,
    });
  }

  async start(factory: TransportFactory): Promise<void> {
    this.transport = await factory(this.gateway, this.limits.frameBytesMax);
  }

  async stop(): Promise<void> {
    for (const peer of this.peers) peer.close();
    await this.transport?.stop();
  }

  async connect(): Promise<Peer> {
    if (!this.transport) throw new Error('start the harness first');
    const peer = await this.transport.connect();
    this.peers.push(peer);
    return peer;
  }

  /** A peer that has said hello and been welcomed. */
  async welcomed(token: string | null = null, receipts = false): Promise<Peer> {
    const peer = await this.connect();
    send(peer, { type: 'hello', client: 'test', token, receipts });
    await expectType(peer, 'welcome');
    return peer;
  }

  /** Value of a metric's sample with exactly these labels, 0 where there is none. */
  async metric(name: string, labels: Record<string, string> = {}): Promise<number> {
    const metric = await this.metrics.registry.getSingleMetric(name)?.get();
    const wanted = JSON.stringify(Object.entries(labels).sort());
    const value = metric?.values.find(({ labels: own }) => JSON.stringify(Object.entries(own).sort()) === wanted);
    return value?.value ?? 0;
  }
}

/** The token `sesame` may also use the label `staff`. */
const CREDENTIALS: Credentials = {
  anonymous: { labels: ['public', 'personal', 'secret'] },
  tokens: [
    {
      name: 'staff',
      sha256: 'd0c04f4b1951e4aeaaec8223ed2039e542f3aae805a6fa7f6d794e5afff5d272',
      labels: ['public', 'staff'],
    },
  ],
};

export function send(peer: Peer, message: ClientMessage, parts: readonly Uint8Array[] = []): void {
  peer.sendBytes(encodeFrame(message, parts));
}

/** The next message, which must be of a type. */
export async function expectType<T extends ServerMessage['type']>(
  peer: Peer,
  type: T,
): Promise<{ message: Extract<ServerMessage, { type: T }>; parts: readonly Uint8Array[] }> {
  const { message, parts } = await peer.next();
  if (message.type !== type) throw new Error(`expected ${type}, got ${JSON.stringify(message)}`);
  return { message: message as Extract<ServerMessage, { type: T }>, parts };
}

/** A request at boundary 1 that the gateway has no fault to find with, with changes. */
export function inferMessage(changes: Partial<MessageOf<'infer'>> = {}): MessageOf<'infer'> {
  return {
    type: 'infer',
    id: 1,
    plan: 'a'.repeat(64),
    k: 1,
    tier: 'q8',
    label: 'personal',
    noise: [],
    retain: true,
    deadlineMs: 1000,
    trace: null,
    shapes: [[1, 2, 1, 4]],
    parts: [8],
    ...changes,
  };
}

export function sendInfer(peer: Peer, changes: Partial<MessageOf<'infer'>> = {}): void {
  const message = inferMessage(changes);
  send(
    peer,
    message,
    message.parts.map((length) => new Uint8Array(length)),
  );
}

/** Queues what arrives until it is asked for. */
export class Inbox {
  private readonly arrived: Received[] = [];
  private readonly asked: ((received: Received) => void)[] = [];

  push(bytes: Uint8Array): void {
    const frame = decodeFrame(bytes);
    const received = { message: parseServerMessage(frame.header), parts: frame.parts };
    const waiting = this.asked.shift();
    if (waiting) waiting(received);
    else this.arrived.push(received);
  }

  next(): Promise<Received> {
    const received = this.arrived.shift();
    return received ? Promise.resolve(received) : new Promise((resolve) => this.asked.push(resolve));
  }
}
