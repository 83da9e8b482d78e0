/** What the client core asks of the place it runs in. Entries (browser.ts, node.ts) make one, tests make their own. */
import type { Clock } from '../shared/clock.ts';
import type { Plan } from '../shared/plan.ts';
import type { Connector } from '../shared/protocol/channel.ts';
import type { Random } from '../shared/random.ts';
import type { Device } from './device.ts';
import type { FileStore } from './file-store.ts';
import type { Network } from './permissions.ts';
import type { RuntimeFile } from './runtime-file.ts';

export type Frames = Pick<typeof import('../shared/protocol/frames.ts'), 'encodeFrame' | 'decodeFrame'>;

export interface Host {
  /** Software and version, for the gateway's logs. */
  readonly name: string;
  /** Key of `segments[].targets` whose files its devices run. */
  readonly target: string;
  readonly clock: Clock;
  /** Milliseconds by the calendar, which goes on between visits; absent where nothing learnt is to be kept. */
  wallClock?(): number;
  readonly random: Random;
  readonly fetch: typeof fetch;
  /** What segments are asked for in parts with; absent where they come whole. */
  readonly partInit?: RequestInit | undefined;
  /** What is kept between visits. */
  readonly files: FileStore;
  /** What the device's engine needs besides segments, or null where it has all. */
  readonly runtimeFile: RuntimeFile | null;
  /** What the device is on; null or absent where nobody can say. */
  network?(): Network | null;
  /** Whether the user asks to save data, now: nothing is downloaded before it is asked for, and no more sent than must be. */
  savesData?(): boolean;
  /** Whether the battery is low, now, and not being charged. */
  savesPower?(): boolean;
  /** Does the work while no other tab does work of this name, or after having waited for that long enough. */
  alone?<T>(name: string, work: () => Promise<T>): Promise<T>;
  /** Names of what tabs do alone now. */
  underWay?(): Promise<readonly string[]>;
  /** SHA-256 in lower-case hex. */
  sha256(content: Uint8Array | string): Promise<string>;
  /** Why no device here will run the whole of a plan, as far as that is known before; nothing where one may. */
  obstacleTo?(plan: Plan): string | false | undefined;
  /** Messages <-> frames: shared/protocol/frames.ts, which a page loads beside its first request. */
  frames(): Promise<Frames>;
  /** Opens a WebSocket to a URL. */
  connector(url: string): Connector;
  /**
   * A device for a plan: its segments are loaded one by one.
   * @param onLost called before anything rejects, when the device has died for good: a worker out of memory
   * @param signal ends it, made or half made
   */
  createDevice(plan: Plan, onLost: (reason: string) => void, signal: AbortSignal): Promise<Device>;
  /** A device for a plan's head that is there at once; null where there is none for such a plan. */
  headDevice?(plan: Plan): Device | null;
  /** Where an error goes that is the fault of the app's own listener. */
  report(error: unknown): void;
  /** Where the app's developer reads what is wrong though requests are answered: the gateway's answers hide that no segment comes. */
  warn?(message: string): void;
  /** Calls back when the host may be about to end: the last moment to say something. Gives what stops it. */
  onLeave?(listener: () => void): () => void;
  /**
   * Calls back whenever the host has reason to think that a connection works again, or no more, with how long it was away: in
   * the background or frozen, 0 where it was not. Gives what stops it.
   */
  onWake?(listener: (awayMs: number) => void): () => void;
  /** Calls back when the device is on another network, or may be. Gives what stops it. */
  onNetwork?(listener: () => void): () => void;
}
