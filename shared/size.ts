/** The size variable: what shapes and costs are functions of, where a model takes inputs of many sizes. */
import { TandemError } from './errors.ts';
import type { Linear, PlanSize, TensorSpec } from './plan.ts';

/**
 * The shapes of a boundary's tensors at a given size.
 * @param size a value of the size variable, in its unit
 */
export function shapeAt(spec: TensorSpec, size: number): number[] {
  return spec.shape.map((dim) => (typeof dim === 'number' ? dim : size / divisorOf(dim)));
}

/**
 * The size that a tensor's shape stands for; undefined for a tensor that does not vary with it.
 * @throws BAD_TENSOR where the shape does not match the spec, or the size is out of the plan's range
 */
export function sizeOf(spec: TensorSpec, shape: readonly number[], size: PlanSize): number | undefined {
  const expected = `${spec.name} of shape [${spec.shape.join(', ')}]`;
  const mismatch = () => new TandemError('BAD_TENSOR', `expected ${expected}, got [${shape.join(', ')}]`);
  if (shape.length !== spec.shape.length) throw mismatch();
  let found: number | undefined;
  for (const [axis, dim] of spec.shape.entries()) {
    const actual = shape[axis] as number;
    if (typeof dim === 'number') {
      if (actual !== dim) throw mismatch();
      continue;
    }
    const value = actual * divisorOf(dim);
    if (found !== undefined && found !== value) throw mismatch();
    found = value;
  }
  if (found !== undefined && !isSize(found, size)) {
    throw new TandemError(
      'BAD_TENSOR',
      `expected ${expected} with ${size.name} from ${size.min} to ${size.max} in steps of ${size.step}, ` +
        `got [${shape.join(', ')}]`,
    );
  }
  return found;
}

export function isSize(value: number, { min, max, step }: PlanSize): boolean {
  return Number.isInteger(value) && value >= min && value <= max && value % step === 0;
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
