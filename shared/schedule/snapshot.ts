/** Everything that a decision may depend on, as plain data at one moment: what `decide` is a pure function of. */
import type { Plan } from '../plan.ts';
import type { LinkEstimate } from './link.ts';
import type { QueueEstimate } from './queue.ts';
import type { SpeedEstimate } from './speed.ts';

export interface Snapshot {
  readonly plan: Plan;
  /** Device target whose segments are loaded: a key of `segments[].targets`. */
  readonly target: string;
  /** The request's value of the size variable. */
  readonly size: number;
  /** The boundary that the request has reached. */
  readonly at: number;
  /** Segments 1..loaded can run on the device. */
  readonly loaded: number;
  /** Whether a request can be sent now. */
  readonly isConnected: boolean;
  /** Why not, in the link's words, where it says. */
  readonly disconnection?: string | null | undefined;
  /** When it is, by the clock of the estimates. */
  readonly nowMs: number;
  readonly device: SpeedEstimate;
  readonly server: SpeedEstimate;
  readonly link: LinkEstimate;
  readonly queue: QueueEstimate;
  /** Bytes that wait in the socket before whatever is sent next. */
  readonly aheadBytes?: number | undefined;
  /** What the device has still to do for other requests, in milliseconds: it runs one thing at a time. */
  readonly deviceAheadMs?: number | undefined;
  /** How long nothing was sent or received. */
  readonly idleMs: number;
  /** Observed milliseconds to encode, by `tierKey`; unknown ones count as ENCODE_PRIOR_MS. */
  readonly encodeMs: Readonly<Record<string, number>>;
  /** Tiers that this request cannot use now, by `tierKey`, and why: a codec that the browser lacks, a refusal. */
  readonly blocked: Readonly<Record<string, string>>;
  /** The user asked to save data: no more is sent than must be. */
  readonly savesData?: boolean | undefined;
  /** The battery is low: the device does no more than it must. */
  readonly savesPower?: boolean | undefined;
  /** Whether this request is among those that a client holds back from a gateway that sheds load. */
  readonly isHeldBack?: boolean | undefined;
}

export const ENCODE_PRIOR_MS = 3;
/** Bytes of a frame besides the coded boundary: prefix and header. */
export const FRAME_OVERHEAD_BYTES = 256;
/** Bytes of an answer besides its outputs: most of them are the receipt. */
export const REPLY_OVERHEAD_BYTES = 700;
