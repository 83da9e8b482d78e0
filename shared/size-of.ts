/** Which size a shape stands for, and whether there is such a size. Apart from size.ts, for who checks what came. */
import { TandemError } from './errors.ts';
import type { PlanSize, TensorSpec } from './plan.ts';
import { divisorOf } from './size.ts';

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
