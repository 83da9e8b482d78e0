/** A reply -> the outputs that the gateway made. */
import { rawTensor } from '../shared/codec/activation.ts';
import { TandemError } from '../shared/errors.ts';
import { outputsBehind, type Plan } from '../shared/plan.ts';
import type { Tensor, Tensors } from '../shared/tensor.ts';
import type { Reply } from './connection.ts';

/**
 * @param k the boundary that was sent: outputs that are made before it are none of the gateway's
 * @throws BAD_PAYLOAD for a reply that does not hold the others
 */
export function outputsOf(plan: Plan, k: number, { message, parts }: Reply): Tensors {
  const outputs = outputsBehind(plan, k).map(({ name, dtype }, i): [string, Tensor] => {
    const [part, shape] = [parts[i], message.shapes[i]];
    if (!part || !shape) throw new TandemError('BAD_PAYLOAD', `the reply lacks the output ${name}`);
    return [name, rawTensor(name, dtype, shape, part)];
  });
  return Object.fromEntries(outputs);
}
