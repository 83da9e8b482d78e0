/** The size variable: what shapes and costs are functions of, where a model takes inputs of many sizes. */
import type { Linear, TensorSpec } from './plan.ts';

/**
 * The shapes of a boundary's tensors at a given size.
 * @param size a value of the size variable, in its unit
 */
export function shapeAt(spec: TensorSpec, size: number): number[] {
  return spec.shape.map((dim) => (typeof dim === 'number' ? dim : size / divisorOf(dim)));
}

/** 8 for `width/8`, 1 for `width`. */
export function divisorOf(dim: string): number {
  const slash = dim.indexOf('/');
  return slash < 0 ? 1 : Number(dim.slice(slash + 1));
}

/** A linear cost at a size, never below 0. */
export function costAt(cost: Linear, size: number): number {
  return Math.max(0, cost.fixed + cost.perSize * size);
}
