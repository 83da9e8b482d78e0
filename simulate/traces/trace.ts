/** A network over time: what it carries each way, how long a packet is on its way, and how the radio wakes up. */
import type { Capacity } from '../capacity.ts';

/** Everything in milliseconds and bytes a millisecond. */
export interface Trace {
  readonly name: string;
  /** Traces of one source are summed up together. */
  readonly collection: string;
  readonly up: Capacity;
  readonly down: Capacity;
  readonly roundTrip: RoundTrip;
  readonly wakeUp: WakeUp;
  /** What of it was not measured but derived or assumed, in words. */
  readonly remarks: readonly string[];
}

/** Samples follow each other every `everyMs` and wrap; they are without queueing for capacity. */
export interface RoundTrip {
  readonly samplesMs: readonly number[];
  readonly everyMs: number;
  /** Deviation of the logarithm of each one-way delay around half a sample. */
  readonly spread: number;
}

/** What sending first costs after the radio idled, as (idle, extra) samples by rising idle time. */
export interface WakeUp {
  readonly samples: readonly { readonly idleMs: number; readonly extraMs: number }[];
}

/** Of a cable, or of Wi-Fi under power. */
export const NO_SLEEP: WakeUp = { samples: [] };

export function roundTripAt({ samplesMs, everyMs }: RoundTrip, atMs: number): number {
  return samplesMs[Math.floor(atMs / everyMs) % samplesMs.length] as number;
}

/** Neighbours among the samples that a draw picks from: the spread at one idle time is wide. */
const NEIGHBOURS = 9;

/** @param draw in [0, 1): which of the samples around this idle time holds */
export function wakeUpMs({ samples }: WakeUp, idleMs: number, draw: number): number {
  if (samples.length === 0 || idleMs <= 0) return 0;
  let low = 0;
  let high = samples.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((samples[middle]?.idleMs as number) <= idleMs) low = middle + 1;
    else high = middle;
  }
  const count = Math.min(NEIGHBOURS, samples.length);
  const first = Math.min(Math.max(0, low - 1 - (count >> 1)), samples.length - count);
  return samples[first + Math.floor(draw * count)]?.extraMs ?? 0;
}

/** One step: nothing until the radio went to sleep, then always the same. */
export function stepWakeUp(afterMs: number, extraMs: number): WakeUp {
  // As many of each as neighbours are drawn from, so that the step stays one.
  const flat = (from: number, ms: number) =>
    Array.from({ length: NEIGHBOURS }, (_, i) => ({ idleMs: from + i * 1e-6, extraMs: ms }));
  return { samples: [...flat(Math.max(0, afterMs - 1), 0), ...flat(afterMs, extraMs)] };
}
