/**
 * The link to the gateway: one connection that is open, and another with full-jitter back-off when it is lost. A gateway that goes
 * away answers what is under way on its connection, while the next one serves what is new.
 */
import { ERROR_CODES, messageOf, TandemError } from '../shared/errors.ts';
import type { MessageOf } from '../shared/protocol/messages.ts';
import { Connection, type GatewayEvents, type InferRequest, type Pending } from './connection.ts';
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

export class Link {
  status: Status = 'connecting';
  /** Why the gateway refused, or the last connection ended. */
  message: string | null = null;
  private frames: Frames | null = null;
  private connection: Connection | null = null;
  private attempts = 0;
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
    void this.open();
  }

  /** What the gateway grants this client, and takes; null while not connected. */
  get welcome(): MessageOf<'welcome'> | null {
    return this.connection?.welcome ?? null;
  }

  /** Until when the gateway wants no request. */
  get pausedUntilMs(): number {
    return this.connection?.pausedUntilMs ?? Number.NEGATIVE_INFINITY;
  }

  /** Handed over and not sent: what comes next waits for it. */
  get bufferedBytes(): number {
    return this.connection?.bufferedBytes ?? 0;
  }

  /** What the receipts that are asked for here are signed with; null where none are asked for, or none are given. */
  get receiptKey(): string | null {
    return this.events.receipts ? (this.welcome?.receiptKey ?? null) : null;
  }

  /** Whether waiting for a connection can help. */
  get mayOpen(): boolean {
    return this.status === 'open' || this.status === 'connecting';
  }

  /** As `Connection.infer`. Throws UNAVAILABLE where there is no connection. */
  infer(request: InferRequest, parts: readonly Uint8Array[]): Pending {
    const { connection, welcome } = this;
    if (!connection || !welcome) throw new TandemError('UNAVAILABLE', 'there is no connection');
    return connection.infer(request, parts, welcome);
  }

  /** Reports what is not reported yet, now: the client may not live until the next ping. */
  report(): void {
    if (this.welcome) this.connection?.sendPing();
  }

  /** The host woke up or came back online: ask at once whether the connection still lives, or connect at once. */
  wake(): void {
    if (this.connection?.wake()) return;
    this.connection?.end(new TandemError('UNAVAILABLE', 'the gateway did not answer'));
    this.connection = null;
    this.attempts = 0;
    void this.open();
  }

  close(): void {
    const error = new TandemError('CLOSED', 'the client was closed');
    // Those of gateways that go away end with their last request.
    this.connection?.end(error);
    this.leave('closed', error.message);
  }

  /** At once, where the codec of frames is there. */
  private async open(): Promise<void> {
    const { host, url, token, events } = this;
    const isCurrent = () => this.connection === connection;
    let connection: Connection | null = null;
    try {
      this.frames ??= await host.frames().catch((error: unknown) => {
        throw new Error(`the SDK did not load whole: ${messageOf(error)}`);
      });
      // It may have been closed meanwhile, or opened by a waking.
      if (!this.mayOpen || this.connection) return;
      connection = new Connection({
        ...{ host, url, frames: this.frames, token, events, receipts: events.receipts },
        onWelcome: (welcome) => {
          if (!isCurrent()) return;
          this.attempts = 0;
          this.setStatus('open', null);
          events.onWelcome(welcome);
        },
        onGoaway: (reason) => {
          if (isCurrent()) this.next('connecting', reason);
        },
        onLost: (code, message) => {
          if (isCurrent()) this.next(TERMINAL_CLOSE_CODES.includes(code) ? 'refused' : 'connecting', message);
        },
      });
      this.connection = connection;
    } catch (error) {
      if (this.mayOpen) this.next('connecting', messageOf(error));
    }
  }

  /** Goes on without the present connection, to another one where that may help. */
  private next(status: 'connecting' | 'refused', message: string): void {
    this.leave(status, message);
    // Whoever was told of it may have closed the link.
    if (this.status !== 'connecting') return;
    // Full jitter (Brooker, "Exponential Backoff And Jitter", AWS 2015): clients of a restarted gateway spread out.
    const ceiling = Math.min(BACKOFF_MAX_MS, BACKOFF_MIN_MS * 2 ** this.attempts++);
    this.stopTimer = this.host.clock.after(this.host.random() * ceiling, () => void this.open());
  }

  private leave(status: Status, message: string): void {
    this.stopTimer();
    this.connection = null;
    this.setStatus(status, message);
  }

  private setStatus(status: Status, message: string | null): void {
    this.status = status;
    this.message = message;
    this.events.onChange();
  }
}
