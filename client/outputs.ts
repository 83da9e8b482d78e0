/** A reply -> the outputs that the gateway made. */
import { asTandemError, TandemError } from '../shared/errors.ts';
import { boundaryAt, depthOf, outputsBehind, type Plan } from '../shared/plan.ts';
import { type Tensor, type Tensors, tensorFromBytes } from '../shared/tensor.ts';
import type { Reply } from './link.ts';

/**
 * @param k the boundary that was sent: outputs that are made before it are none of the gateway's
 * @throws BAD_PAYLOAD for a reply that does not hold the others
 */
export function outputsOf(plan: Plan, k: number, { message, parts }: Reply): Tensors {
  const expected = outputsBehind(plan, k);
  const specs = boundaryAt(plan, depthOf(plan)).tensors.filter(({ name }) => expected.includes(name));
  const outputs = specs.map(({ name, dtype }, i): [string, Tensor] => {
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
