/** What decides: one of these per client, told what its client sees and nothing else, but for the oracle. */
import type { Choice } from '../choices.ts';
import type { Load } from '../server.ts';

/** Where a request is when it asks. */
export interface Situation {
  readonly nowMs: number;
  /** Number of the request of this client, from 0. */
  readonly index: number;
  readonly size: number;
  /** The boundary that it has reached. */
  readonly at: number;
  readonly isReachable: boolean;
  /** Handed over to the link and not sent. */
  readonly bytesAhead: number;
  readonly deadlineAtMs: number;
  /** The choice that will have been best, and its time: for the oracle alone. */
  foresee(): Foreseen;
}

export interface Foreseen {
  readonly choice: Choice;
  readonly ms: number;
}

export interface ReplySeen {
  readonly nowMs: number;
  readonly size: number;
  readonly k: number;
  readonly tier: string;
  readonly bytesUp: number;
  readonly bytesDown: number;
  readonly bytesAhead: number;
  readonly elapsedMs: number;
  /** As the server says: decoding and running, and that with the wait. */
  readonly serviceMs: number;
  readonly totalMs: number;
}

export interface Interval {
  readonly lowMs: number;
  readonly highMs: number;
}

export interface Scheduler {
  readonly name: string;
  /** Bytes of its pings. */
  readonly pingBytes?: number;
  /** Asked at every boundary, of several requests in turn where they overlap. With a k beyond `at` the device runs one segment, and it is asked again. */
  decide(situation: Situation): Choice;
  /** How long a reply may take before the device goes on by itself; without it, it never does. */
  lateAfterMs?(situation: Situation, choice: Choice): number;
  /** Between what nine of ten requests should take, by the first decision of the one that was asked about last; null where it was to find out. */
  interval?(): Interval | null;
  onDevice?(size: number, from: number, to: number, ms: number, nowMs: number): void;
  onEncode?(k: number, tier: string, ms: number): void;
  onReply?(reply: ReplySeen): void;
  onLoad?(load: Load, nowMs: number): void;
  /** The reply is late, and the device goes on from the boundary that was sent. */
  onGoOn?(situation: Situation): void;
  /** The device gave the answer to the request of this number, with no reply after so long. */
  onLate?(index: number, waitedMs: number, nowMs: number): void;
  /** The request ended at its deadline, with no reply after so long. */
  onMissed?(index: number, waitedMs: number, nowMs: number): void;
  /** The request is over, however it ended. */
  onOver?(index: number): void;
  onShed?(index: number, retryAfterMs: number, nowMs: number): void;
  onPing?(bytes: number, ms: number, nowMs: number): void;
}
