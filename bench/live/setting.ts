/** What the live run and the simulated one have in common. */
import type { Trace } from '../../simulate/traces/trace.ts';

export interface Policy {
  readonly name: string;
  /** The boundary that it forces; null for the scheduler. */
  readonly k: number | null;
}

export interface Network {
  readonly trace: Trace;
  /** One way. */
  readonly delayMs: number;
}

export interface Setting {
  readonly policies: readonly Policy[];
  /** Of each policy. */
  readonly requests: number;
  /** Between two requests of one policy: the turns of all the others are within. */
  readonly intervalMs: number;
  /** Of the device, over the plan's times. */
  readonly slowness: number;
  readonly seed: number;
}

/** Clients have been connected for so long when the first request comes, as in the simulator. */
export const CONNECT_MS = 1000;

/** Between the turns of one round. */
const TURN_MS = 500;

/** When request i of a policy comes, after CONNECT_MS. Turns rotate: whoever comes after the busiest is another in each round. */
export function slotMs({ policies, intervalMs }: Setting, slot: number, i: number): number {
  return i * intervalMs + ((slot + i) % (policies.length + 1)) * TURN_MS;
}
