/**
 * One connection to the gateway, from its hello to its end: requests and their replies, and the pings that tell whether it lives.
 * What is under way when it ends is settled at once, so that nobody waits for a reply that cannot come.
 */
import type { Clock } from '../shared/clock.ts';
import { asTandemError, codeInfo, ERROR_CODES, TandemError } from '../shared/errors.ts';
import type { Channel } from '../shared/protocol/channel.ts';
import type { ClientMessage, MessageOf, ServerMessage } from '../shared/protocol/messages.ts';
import { parseServerMessage } from '../shared/protocol/server-messages.ts';
import type { Frames, Host } from './host.ts';
import { type LastWord, LastWords } from './last-words.ts';
import type { Token } from './token.ts';
import type { UsageReport } from './usage.ts';
import { watch } from './watch.ts';

export type InferRequest = Omit<MessageOf<'infer'>, 'type' | 'id' | 'parts'>;

export interface Reply {
  readonly message: MessageOf<'result'>;
  readonly parts: readonly Uint8Array[];
  /** Bytes of the two frames, and what was waiting in the socket before ours. */
  readonly bytesUp: number;
  readonly bytesDown: number;
  readonly bytesAhead: number;
  /** From handing the frame over to having the reply, in milliseconds. */
  readonly elapsedMs: number;
}

export interface Pending {
  readonly reply: Promise<Reply>;
  /** What the gateway says of it in the end, also after it was cancelled; null where that does not come. */
  readonly lastWord: Promise<LastWord>;
  readonly bytesUp: number;
  /** Nobody waits for the reply any more: it does not settle. */
  cancel(): void;
}

/** What is learnt of a gateway, by whichever connection. */
export interface GatewayEvents {
  /** A ping came back after this many milliseconds. */
  onRoundTrip(transfer: { readonly bytesUp: number; readonly bytesDown: number }, ms: number): void;
  onLoad(load: MessageOf<'pong'>['load']): void;
  /** What to report with the next ping; called once a ping, and what it gives is not given again. */
  takeUsage(): UsageReport;
  /** A ping with usage never came back. */
  returnUsage(usage: UsageReport): void;
}

export interface ConnectionOptions {
  readonly host: Host;
  readonly url: string;
  readonly frames: Frames;
  readonly token: () => Token;
  /** Whether the gateway is asked for receipts. */
  readonly receipts: boolean;
  readonly events: GatewayEvents;
  onWelcome(welcome: MessageOf<'welcome'>): void;
  /** The gateway said goodbye, or is hardly to be believed in: what is under way may be answered, and this connection ends with its last reply. */
  onGoaway(reason: string): void;
  /** It is over, and not by `end`. Called once, when what was under way is settled. */
  onLost(code: number, reason: string): void;
}

/** Pings keep the connection from idling out, measure the round trip and carry usage. */
const PING_INTERVAL_MS_MAX = 15_000;
/** Pings in the time after which the gateway closes a silent connection. */
const PINGS_PER_IDLE_TIMEOUT = 3;
/** No pong within this time: the socket is open and dead. */
const PONG_TIMEOUT_MS = 4_000;
/** The same, of a host that has just woken up. */
const WAKE_PONG_TIMEOUT_MS = 500;
/** And what is left of the time for those that wait for an answer. */
const LAST_PONG_TIMEOUT_MS = 2_500;
/** A connection that is being made for so long when the host wakes up may have been lost on the way. */
const WAKE_CONNECT_MS = 1_000;
/** After so long without a frame a radio may have to wake up for the next. */
const IDLE_MS = 3_000;
const CONNECT_TIMEOUT_MS = 10_000;
/** Of an uplink that is of use. */
const SLOWEST_BYTES_PER_MS = 16;
const SILENT = 'the gateway went silent';

interface Waiting {
  readonly sentAtMs: number;
  readonly bytesUp: number;
  readonly bytesAhead: number;
  resolve(reply: Reply): void;
  reject(error: TandemError): void;
}

export class Connection {
  /** What the gateway grants and takes; null before it has said so. */
  welcome: MessageOf<'welcome'> | null = null;
  /** Until when the gateway wants no request. */
  pausedUntilMs = 0;
  private readonly waiting = new Map<number, Waiting>();
  private readonly lastWords = new LastWords();
  private ping: {
    readonly id: number;
    readonly sentAtMs: number;
    readonly bytes: number;
    readonly timeoutMs: number;
    readonly wasIdle: boolean;
  } | null = null;
  /** What pings took along that have no pong yet. */
  private unheard: UsageReport = [];
  /** When the last frame was sent or came. */
  private frameAtMs = Number.NEGATIVE_INFINITY;
  /** What it said of itself last, for when it ends without a word. */
  private complaint = '';
  private isLeaving = false;
  private isOver = false;
  private nextId = 1;
  private stopTimer: () => void;
  private readonly openedAtMs: number;
  private readonly channel: Channel;
  private readonly clock: Clock;
  private readonly options: ConnectionOptions;

  /** Throws where a page's policy forbids the address, in Safari. */
  constructor(options: ConnectionOptions) {
    const { host, url } = options;
    this.options = options;
    this.clock = host.clock;
    this.openedAtMs = host.clock.now();
    // A late event of a connection that is over must not touch its successor.
    this.channel = host.connector(url)({
      onOpen: () => {
        if (!this.isOver) void this.hello();
      },
      onFrame: (frame) => {
        if (!this.isOver) this.receive(frame);
      },
      onClose: (code, reason) => this.lost(code, reason),
    });
    this.stopTimer = host.clock.after(CONNECT_TIMEOUT_MS, () => this.lost(1006, 'the gateway did not answer'));
  }

  /** Handed over and not sent: what comes next waits for it. */
  get bufferedBytes(): number {
    return this.channel.bufferedBytes;
  }

  /**
   * Sends one request, once there is a welcome.
   * @throws TOO_MANY_REQUESTS or PAYLOAD_TOO_LARGE for what the gateway said that it would not take
   */
  infer(request: InferRequest, parts: readonly Uint8Array[], welcome: MessageOf<'welcome'>): Pending {
    const { inFlightMax, frameBytesMax } = welcome.limits;
    if (this.waiting.size >= inFlightMax) {
      throw new TandemError('TOO_MANY_REQUESTS', `the gateway takes ${inFlightMax} requests at once`);
    }
    const id = this.newId();
    const message = { type: 'infer', id, ...request, parts: parts.map(({ byteLength }) => byteLength) } as const;
    const frame = this.options.frames.encodeFrame(message, parts);
    const bytesUp = frame.byteLength;
    if (bytesUp > frameBytesMax) {
      throw new TandemError('PAYLOAD_TOO_LARGE', `the gateway takes ${frameBytesMax} bytes, the frame has ${bytesUp}`);
    }
    const sentAtMs = this.clock.now();
    const bytesAhead = this.bufferedBytes;
    const reply = new Promise<Reply>((resolve, reject) => {
      this.waiting.set(id, { sentAtMs, bytesUp, bytesAhead, resolve, reject });
    });
    this.frameAtMs = sentAtMs;
    this.channel.send(frame);
    return {
      reply,
      lastWord: this.lastWords.of(id),
      bytesUp,
      cancel: () => {
        if (!this.waiting.has(id)) return;
        this.send({ type: 'cancel', id });
        this.lastWords.givenUp(id, this.clock);
        this.take(id);
      },
    };
  }

  /** Asks for a sign of life, with what is to be reported. */
  sendPing(timeoutMs = PONG_TIMEOUT_MS): void {
    const { events, frames } = this.options;
    const usage = events.takeUsage();
    const id = this.newId();
    const frame = frames.encodeFrame({ type: 'ping', id, usage });
    // What is before it in the socket takes its time as well.
    const bytes = frame.byteLength + this.bufferedBytes;
    const sentAtMs = this.clock.now();
    const wasIdle = sentAtMs - this.frameAtMs >= IDLE_MS;
    this.ping = { id, sentAtMs, bytes, timeoutMs, wasIdle };
    this.unheard = [...this.unheard, ...usage];
    this.frameAtMs = sentAtMs;
    this.channel.send(frame);
    this.watchPong(timeoutMs);
  }

  /** The host woke up or came back online. Gives whether this connection may be believed in, or is found out to be. */
  wake(): boolean {
    if (!this.welcome) return this.clock.now() - this.openedAtMs < WAKE_CONNECT_MS;
    // Several events tell of one waking.
    if (this.ping?.timeoutMs !== WAKE_PONG_TIMEOUT_MS) this.sendPing(WAKE_PONG_TIMEOUT_MS);
    return true;
  }

  /** Settles all that waits on it. */
  end(error: TandemError): void {
    this.isOver = true;
    this.stopTimer();
    this.options.events.returnUsage(this.unheard);
    for (const entry of this.waiting.values()) entry.reject(error);
    this.waiting.clear();
    this.lastWords.clear();
    this.channel.close(1000, '');
  }

  private lost(code: number, reason: string): void {
    if (this.isOver) return;
    const message = reason || this.complaint || `the connection closed with ${code}`;
    this.end(new TandemError('UNAVAILABLE', message));
    this.options.onLost(code, message);
  }

  private async hello(): Promise<void> {
    const { host, token, receipts } = this.options;
    if (this.channel.hasSaidHello) return;
    try {
      const text = await token();
      if (!this.isOver) this.send({ type: 'hello', client: host.name, token: text, receipts });
    } catch (error) {
      this.lost(1006, asTandemError(error, 'UNAUTHORIZED', 'no token').message);
    }
  }

  private receive(bytes: Uint8Array): void {
    this.frameAtMs = this.clock.now();
    try {
      const frame = this.options.frames.decodeFrame(bytes);
      this.handle(parseServerMessage(frame.header), frame.parts, bytes.byteLength);
    } catch (error) {
      // The peer is not one of ours, or not of our version: nothing that it says next can be trusted.
      const { code, message } = asTandemError(error, 'BAD_FRAME', 'a frame of the gateway');
      const close = codeInfo(code).close ?? ERROR_CODES.BAD_FRAME.close;
      this.channel.close(close, code);
      this.lost(close, `${code}: ${message}`);
    }
  }

  private handle(message: ServerMessage, parts: readonly Uint8Array[], bytesDown: number): void {
    const { events, onWelcome } = this.options;
    switch (message.type) {
      case 'welcome':
        this.welcome = message;
        events.onLoad(message.load);
        this.sendPing();
        onWelcome(message);
        break;
      case 'result':
        events.onLoad(message.load);
        this.answer(message, parts, bytesDown);
        break;
      case 'error':
        this.fail(message);
        break;
      case 'pong':
        this.pong(message, bytesDown);
        break;
      case 'goaway':
        this.leave(message.reason);
        break;
      default:
        message satisfies never;
    }
  }

  private answer(message: MessageOf<'result'>, parts: readonly Uint8Array[], bytesDown: number): void {
    this.lastWords.came(message.id, message);
    const entry = this.take(message.id);
    if (!entry) return;
    const { bytesUp, bytesAhead, sentAtMs } = entry;
    const elapsedMs = this.clock.now() - sentAtMs;
    entry.resolve({ message, parts, bytesUp, bytesAhead, bytesDown, elapsedMs });
  }

  private fail(failure: MessageOf<'error'>): void {
    const { id, code, message, retryAfterMs } = failure;
    if (id === null) this.complaint = `${code}: ${message}`;
    else {
      this.lastWords.came(id, failure);
      if (code === 'OVERLOADED' && retryAfterMs !== null) {
        this.pausedUntilMs = this.clock.now() + retryAfterMs;
      }
      this.take(id)?.reject(failureOf(failure));
    }
  }

  private pong({ id, load }: MessageOf<'pong'>, bytesDown: number): void {
    if (this.ping?.id !== id) return;
    // What came before it came as well.
    this.unheard = [];
    const { events } = this.options;
    const { bytes: bytesUp, sentAtMs, wasIdle } = this.ping;
    events.onRoundTrip({ bytesUp, bytesDown }, this.clock.now() - sentAtMs);
    this.ping = null;
    events.onLoad(load);
    // That one may have woken the radio: what the link is like when it is awake the next one tells.
    if (wasIdle) this.sendPing();
    else {
      // No ping is sent before there is a welcome.
      const { idleTimeoutMs } = (this.welcome as MessageOf<'welcome'>).limits;
      const intervalMs = Math.min(PING_INTERVAL_MS_MAX, idleTimeoutMs / PINGS_PER_IDLE_TIMEOUT);
      this.stopTimer();
      this.stopTimer = this.clock.after(intervalMs, () => this.sendPing());
    }
  }

  private watchPong(timeoutMs: number): void {
    const { bufferedBytes } = this;
    const isHasty = timeoutMs < LAST_PONG_TIMEOUT_MS;
    let patienceMs = timeoutMs;
    // What waits for its answer may be before the ping on the way, in buffers that no page sees.
    if (!isHasty) for (const { bytesUp } of this.waiting.values()) patienceMs += bytesUp / SLOWEST_BYTES_PER_MS;
    this.stopTimer();
    this.stopTimer = watch(this.clock, patienceMs, () => {
      // So may what is before it in the socket.
      if (this.bufferedBytes < bufferedBytes) return this.watchPong(timeoutMs);
      if (isHasty && this.waiting.size > 0) {
        // Over a link that is slow and lives they would be sent twice: they are waited for, and what is new has another connection.
        this.watchPong(LAST_PONG_TIMEOUT_MS);
        return this.leave(SILENT);
      }
      this.channel.close(4000, 'no pong');
      this.lost(1006, SILENT);
    });
  }

  private take(id: number): Waiting | undefined {
    const entry = this.waiting.get(id);
    this.waiting.delete(id);
    // The entry is settled first.
    if (this.isLeaving) queueMicrotask(() => this.leaveIfDone());
    return entry;
  }

  private leave(reason: string): void {
    this.isLeaving = true;
    this.options.onGoaway(reason);
    this.leaveIfDone();
  }

  /** Once it is leaving, which has been told. */
  private leaveIfDone(): void {
    if (this.waiting.size === 0) this.lost(1001, '');
  }

  private send(message: ClientMessage): void {
    this.channel.send(this.options.frames.encodeFrame(message));
  }

  private newId(): number {
    const id = this.nextId;
    this.nextId = id === 2 ** 32 - 1 ? 1 : id + 1;
    return id;
  }
}

/** The gateway's error as one of ours. */
export function failureOf({ code, message, retryAfterMs }: MessageOf<'error'>): TandemError {
  return new TandemError(code, message, { retryAfterMs: retryAfterMs ?? undefined });
}
