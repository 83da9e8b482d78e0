/** A reply -> the model's outputs. */
import { asTandemError, TandemError } from '../shared/errors.ts';
import { boundaryAt, depthOf, type Plan } from '../shared/plan.ts';
import { type Tensor, type Tensors, tensorFromBytes } from '../shared/tensor.ts';
import type { Reply } from './link.ts';

/** Throws BAD_PAYLOAD for a reply that does not hold the model's outputs. */
export function outputsOf(plan: Plan, { message, parts }: Reply): Tensors {
  const outputs = boundaryAt(plan, depthOf(plan)).tensors.map(({ name, dtype }, i): [string, Tensor] => {
    const [part, shape] = [parts[i], message.shapes[i]];
    if (!part || !shape) throw new TandemError('BAD_PAYLOAD', `the reply lacks the output ${name}`);
    try {
      return [name, tensorFromBytes(dtype, shape, part)];
    } catch (error) {
      throw asTandemError(error, 'BAD_PAYLOAD', `the output ${name} of the reply`);
    }
  });
  return Object.fromEntries(outputs);
}
