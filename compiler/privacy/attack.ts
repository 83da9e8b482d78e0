/**
 * An attack: a decoder that is fitted on what public samples look like once they are sent, and then tells inputs from
 * boundaries that it has not seen. Its strength is what leakage is measured by, so several compete and the best counts.
 */
import { asFloat32, type Tensors } from '../../shared/tensor.ts';
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
  /** What it tells of the held-out samples, in their order. */
  readonly heldOut: readonly Plane[];
  /** Share of ridge that the held-out samples chose. */
  readonly ridge: number;
  reconstruct(boundary: Tensors): Promise<Plane>;
}

export interface AttackSamples {
  readonly training: readonly Seen[];
  /** That ridges are chosen by, and attacks among each other. */
  readonly heldOut: readonly Seen[];
}

/** How good it is what was told of some samples, in their order: more is better. */
export type Score = (told: readonly Plane[]) => number;

/** The first of those that score highest. */
export function best<T>(all: readonly T[], scoreOf: (one: T) => number): T {
  const scored = all.map((one) => ({ one, score: scoreOf(one) }));
  return scored.reduce((most, other) => (other.score > most.score ? other : most)).one;
}

/** What a picture can show of it. */
export function clamped({ rows, columns, data }: Plane): Plane {
  return { rows, columns, data: data.map((value) => Math.min(1, Math.max(0, value))) };
}

/** All floats of what was sent. */
export function flattened(boundary: Tensors): Float32Array {
  const floats = Object.values(boundary).filter(({ dtype }) => dtype === 'float32');
  return joined(floats.map(asFloat32));
}

/** One after the other. */
export function joined(parts: readonly Float32Array[]): Float32Array {
  const result = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    result.set(part, at);
    at += part.length;
  }
  return result;
}
