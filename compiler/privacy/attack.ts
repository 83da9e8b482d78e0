/**
 * An attack: a decoder that is fitted on what public samples look like once they are sent, and then tells inputs from
 * boundaries that it has not seen. Its strength is what leakage is measured by, so several compete and the best counts.
 */
import type { Tensors } from '../../shared/tensor.ts';
import type { Plane } from './plane.ts';

/** One sample as the attacker has it. */
export interface Seen {
  /** What was sent, decoded. */
  readonly boundary: Tensors;
  readonly view: Plane;
}

export interface Attack {
  /** In a few words. */
  readonly name: string;
  /** Mean squared error of what it tells of held-out samples. */
  readonly error: number;
  /** Share of ridge that the held-out samples chose. */
  readonly ridge: number;
  reconstruct(boundary: Tensors): Promise<Plane>;
}

export interface AttackSamples {
  readonly training: readonly Seen[];
  /** That ridges are chosen by, and attacks among each other. */
  readonly heldOut: readonly Seen[];
}

/** What a picture can show of it. */
export function clamped({ rows, columns, data }: Plane): Plane {
  return { rows, columns, data: data.map((value) => Math.min(1, Math.max(0, value))) };
}
