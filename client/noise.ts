/** Noise on what a device is about to encode, where policy asks for it. */
import { boundaryTensors } from '../shared/chain.ts';
import type { Crossing } from '../shared/codec/boundary.ts';
import { addNoise, type Noise, rootMeanSquare } from '../shared/codec/noise.ts';
import { TandemError } from '../shared/errors.ts';
import { namesAt, type Plan } from '../shared/plan.ts';
import type { Random } from '../shared/random.ts';

/**
 * The boundary's tensors with one kind of noise after the other, each as strong as for the tensor by itself, and without the picture
 * that they were made of, which has none.
 * What they were is left as it is: the device goes on from that.
 * @throws BAD_TENSOR for a tensor that is no float32
 */
export function withNoise(plan: Plan, crossing: Crossing, noises: readonly Noise[], random: Random): Crossing {
  if (noises.length === 0) return crossing;
  const names = namesAt(plan, crossing.k);
  const noisy = boundaryTensors(plan, crossing.k, crossing.tensors).map((tensor, i) => {
    if (!(tensor.data instanceof Float32Array)) {
      throw new TandemError('BAD_TENSOR', `noise is added to float32, and ${names[i]} is ${tensor.dtype}`);
    }
    const rms = rootMeanSquare(tensor.data);
    const data = noises.reduce((values, noise) => addNoise(values, noise, random, rms), tensor.data);
    return [names[i], { ...tensor, data }] as const;
  });
  return { ...crossing, tensors: Object.fromEntries(noisy), picture: null };
}
