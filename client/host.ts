/** What the client core asks of the place it runs in. Entries (browser.ts, node.ts) make one, tests make their own. */
import type { Clock } from '../shared/clock.ts';
import type { Plan } from '../shared/plan.ts';
import type { Connector } from '../shared/protocol/channel.ts';
import type { Random } from '../shared/random.ts';
import type { Device } from './device.ts';

export interface Host {
  /** Software and version, for the gateway's logs. */
  readonly name: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly fetch: typeof fetch;
  /** SHA-256 in lower-case hex. */
  sha256(content: Uint8Array | string): Promise<string>;
  /** Opens a WebSocket to a URL. */
  connector(url: string): Connector;
  /** A device for a plan: its segments are loaded one by one. */
  createDevice(plan: Plan): Promise<Device>;
  /** Calls back whenever the host has reason to think that a connection works again. Gives what stops it. */
  onWake?(listener: () => void): () => void;
}
