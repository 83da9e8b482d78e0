/**
 * One client's connection, from opening to close: the protocol's states, every check of a request before it is queued,
 * and its answer. Frames in, frames out; no socket library.
 */
import type { Clock } from '../shared/clock.ts';
import { asTandemError, codeInfo, type ErrorCode, TandemError } from '../shared/errors.ts';
import { depthOf, namesAt, outputsBehind, type Plan } from '../shared/plan.ts';
import type { Policy } from '../shared/policy/language.ts';
import { leakageOf } from '../shared/policy/leakage.ts';
import type { DenialKind } from '../shared/policy/permission.ts';
import type { Channel } from '../shared/protocol/channel.ts';
import { parseClientMessage } from '../shared/protocol/client-messages.ts';
import { decodeFrame, encodeFrame, type Frame } from '../shared/protocol/frames.ts';
import {
  CLOSE_REASON_BYTES_MAX,
  ERROR_MESSAGE_MAX,
  FRAME_BYTES_MAX,
  HEADER_BYTES_MAX,
  HELLO_TIMEOUT_MS,
  UNSENT_BYTES_MAX,
} from '../shared/protocol/limits.ts';
import type { ClientMessage, MessageOf, ServerMessage } from '../shared/protocol/messages.ts';
import { type Receipt, receiptOf } from '../shared/receipt.ts';
import { type Tensor, tensorBytes } from '../shared/tensor.ts';
import type { Admission, Admitted, Ticket } from './admission.ts';
import type { AuditRecord } from './audit-log.ts';
import { checkRequest, deniedFor, payloadBytes, requestLabels } from './check-request.ts';
import { type Credentials, type Identity, identify } from './credentials.ts';
import { Grants } from './grants.ts';
import type { GatewayMetrics, RequestLabels } from './metrics.ts';
import type { Arrival, ReceiptSigner, Signed } from './receipts.ts';

export interface GatewayOptions {
  /** Software and version, as told to clients. */
  readonly name: string;
  readonly plans: readonly Plan[];
  readonly policy: Policy;
  readonly credentials: Credentials;
  readonly admission: Admission;
  readonly metrics: Omit<GatewayMetrics, 'registry' | 'workerRestarted' | 'auditLineLost'>;
  readonly clock: Clock;
  /** Where the gateway is, for the policy's `regions`; null where the operator has not said. */
  readonly region: string | null;
  /** Signs what was received, for clients that ask for it. */
  readonly receipts: ReceiptSigner;
  /** Told of every request once it was answered, but for those of which nothing may be retained. */
  readonly onRequest?: (record: RequestRecord) => void;
  /** The same, for the audit log. */
  readonly onAudit?: (record: AuditRecord) => void;
  readonly limits: { readonly frameBytesMax: number; readonly inFlightMax: number; readonly idleTimeoutMs: number };
}

/** One line of the gateway's log. */
export interface RequestRecord extends RequestLabels {
  /** `ok` or an error code. */
  readonly outcome: string;
  /** A label of the policy; `none` for any other. */
  readonly label: string;
  /** Name of the credentials. */
  readonly client: string;
  readonly trace: string | null;
  readonly bytesIn: number;
  readonly totalMs: number;
}

/** What an adapter tells a connection. */
export interface Connection {
  frame(bytes: Uint8Array): void;
  /** The connection is gone, whoever closed it. */
  closed(code: number): void;
  /** Something came that is no binary frame. */
  violation(error: TandemError): void;
}

type InferMessage = MessageOf<'infer'>;

/** Bytes of outputs that fit a frame beside its header. */
const RESULT_BYTES_MAX = FRAME_BYTES_MAX - HEADER_BYTES_MAX;

/** A request on its way through the gateway. */
interface Request {
  readonly message: InferMessage;
  readonly plan: Plan | undefined;
  readonly labels: RequestLabels;
  /** The request's own where the policy knows it, `none` otherwise. */
  readonly label: string;
  /** Whether anything may be written down about it. */
  readonly retained: boolean;
  readonly bytesIn: number;
  readonly startMs: number;
  /** For a client that wants receipts. */
  arrival: Arrival | null;
  /** The one that it gets. */
  receipt: Signed | null;
  isComputed: boolean;
}

/** What a connection knows of the gateway around it. */
export interface Surroundings {
  /** Whose requests it brings, as the queue is shared. */
  readonly client: object;
  isDraining(): boolean;
  gone(): void;
}

export class GatewayConnection implements Connection {
  private identity: Identity | null = null;
  private grants: Grants | null = null;
  private wantsReceipts = false;
  private isClosed = false;
  /** Requests without an answer. */
  private readonly tickets = new Map<number, Ticket>();
  private stopTimer: () => void;
  private readonly channel: Channel;
  private readonly options: GatewayOptions;
  private readonly surroundings: Surroundings;

  constructor(channel: Channel, options: GatewayOptions, surroundings: Surroundings) {
    this.channel = channel;
    this.options = options;
    this.surroundings = surroundings;
    this.stopTimer = options.clock.after(HELLO_TIMEOUT_MS, () =>
      this.violation(new TandemError('HELLO_TIMEOUT', `no hello within ${HELLO_TIMEOUT_MS} ms`)),
    );
    options.metrics.connections(1);
  }

  frame(bytes: Uint8Array): void {
    if (this.isClosed) return;
    try {
      const frame = decodeFrame(bytes, this.options.limits.frameBytesMax);
      const message = parseClientMessage(frame.header);
      if (message.type !== 'hello' && !this.identity) {
        throw new TandemError('UNEXPECTED_MESSAGE', `expected a hello first, got ${message.type}`);
      }
      this.handle(message, frame, bytes.byteLength);
      this.watchIdle();
    } catch (error) {
      this.violation(asTandemError(error, 'INTERNAL', 'the gateway failed'));
    }
  }

  closed(code: number): void {
    this.options.metrics.connections(-1);
    this.options.metrics.closed(code);
    this.isClosed = true;
    this.stopTimer();
    for (const ticket of this.tickets.values()) ticket.cancel();
    this.surroundings.gone();
  }

  violation(error: TandemError): void {
    if (this.isClosed) return;
    const { code, message } = error;
    this.send({ type: 'error', id: null, code, message: shorten(message), retryAfterMs: null, receipt: null });
    this.close(closeCode(error.code), `${error.code}: ${error.message}`);
  }

  close(code: number, reason: string): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.stopTimer();
    // A peer may take its time to answer the close: nothing is computed for it meanwhile.
    for (const ticket of this.tickets.values()) ticket.cancel();
    this.channel.close(code, closeReason(reason));
  }

  sayGoodbye(graceMs: number): void {
    if (this.identity) this.send({ type: 'goaway', graceMs, reason: 'the server is going away' });
  }

  private handle(message: ClientMessage, frame: Frame, frameBytes: number): void {
    switch (message.type) {
      case 'hello':
        this.hello(message);
        break;
      case 'infer':
        this.infer(message, frame, frameBytes);
        break;
      case 'cancel':
        this.tickets.get(message.id)?.cancel();
        break;
      case 'ping':
        this.ping(message);
        break;
      default:
        message satisfies never;
    }
  }

  private hello({ token, receipts: wantsReceipts }: MessageOf<'hello'>): void {
    if (this.identity) throw new TandemError('UNEXPECTED_MESSAGE', 'a second hello');
    const { name, plans, policy, credentials, admission, limits, region, receipts } = this.options;
    this.identity = identify(credentials, token);
    this.grants = new Grants(policy, this.identity, region);
    this.wantsReceipts = wantsReceipts;
    this.send({
      type: 'welcome',
      server: name,
      limits,
      plans: plans.map((plan) => ({ name: plan.name, id: plan.id })),
      tenant: this.identity.name,
      region,
      labels: this.grants.told,
      receiptKey: receipts.publicKey,
      load: admission.load,
    });
  }

  private ping({ id, usage }: MessageOf<'ping'>): void {
    for (const { plan: planId, k, count } of usage) {
      const plan = this.options.plans.find((candidate) => candidate.id === planId);
      if (plan && k <= depthOf(plan)) this.options.metrics.clientRequests(plan.name, k, count);
    }
    this.send({ type: 'pong', id, load: this.options.admission.load });
  }

  private infer(message: InferMessage, frame: Frame, frameBytes: number): void {
    if (this.tickets.has(message.id)) {
      throw new TandemError('DUPLICATE_ID', `request ${message.id} has no answer yet, its id cannot be used again`);
    }
    const plan = this.options.plans.find(({ id }) => id === message.plan);
    const labels = requestLabels(plan, message);
    const { metrics, clock, policy } = this.options;
    const request: Request = {
      ...{ message, plan, labels, bytesIn: frameBytes, startMs: clock.now() },
      ...{ arrival: null, receipt: null, isComputed: false },
      label: Object.hasOwn(policy.labels, message.label) ? message.label : 'none',
      retained: message.retain && (this.grants?.retains(message.label) ?? false),
    };
    metrics.bytes(labels, 'in', frameBytes);
    try {
      const checked = this.check(message, plan);
      const task = { planId: checked.id, k: message.k, tier: message.tier };
      const payload = { parts: frame.parts, shapes: message.shapes };
      const ticket = this.options.admission.submit({ ...task, payload }, message.deadlineMs, this.surroundings.client);
      this.tickets.set(message.id, ticket);
      // A worker is at it by now.
      this.arrived(request, frame);
      request.receipt = this.sign(request, 'yes', request.retained);
      ticket.result
        .then((result) => this.succeed(request, checked, result))
        .catch((error: unknown) => this.fail(request, error));
    } catch (error) {
      this.arrived(request, frame);
      this.fail(request, error);
    }
  }

  private arrived(request: Request, { parts }: Frame): void {
    if (this.wantsReceipts) request.arrival = this.options.receipts.arrived(parts);
  }

  private sign({ message, plan, arrival }: Request, computed: Receipt['computed'], retained: boolean): Signed | null {
    const sent = { ...message, bytes: payloadBytes(message.parts) };
    return arrival && this.options.receipts.sign(arrival, receiptOf(plan, sent, { computed, retained }));
  }

  private check(message: InferMessage, plan: Plan | undefined): Plan {
    if (this.surroundings.isDraining()) throw new TandemError('DRAINING', 'the server is going away');
    const { inFlightMax } = this.options.limits;
    if (this.tickets.size >= inFlightMax) {
      throw new TandemError('TOO_MANY_REQUESTS', `${inFlightMax} requests of this connection have no answer yet`);
    }
    return checkRequest(message, plan, this.grants);
  }

  private succeed(request: Request, plan: Plan, result: Admitted): void {
    const { message, labels, startMs, receipt } = request;
    request.isComputed = true;
    // Those that are made before boundary k stayed where they were made.
    const outputs = outputsBehind(plan, message.k).map(({ name }) => result.outputs[name] as Tensor);
    const { queueMs, decodeMs, computeMs } = result;
    const totalMs = this.options.clock.now() - startMs;
    const parts = outputs.map(tensorBytes);
    const size = parts.reduce((sum, { byteLength }) => sum + byteLength, 0);
    if (size > RESULT_BYTES_MAX) {
      throw new TandemError('PAYLOAD_TOO_LARGE', `the outputs have ${size} bytes, one frame takes ${RESULT_BYTES_MAX}`);
    }
    this.tickets.delete(message.id);
    const bytes = this.send(
      {
        type: 'result',
        id: message.id,
        shapes: outputs.map(({ shape }) => [...shape]),
        parts: parts.map(({ byteLength }) => byteLength),
        timing: { queueMs, decodeMs, computeMs, totalMs },
        receipt: toldOf(receipt),
        load: this.options.admission.load,
      },
      parts,
    );
    const { metrics } = this.options;
    metrics.bytes(labels, 'out', bytes);
    metrics.stage(labels, 'queue', queueMs);
    metrics.stage(labels, 'decode', decodeMs);
    metrics.stage(labels, 'compute', computeMs);
    metrics.stage(labels, 'total', totalMs);
    this.record(request, 'ok');
  }

  private fail(request: Request, cause: unknown): void {
    const error = asTandemError(cause, 'INTERNAL', 'the request failed');
    const { message, plan, isComputed } = request;
    const { id } = message;
    const hasBegun = this.tickets.get(id)?.hasBegun ?? false;
    this.tickets.delete(id);
    const { code, retryAfterMs = null } = error;
    const outcome = code.toLowerCase();
    const denied = deniedFor(outcome, message, plan, this.grants);
    const computed = isComputed ? 'yes' : hasBegun ? 'begun' : 'no';
    // A client that is gone is given none.
    request.receipt = this.isClosed ? null : this.sign(request, computed, this.isWritten(request, denied));
    const receipt = toldOf(request.receipt);
    this.send({ type: 'error', id, code, message: shorten(error.message), retryAfterMs, receipt });
    this.record(request, outcome, denied);
  }

  /** What was refused no client can have kept quiet about, or who tries what a token may would leave no trace. */
  private isWritten({ message, retained }: Request, denied: DenialKind | null): boolean {
    return retained || (denied !== null && (this.grants?.retains(message.label) ?? false));
  }

  private record(request: Request, outcome: string, denied: DenialKind | null = null): void {
    const { message, plan, labels, label, bytesIn, startMs, receipt } = request;
    const { metrics, onRequest, onAudit, clock } = this.options;
    const bytes = payloadBytes(message.parts);
    metrics.request(labels, outcome);
    metrics.audit(labels, { label, outcome, bytes, denied });
    if (!this.isWritten(request, denied)) return;
    const client = this.identity?.name ?? 'none';
    const { trace, k, tier } = message;
    onRequest?.({ ...labels, outcome, label, client, trace, bytesIn, totalMs: clock.now() - startMs });
    const known = plan && labels.k !== 'none' ? plan : null;
    onAudit?.({
      ...{ label, tenant: client, ...labels, bytes, outcome, denied },
      boundary: known ? namesAt(known, k) : [],
      leakage: (known && leakageOf(known, k, tier)) ?? null,
      receipt: receipt?.id ?? null,
    });
  }

  /** Bytes of the frame, or 0 where the connection is closed or its reader too slow. */
  private send(message: ServerMessage, parts: readonly Uint8Array[] = []): number {
    if (this.isClosed) return 0;
    if (this.channel.bufferedBytes > UNSENT_BYTES_MAX) {
      this.close(closeCode('SLOW_CONSUMER'), `${this.channel.bufferedBytes} bytes wait to be read`);
      return 0;
    }
    const frame = encodeFrame(message, parts);
    this.channel.send(frame);
    return frame.byteLength;
  }

  private watchIdle(): void {
    if (this.isClosed) return;
    this.stopTimer();
    const { idleTimeoutMs } = this.options.limits;
    const { bytesReceived } = this.channel;
    this.stopTimer = this.options.clock.after(idleTimeoutMs, () => {
      // A request that takes long is no silence of the client's, nor is one that is still on its way.
      if (this.tickets.size > 0 || this.channel.bytesReceived !== bytesReceived) this.watchIdle();
      else this.violation(new TandemError('IDLE_TIMEOUT', `nothing came for ${idleTimeoutMs} ms`));
    });
  }
}

/** As a client is told. */
function toldOf(receipt: Signed | null): MessageOf<'error'>['receipt'] {
  return receipt && { text: receipt.text, signature: receipt.signature };
}

function closeCode(code: ErrorCode): number {
  return codeInfo(code).close ?? 1011;
}

function shorten(message: string): string {
  const isLong = message.length > ERROR_MESSAGE_MAX;
  return isLong ? `${message.slice(0, ERROR_MESSAGE_MAX - 3)}...` : message || 'no message';
}

/** A close reason is limited in bytes; ours are ASCII but for names that users chose. */
function closeReason(reason: string): string {
  const ascii = reason.replace(/[^\x20-\x7e]/g, '?');
  return ascii.slice(0, CLOSE_REASON_BYTES_MAX);
}
