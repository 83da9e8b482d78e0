/**
 * The link to the gateway: one connection that is open, and another with full-jitter back-off when it is lost. A gateway that goes
 * away answers what is under way on its connection, while the next one serves what is new.
 */
import { ERROR_CODES, messageOf, TandemError } from '../shared/errors.ts';
import type { MessageOf } from '../shared/protocol/messages.ts';
import { type Connection, type GatewayEvents, type InferRequest, openConnection, type Pending } from './connection.ts';
import type { Frames, Host } from './host.ts';
import type { Token } from './token.ts';

export interface LinkEvents extends GatewayEvents {
  /** Whether the gateway is asked for receipts. */
  readonly receipts: boolean;
  onChange(): void;
  onWelcome(welcome: MessageOf<'welcome'>): void;
}

const BACKOFF_MIN_MS = 250;
const BACKOFF_MAX_MS = 30_000;

/** Close codes after which trying again with the same client would end the same way. */
const TERMINAL_CLOSE_CODES: readonly number[] = [ERROR_CODES.UNAUTHORIZED.close, ERROR_CODES.UNSUPPORTED_VERSION.close];

type Status = 'connecting' | 'open' | 'refused' | 'closed';

export interface Link {
  readonly status: Status;
  /** Why the gateway refused, or the last connection ended. */
  readonly message: string | null;
  /** What the gateway grants this client, and takes; null while not connected. */
  readonly welcome: MessageOf<'welcome'> | null;
  /** Until when the gateway wants no request. */
  readonly pausedUntilMs: number;
  /** Handed over and not sent: what comes next waits for it. */
  readonly bufferedBytes: number;
  /** What the receipts that are asked for here are signed with; null where none are asked for, or none are given. */
  readonly receiptKey: string | null;
  /** Whether waiting for a connection can help. */
  readonly mayOpen: boolean;
  /** As `Connection.infer`. Throws UNAVAILABLE where there is no connection. */
  infer(request: InferRequest, parts: readonly Uint8Array[]): Pending;
  /** Reports what is not reported yet, now: the client may not live until the next ping. */
  report(): void;
  /** The host woke up or came back online: ask at once whether the connection still lives, or connect at once. */
  wake(): void;
  close(): void;
}

export function linkTo(host: Host, url: string, token: () => Token, events: LinkEvents): Link {
  let status: Status = 'connecting';
  let message: string | null = null;
  let frames: Frames | null = null;
  let connection: Connection | null = null;
  let attempts = 0;
  let stopTimer = () => {};

  const welcomed = () => connection?.welcome ?? null;
  const mayOpen = () => status === 'open' || status === 'connecting';

  /** At once, where the codec of frames is there. */
  const open = async () => {
    const isCurrent = () => connection === made;
    let made: Connection | null = null;
    try {
      frames ??= await host.frames().catch((error: unknown) => {
        throw new Error(`the SDK did not load whole: ${messageOf(error)}`);
      });
      // It may have been closed meanwhile, or opened by a waking.
      if (!mayOpen() || connection) return;
      made = openConnection({
        ...{ host, url, frames, token, events, receipts: events.receipts },
        onWelcome(welcome) {
          if (!isCurrent()) return;
          attempts = 0;
          setStatus('open', null);
          events.onWelcome(welcome);
        },
        onGoaway(reason) {
          if (isCurrent()) next('connecting', reason);
        },
        onLost(code, reason) {
          if (isCurrent()) next(TERMINAL_CLOSE_CODES.includes(code) ? 'refused' : 'connecting', reason);
        },
      });
      connection = made;
    } catch (error) {
      if (mayOpen()) next('connecting', messageOf(error));
    }
  };

  /** Goes on without the present connection, to another one where that may help. */
  const next = (to: 'connecting' | 'refused', reason: string) => {
    leave(to, reason);
    // Whoever was told of it may have closed the link.
    if (status !== 'connecting') return;
    // Full jitter (Brooker, "Exponential Backoff And Jitter", AWS 2015): clients of a restarted gateway spread out.
    const ceiling = Math.min(BACKOFF_MAX_MS, BACKOFF_MIN_MS * 2 ** attempts++);
    stopTimer = host.clock.after(host.random() * ceiling, open);
  };

  const leave = (to: Status, reason: string) => {
    stopTimer();
    connection = null;
    setStatus(to, reason);
  };

  const setStatus = (to: Status, reason: string | null) => {
    status = to;
    message = reason;
    events.onChange();
  };

  void open();
  return {
    get status() {
      return status;
    },
    get message() {
      return message;
    },
    get welcome() {
      return welcomed();
    },
    get pausedUntilMs() {
      return connection?.pausedUntilMs ?? 0;
    },
    get bufferedBytes() {
      return connection?.bufferedBytes ?? 0;
    },
    get receiptKey() {
      return events.receipts ? (welcomed()?.receiptKey ?? null) : null;
    },
    get mayOpen() {
      return mayOpen();
    },
    infer(request, parts) {
      const welcome = welcomed();
      if (!connection || !welcome) throw new TandemError('UNAVAILABLE', 'there is no connection');
      return connection.infer(request, parts, welcome);
    },
    report() {
      if (welcomed()) connection?.sendPing();
    },
    wake() {
      if (connection?.wake()) return;
      connection?.end(new TandemError('UNAVAILABLE', 'the gateway did not answer'));
      connection = null;
      attempts = 0;
      void open();
    },
    close() {
      const error = new TandemError('CLOSED', 'the client was closed');
      // Those of gateways that go away end with their last request.
      connection?.end(error);
      leave('closed', error.message);
    },
  };
}
