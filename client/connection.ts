/**
 * One connection to the gateway, from its hello to its end: requests and their replies, and the pings that tell whether it lives.
 * What is under way when it ends is settled at once, so that nobody waits for a reply that cannot come.
 */
import { asTandemError, codeInfo, ERROR_CODES, TandemError } from '../shared/errors.ts';
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

interface Ping {
  readonly id: number;
  readonly sentAtMs: number;
  readonly bytes: number;
  readonly timeoutMs: number;
  readonly wasIdle: boolean;
}

interface Waiting {
  readonly sentAtMs: number;
  readonly bytesUp: number;
  readonly bytesAhead: number;
  resolve(reply: Reply): void;
  reject(error: TandemError): void;
}

export interface Connection {
  /** What the gateway grants and takes; null before it has said so. */
  readonly welcome: MessageOf<'welcome'> | null;
  /** Until when the gateway wants no request. */
  readonly pausedUntilMs: number;
  /** Handed over and not sent: what comes next waits for it. */
  readonly bufferedBytes: number;
  /**
   * Sends one request, once there is a welcome.
   * @throws TOO_MANY_REQUESTS or PAYLOAD_TOO_LARGE for what the gateway said that it would not take
   */
  infer(request: InferRequest, parts: readonly Uint8Array[], welcome: MessageOf<'welcome'>): Pending;
  /** Asks for a sign of life, with what is to be reported. */
  sendPing(): void;
  /** The host woke up or came back online. Gives whether this connection may be believed in, or is found out to be. */
  wake(): boolean;
  /** Settles all that waits on it. */
  end(error: TandemError): void;
}

/** Throws where a page's policy forbids the address, in Safari. */
export function openConnection(options: ConnectionOptions): Connection {
  const { host, frames, events } = options;
  const { clock } = host;
  const { encodeFrame } = frames;
  const waiting = new Map<number, Waiting>();
  const lastWords = new LastWords();
  const openedAtMs = clock.now();
  let welcome: MessageOf<'welcome'> | null = null;
  let pausedUntilMs = 0;
  let ping: Ping | null = null;
  /** What pings took along that have no pong yet. */
  let unheard: UsageReport = [];
  /** When the last frame was sent or came. */
  let frameAtMs = Number.NEGATIVE_INFINITY;
  /** What it said of itself last, for when it ends without a word. */
  let complaint = '';
  let isLeaving = false;
  let isOver = false;
  let nextId = 1;

  // A late event of a connection that is over must not touch its successor.
  const channel = host.connector(options.url)({
    onOpen() {
      if (!isOver) void hello();
    },
    onFrame(frame) {
      if (!isOver) receive(frame);
    },
    onClose: lost,
  });
  let stopTimer = clock.after(CONNECT_TIMEOUT_MS, () => lost(1006, 'the gateway did not answer'));

  function sendPing(timeoutMs = PONG_TIMEOUT_MS): void {
    const usage = events.takeUsage();
    const id = newId();
    const frame = encodeFrame({ type: 'ping', id, usage });
    // What is before it in the socket takes its time as well.
    const bytes = frame.byteLength + channel.bufferedBytes;
    const sentAtMs = clock.now();
    const wasIdle = sentAtMs - frameAtMs >= IDLE_MS;
    ping = { id, sentAtMs, bytes, timeoutMs, wasIdle };
    unheard = [...unheard, ...usage];
    frameAtMs = sentAtMs;
    channel.send(frame);
    watchPong(timeoutMs);
  }

  function end(error: TandemError): void {
    isOver = true;
    stopTimer();
    events.returnUsage(unheard);
    for (const entry of waiting.values()) entry.reject(error);
    waiting.clear();
    lastWords.clear();
    channel.close(1000, '');
  }

  function lost(code: number, reason: string): void {
    if (isOver) return;
    const message = reason || complaint || `the connection closed with ${code}`;
    end(new TandemError('UNAVAILABLE', message));
    options.onLost(code, message);
  }

  async function hello(): Promise<void> {
    if (channel.hasSaidHello) return;
    try {
      const token = await options.token();
      if (!isOver) send({ type: 'hello', client: host.name, token, receipts: options.receipts });
    } catch (error) {
      lost(1006, asTandemError(error, 'UNAUTHORIZED', 'no token').message);
    }
  }

  function receive(bytes: Uint8Array): void {
    frameAtMs = clock.now();
    try {
      const frame = frames.decodeFrame(bytes);
      handle(parseServerMessage(frame.header), frame.parts, bytes.byteLength);
    } catch (error) {
      // The peer is not one of ours, or not of our version: nothing that it says next can be trusted.
      const { code, message } = asTandemError(error, 'BAD_FRAME', 'a frame of the gateway');
      const close = codeInfo(code).close ?? ERROR_CODES.BAD_FRAME.close;
      channel.close(close, code);
      lost(close, `${code}: ${message}`);
    }
  }

  function handle(message: ServerMessage, parts: readonly Uint8Array[], bytesDown: number): void {
    switch (message.type) {
      case 'welcome':
        welcome = message;
        events.onLoad(message.load);
        sendPing();
        options.onWelcome(message);
        break;
      case 'result':
        events.onLoad(message.load);
        answer(message, parts, bytesDown);
        break;
      case 'error':
        fail(message);
        break;
      case 'pong':
        pong(message, bytesDown);
        break;
      case 'goaway':
        leave(message.reason);
        break;
      default:
        message satisfies never;
    }
  }

  function answer(message: MessageOf<'result'>, parts: readonly Uint8Array[], bytesDown: number): void {
    lastWords.came(message.id, message);
    const entry = take(message.id);
    if (!entry) return;
    const { bytesUp, bytesAhead, sentAtMs } = entry;
    const elapsedMs = clock.now() - sentAtMs;
    entry.resolve({ message, parts, bytesUp, bytesAhead, bytesDown, elapsedMs });
  }

  function fail(failure: MessageOf<'error'>): void {
    const { id, code, message, retryAfterMs } = failure;
    if (id === null) complaint = `${code}: ${message}`;
    else {
      lastWords.came(id, failure);
      if (code === 'OVERLOADED' && retryAfterMs !== null) pausedUntilMs = clock.now() + retryAfterMs;
      take(id)?.reject(failureOf(failure));
    }
  }

  function pong({ id, load }: MessageOf<'pong'>, bytesDown: number): void {
    if (ping?.id !== id) return;
    // What came before it came as well.
    unheard = [];
    const { bytes: bytesUp, sentAtMs, wasIdle } = ping;
    events.onRoundTrip({ bytesUp, bytesDown }, clock.now() - sentAtMs);
    ping = null;
    events.onLoad(load);
    // That one may have woken the radio: what the link is like when it is awake the next one tells.
    if (wasIdle) sendPing();
    else {
      // No ping is sent before there is a welcome.
      const { idleTimeoutMs } = (welcome as MessageOf<'welcome'>).limits;
      const intervalMs = Math.min(PING_INTERVAL_MS_MAX, idleTimeoutMs / PINGS_PER_IDLE_TIMEOUT);
      stopTimer();
      stopTimer = clock.after(intervalMs, () => sendPing());
    }
  }

  function watchPong(timeoutMs: number): void {
    const { bufferedBytes } = channel;
    const isHasty = timeoutMs < LAST_PONG_TIMEOUT_MS;
    let patienceMs = timeoutMs;
    // What waits for its answer may be before the ping on the way, in buffers that no page sees.
    if (!isHasty) for (const { bytesUp } of waiting.values()) patienceMs += bytesUp / SLOWEST_BYTES_PER_MS;
    stopTimer();
    stopTimer = watch(clock, patienceMs, () => {
      // So may what is before it in the socket.
      if (channel.bufferedBytes < bufferedBytes) return watchPong(timeoutMs);
      if (isHasty && waiting.size > 0) {
        // Over a link that is slow and lives they would be sent twice: they are waited for, and what is new has another connection.
        watchPong(LAST_PONG_TIMEOUT_MS);
        return leave(SILENT);
      }
      channel.close(4000, 'no pong');
      lost(1006, SILENT);
    });
  }

  function take(id: number): Waiting | undefined {
    const entry = waiting.get(id);
    waiting.delete(id);
    // The entry is settled first.
    if (isLeaving) queueMicrotask(leaveIfDone);
    return entry;
  }

  function leave(reason: string): void {
    isLeaving = true;
    options.onGoaway(reason);
    leaveIfDone();
  }

  /** Once it is leaving, which has been told. */
  function leaveIfDone(): void {
    if (waiting.size === 0) lost(1001, '');
  }

  function send(message: ClientMessage): void {
    channel.send(encodeFrame(message));
  }

  function newId(): number {
    const id = nextId;
    nextId = id === 2 ** 32 - 1 ? 1 : id + 1;
    return id;
  }

  return {
    get welcome() {
      return welcome;
    },
    get pausedUntilMs() {
      return pausedUntilMs;
    },
    get bufferedBytes() {
      return channel.bufferedBytes;
    },
    infer(request, parts, { limits: { inFlightMax, frameBytesMax } }) {
      if (waiting.size >= inFlightMax) {
        throw new TandemError('TOO_MANY_REQUESTS', `the gateway takes ${inFlightMax} requests at once`);
      }
      const id = newId();
      const message = { type: 'infer', id, ...request, parts: parts.map(({ byteLength }) => byteLength) } as const;
      const frame = encodeFrame(message, parts);
      const bytesUp = frame.byteLength;
      if (bytesUp > frameBytesMax) {
        throw new TandemError(
          'PAYLOAD_TOO_LARGE',
          `the gateway takes ${frameBytesMax} bytes, the frame has ${bytesUp}`,
        );
      }
      const sentAtMs = clock.now();
      const bytesAhead = channel.bufferedBytes;
      const reply = new Promise<Reply>((resolve, reject) => {
        waiting.set(id, { sentAtMs, bytesUp, bytesAhead, resolve, reject });
      });
      frameAtMs = sentAtMs;
      channel.send(frame);
      return {
        reply,
        lastWord: lastWords.of(id),
        bytesUp,
        cancel() {
          if (!waiting.has(id)) return;
          send({ type: 'cancel', id });
          lastWords.givenUp(id, clock);
          take(id);
        },
      };
    },
    sendPing,
    wake() {
      if (!welcome) return clock.now() - openedAtMs < WAKE_CONNECT_MS;
      // Several events tell of one waking.
      if (ping?.timeoutMs !== WAKE_PONG_TIMEOUT_MS) sendPing(WAKE_PONG_TIMEOUT_MS);
      return true;
    },
    end,
  };
}

/** The gateway's error as one of ours. */
export function failureOf({ code, message, retryAfterMs }: MessageOf<'error'>): TandemError {
  return new TandemError(code, message, { retryAfterMs: retryAfterMs ?? undefined });
}
