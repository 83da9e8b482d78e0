/** The network between a client and the gateway as a test wants it: one process, real frames. */
import type { Gateway } from '../../server/gateway.ts';
import type { Clock } from '../../shared/clock.ts';
import type { Connector } from '../../shared/protocol/channel.ts';
import { type ChannelEnd, channelPair } from './memory-channel.ts';

/** What a socket says that broke without a word. */
const ABNORMAL_CLOSURE = 1006;

export interface FakeLink {
  /** One way, in milliseconds of the fake clock: a round trip takes twice this. */
  delayMs: number;
  /** Connections break, new ones are refused and nothing is fetched, until it is restored. */
  cut(): void;
  /** Ends a cut. Clients are told, as a page is that is online again, and connect at once. */
  restore(): void;
}

export class FakeNetwork implements FakeLink {
  delayMs = 0;
  private isDown = false;
  /** When what was sent last arrives. */
  private dueAtMs = 0;
  private readonly channels = new Set<ChannelEnd>();
  private readonly wakes = new Set<() => void>();
  private readonly clock: Clock;
  private readonly onFrame: (frame: Uint8Array) => void;

  /** @param onFrame sees every frame that a client sends, as it is received */
  constructor(clock: Clock, onFrame: (frame: Uint8Array) => void) {
    this.clock = clock;
    this.onFrame = onFrame;
  }

  get isCut(): boolean {
    return this.isDown;
  }

  cut(): void {
    this.isDown = true;
    for (const channel of this.channels) channel.close(ABNORMAL_CLOSURE, 'the link was cut');
  }

  restore(): void {
    this.isDown = false;
    for (const wake of this.wakes) wake();
  }

  /** Calls back when the network is there again. Gives what stops it. */
  onRestore(listener: () => void): () => void {
    this.wakes.add(listener);
    return () => this.wakes.delete(listener);
  }

  /** Opens connections to a gateway. */
  connectorTo(gateway: Gateway): Connector {
    return (events) => {
      const [near, far] = channelPair((deliver) => this.later(deliver));
      this.channels.add(near);
      const onClose = (code: number, reason: string) => {
        this.channels.delete(near);
        events.onClose(code, reason);
      };
      near.events = { onFrame: events.onFrame, onClose };
      if (this.isDown) {
        near.close(ABNORMAL_CLOSURE, 'there is no network');
        return near;
      }
      const connection = gateway.opened(far);
      far.events = {
        onFrame: (frame) => {
          this.onFrame(frame);
          connection.frame(frame);
        },
        onClose: (code) => connection.closed(code),
      };
      this.later(() => {
        if (this.channels.has(near)) events.onOpen();
      });
      return near;
    };
  }

  private later(action: () => void): void {
    const nowMs = this.clock.now();
    // A shorter delay does not let what was sent later overtake.
    this.dueAtMs = Math.max(this.dueAtMs, nowMs + this.delayMs);
    if (this.dueAtMs > nowMs) this.clock.after(this.dueAtMs - nowMs, action);
    else queueMicrotask(action);
  }
}
