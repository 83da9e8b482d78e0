/**
 * The connection to the gateway: kept open, watched, and opened again with full-jitter back-off. Every request that is
 * under way when it breaks is settled at once, so that nobody waits for a reply that cannot come.
 */
import { asTandemError, codeInfo, ERROR_CODES, messageOf, TandemError } from '../shared/errors.ts';
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
  cancel(reason: TandemError): void;
}

export interface LinkEvents {
  /** Whether the gateway is asked for receipts. */
  readonly receipts: boolean;
  onChange(): void;
  onWelcome(welcome: MessageOf<'welcome'>): void;
  /** A ping came back after this many milliseconds. */
  onRoundTrip(transfer: { readonly bytesUp: number; readonly bytesDown: number }, ms: number): void;
  onLoad(load: MessageOf<'pong'>['load']): void;
  /** What to report with the next ping; called once a ping, and what it gives is not given again. */
  takeUsage(): UsageReport;
  /** A ping with usage never came back. */
  returnUsage(usage: UsageReport): void;
}

/** Pings keep the connection from idling out, measure the round trip and carry usage. */
const PING_INTERVAL_MS_MAX = 15_000;
/** Pings in the time after which the gateway closes a silent connection. */
const PINGS_PER_IDLE_TIMEOUT = 3;
/** No pong within this time: the socket is open and dead. */
const PONG_TIMEOUT_MS = 4_000;
/** The same, of a host that has just woken up. */
const WAKE_PONG_TIMEOUT_MS = 500;
/** A connection that is being made for so long when the host wakes up may have been lost on the way. */
const WAKE_CONNECT_MS = 1_000;
/** After so long without a frame a radio may have to wake up for the next. */
const IDLE_MS = 3_000;
const CONNECT_TIMEOUT_MS = 10_000;
const BACKOFF_MIN_MS = 250;
const BACKOFF_MAX_MS = 30_000;

/** Close codes after which trying again with the same client would end the same way. */
const TERMINAL_CLOSE_CODES: readonly number[] = [ERROR_CODES.UNAUTHORIZED.close, ERROR_CODES.UNSUPPORTED_VERSION.close];

type Status = 'connecting' | 'open' | 'refused' | 'closed';

interface Waiting {
  readonly sentAtMs: number;
  readonly bytesUp: number;
  readonly bytesAhead: number;
  resolve(reply: Reply): void;
  reject(error: TandemError): void;
}

export class Link {
  status: Status = 'connecting';
  /** Why the gateway refused, or the last connection ended. */
  message: string | null = null;
  /** Labels that the gateway grants this client, with their floors there; empty while not connected. */
  welcome: MessageOf<'welcome'> | null = null;

  /** Until when the gateway wants no request. */
  pausedUntilMs = Number.NEGATIVE_INFINITY;

  private frames: Frames | null = null;
  private channel: Channel | null = null;
  private readonly waiting = new Map<number, Waiting>();
  private readonly lastWords = new LastWords();
  private ping: {
    readonly id: number;
    readonly sentAtMs: number;
    readonly bytes: number;
    readonly usage: UsageReport;
    readonly wasIdle: boolean;
  } | null = null;
  /** When the last frame was sent or came. */
  private frameAtMs = Number.NEGATIVE_INFINITY;
  /** The gateway said goodbye: this connection ends with its last reply. */
  private isLeaving = false;
  private nextId = 1;
  private attempts = 0;
  private openedAtMs = Number.NEGATIVE_INFINITY;
  private stopTimer: () => void = () => {};
  private readonly host: Host;
  private readonly url: string;
  private readonly token: () => Token;
  private readonly events: LinkEvents;

  constructor(host: Host, url: string, token: () => Token, events: LinkEvents) {
    this.host = host;
    this.url = url;
    this.token = token;
    this.events = events;
    this.open();
  }

  get isOpen(): boolean {
    return this.status === 'open';
  }

  /** Handed over and not sent: what comes next waits for it. */
  get bufferedBytes(): number {
    return this.channel?.bufferedBytes ?? 0;
  }

  /** What the receipts that are asked for here are signed with; null where none are asked for, or none are given. */
  get receiptKey(): string | null {
    return this.events.receipts ? (this.welcome?.receiptKey ?? null) : null;
  }

  /** Whether waiting for a connection can help. */
  get mayOpen(): boolean {
    return this.status === 'open' || this.status === 'connecting';
  }

  /**
   * Sends one request.
   * @throws UNAVAILABLE where there is no connection; TOO_MANY_REQUESTS or PAYLOAD_TOO_LARGE for what the gateway said
   * that it would not take
   */
  infer(request: InferRequest, parts: readonly Uint8Array[]): Pending {
    const { channel, welcome } = this;
    if (!channel || !welcome || !this.isOpen) {
      throw new TandemError('UNAVAILABLE', 'there is no connection to the gateway');
    }
    const { inFlightMax, frameBytesMax } = welcome.limits;
    if (this.waiting.size >= inFlightMax) {
      throw new TandemError('TOO_MANY_REQUESTS', `${inFlightMax} requests are under way, as many as the gateway takes`);
    }
    const id = this.newId();
    const message = { type: 'infer', id, ...request, parts: parts.map(({ byteLength }) => byteLength) } as const;
    const frame = this.encode(message, parts);
    if (frame.byteLength > frameBytesMax) {
      throw new TandemError(
        'PAYLOAD_TOO_LARGE',
        `the frame has ${frame.byteLength} bytes, the gateway takes ${frameBytesMax}`,
      );
    }
    const sentAtMs = this.host.clock.now();
    const bytesAhead = channel.bufferedBytes;
    const reply = new Promise<Reply>((resolve, reject) => {
      this.waiting.set(id, { sentAtMs, bytesUp: frame.byteLength, bytesAhead, resolve, reject });
    });
    this.frameAtMs = sentAtMs;
    channel.send(frame);
    return {
      reply,
      lastWord: this.lastWords.of(id),
      bytesUp: frame.byteLength,
      cancel: (reason) => {
        const entry = this.waiting.get(id);
        if (!entry) return;
        entry.reject(reason);
        this.send({ type: 'cancel', id });
        this.lastWords.givenUp(id, this.host.clock);
        this.take(id);
      },
    };
  }

  /** Reports what is not reported yet, now: the client may not live until the next ping. */
  report(): void {
    if (this.isOpen) this.sendPing();
  }

  /** The host woke up or came back online: ask at once whether the connection still lives, or connect at once. */
  wake(): void {
    const nowMs = this.host.clock.now();
    if (this.isOpen) {
      const pingedMs = nowMs - (this.ping?.sentAtMs ?? Number.NEGATIVE_INFINITY);
      // Where no request hangs on it another connection costs less than waiting for a dead one. Several events tell of one waking.
      if (this.waiting.size === 0 && pingedMs >= WAKE_PONG_TIMEOUT_MS) this.sendPing(WAKE_PONG_TIMEOUT_MS);
      else if (!this.ping) this.sendPing();
    } else if (this.status === 'connecting' && !this.isLeaving) {
      if (this.channel && nowMs - this.openedAtMs < WAKE_CONNECT_MS) return;
      if (this.channel) this.drop('connecting', new TandemError('UNAVAILABLE', 'the gateway did not answer'));
      this.attempts = 0;
      if (this.status === 'connecting') this.open();
    }
  }

  close(): void {
    if (this.status === 'closed') return;
    this.drop('closed', new TandemError('CLOSED', 'the client was closed'));
  }

  private open(): void {
    if (!this.frames) return void this.openWithFrames();
    let channel: Channel | null = null;
    // A late event of a connection that was given up must not touch its successor.
    const isCurrent = () => channel !== null && this.channel === channel;
    try {
      channel = this.host.connector(this.url)({
        onOpen: () => {
          if (isCurrent()) void this.hello();
        },
        onFrame: (frame) => {
          if (isCurrent()) this.receive(frame);
        },
        onClose: (code, reason) => {
          if (isCurrent()) this.lost(code, reason);
        },
      });
    } catch (error) {
      // Safari says so where a page's policy forbids the address.
      this.lost(1006, messageOf(error));
      return;
    }
    this.channel = channel;
    this.openedAtMs = this.host.clock.now();
    this.timer(CONNECT_TIMEOUT_MS, () => this.lost(1006, 'the gateway did not answer'));
  }

  private async openWithFrames(): Promise<void> {
    try {
      this.frames = await this.host.frames();
      if (this.status === 'connecting' && !this.channel) this.open();
    } catch (error) {
      if (this.status === 'connecting') this.lost(1006, `the SDK did not load whole: ${messageOf(error)}`);
    }
  }

  private async hello(): Promise<void> {
    const { channel } = this;
    if (channel?.hasSaidHello) return;
    try {
      const token = await this.token();
      if (this.channel === channel)
        this.send({ type: 'hello', client: this.host.name, token, receipts: this.events.receipts });
    } catch (error) {
      if (this.channel === channel) this.lost(1006, asTandemError(error, 'UNAUTHORIZED', 'no token').message);
    }
  }

  private receive(bytes: Uint8Array): void {
    this.frameAtMs = this.host.clock.now();
    try {
      const frame = (this.frames as Frames).decodeFrame(bytes);
      this.handle(parseServerMessage(frame.header), frame.parts, bytes.byteLength);
    } catch (error) {
      // The peer is not one of ours, or not of our version: nothing that it says next can be trusted.
      const { code, message } = asTandemError(error, 'BAD_FRAME', 'a frame of the gateway');
      const close = codeInfo(code).close ?? ERROR_CODES.BAD_FRAME.close;
      this.channel?.close(close, code);
      this.lost(close, `${code}: ${message}`);
    }
  }

  private handle(message: ServerMessage, parts: readonly Uint8Array[], bytesDown: number): void {
    switch (message.type) {
      case 'welcome':
        this.welcome = message;
        this.attempts = 0;
        this.events.onLoad(message.load);
        this.sendPing();
        this.setStatus('open', null);
        this.events.onWelcome(message);
        break;
      case 'result':
        this.events.onLoad(message.load);
        this.answer(message, parts, bytesDown);
        break;
      case 'error':
        this.fail(message);
        break;
      case 'pong':
        this.pong(message, bytesDown);
        break;
      case 'goaway':
        // Requests under way are still answered here; new ones wait for the next connection.
        this.isLeaving = true;
        this.setStatus('connecting', message.reason);
        this.leaveIfDone();
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
    entry.resolve({ message, parts, bytesUp, bytesAhead, bytesDown, elapsedMs: this.host.clock.now() - sentAtMs });
  }

  private fail(failure: MessageOf<'error'>): void {
    const { id, code, message, retryAfterMs } = failure;
    if (id === null) this.message = `${code}: ${message}`;
    else {
      this.lastWords.came(id, failure);
      if (code === 'OVERLOADED' && retryAfterMs !== null) this.pausedUntilMs = this.host.clock.now() + retryAfterMs;
      this.take(id)?.reject(failureOf(failure));
    }
  }

  private pong({ id, load }: MessageOf<'pong'>, bytesDown: number): void {
    if (this.ping?.id !== id) return;
    const { bytes: bytesUp, sentAtMs, wasIdle } = this.ping;
    this.events.onRoundTrip({ bytesUp, bytesDown }, this.host.clock.now() - sentAtMs);
    this.ping = null;
    this.events.onLoad(load);
    // That one may have woken the radio: what the link is like when it is awake the next one tells.
    if (wasIdle) this.sendPing();
    else this.timer(this.pingIntervalMs, () => this.sendPing());
  }

  private get pingIntervalMs(): number {
    const idleTimeoutMs = this.welcome?.limits.idleTimeoutMs ?? Number.POSITIVE_INFINITY;
    return Math.min(PING_INTERVAL_MS_MAX, idleTimeoutMs / PINGS_PER_IDLE_TIMEOUT);
  }

  private take(id: number): Waiting | undefined {
    const entry = this.waiting.get(id);
    this.waiting.delete(id);
    // The entry is settled first.
    if (this.isLeaving) queueMicrotask(() => this.leaveIfDone());
    return entry;
  }

  private leaveIfDone(): void {
    if (this.isLeaving && this.waiting.size === 0) this.lost(1001, this.message ?? 'the gateway is going away');
  }

  private sendPing(timeoutMs = PONG_TIMEOUT_MS): void {
    // What an earlier ping took along and has no pong: the next one's stands for both.
    const unheard = this.ping?.usage ?? [];
    const usage = this.events.takeUsage();
    const id = this.newId();
    const frame = this.encode({ type: 'ping', id, usage });
    // What is before it in the socket takes its time as well.
    const bytes = frame.byteLength + this.bufferedBytes;
    const nowMs = this.host.clock.now();
    this.ping = {
      id,
      sentAtMs: nowMs,
      bytes,
      usage: [...unheard, ...usage],
      wasIdle: nowMs - this.frameAtMs >= IDLE_MS,
    };
    this.frameAtMs = nowMs;
    this.channel?.send(frame);
    this.watchPong(timeoutMs);
  }

  private watchPong(timeoutMs: number): void {
    const { bufferedBytes } = this;
    this.stopTimer();
    this.stopTimer = watch(this.host.clock, timeoutMs, () => {
      // What is before it in the socket is still on its way.
      if (this.bufferedBytes < bufferedBytes) return this.watchPong(timeoutMs);
      this.channel?.close(4000, 'no pong');
      this.lost(1006, 'the gateway went silent');
    });
  }

  private lost(code: number, reason: string): void {
    const message = reason || this.message || `the connection closed with ${code}`;
    this.drop(TERMINAL_CLOSE_CODES.includes(code) ? 'refused' : 'connecting', new TandemError('UNAVAILABLE', message));
    // Whoever was told of it may have closed the link.
    if (this.status !== 'connecting') return;
    // Full jitter (Brooker, "Exponential Backoff And Jitter", AWS 2015): clients of a restarted gateway spread out.
    const ceiling = Math.min(BACKOFF_MAX_MS, BACKOFF_MIN_MS * 2 ** this.attempts++);
    this.timer(this.host.random() * ceiling, () => this.open());
  }

  /** Leaves the present connection, if any, and settles all that waits on it. */
  private drop(status: Status, error: TandemError): void {
    this.stopTimer();
    const { channel, ping } = this;
    this.channel = null;
    this.welcome = null;
    // What comes next may be another instance.
    this.pausedUntilMs = Number.NEGATIVE_INFINITY;
    this.isLeaving = false;
    this.ping = null;
    if (ping) this.events.returnUsage(ping.usage);
    for (const entry of this.waiting.values()) entry.reject(error);
    this.waiting.clear();
    this.lastWords.clear();
    channel?.close(1000, '');
    this.setStatus(status, error.message);
  }

  private setStatus(status: Status, message: string | null): void {
    this.status = status;
    this.message = message;
    this.events.onChange();
  }

  private send(message: ClientMessage): void {
    this.channel?.send(this.encode(message));
  }

  /** There is a channel only where there are frames. */
  private encode(message: ClientMessage, parts: readonly Uint8Array[] = []): Uint8Array {
    return (this.frames as Frames).encodeFrame(message, parts);
  }

  private newId(): number {
    const id = this.nextId;
    this.nextId = id === 2 ** 32 - 1 ? 1 : id + 1;
    return id;
  }

  private timer(ms: number, action: () => void): void {
    this.stopTimer();
    this.stopTimer = this.host.clock.after(ms, action);
  }
}

/** The gateway's error as one of ours. */
export function failureOf({ code, message, retryAfterMs }: MessageOf<'error'>): TandemError {
  return new TandemError(code, message, { retryAfterMs: retryAfterMs ?? undefined });
}
