/**
 * Noise on the values of a boundary before they are encoded. Only who adds it knows that it was added: whoever receives the
 * tensor cannot check it. What it is worth is measured (docs/privacy.md); it is no promise of differential privacy, for nothing
 * here bounds how much one input may change the values.
 */
import { gaussian } from '../random.ts';

export type NoiseType = 'gaussian' | 'laplace' | 'dropout';

export interface Noise {
  readonly type: NoiseType;
  /**
   * Of gaussian and laplace the standard deviation, in multiples of the tensor's root mean square; of dropout the share of
   * values that become 0, at most 1. 0 or more.
   */
  readonly scale: number;
  /** Values are held within this many root mean squares of 0 before the noise is added. More than 0. */
  readonly clip?: number | undefined;
}

/**
 * New values; those given are left as they are.
 * @param random uniform in [0, 1): seeded in tests, cryptographically secure where it is to protect somebody
 * @param rms what scale and clip are multiples of; default: the root mean square of all values given, before they are clipped. Of
 *   several kinds of noise the first one changes the values, and all are to go by what the tensor was
 */
export function addNoise(
  values: Float32Array,
  { type, scale, clip }: Noise,
  random: () => number,
  rms: number = rootMeanSquare(values),
): Float32Array {
  const limit = clip === undefined ? Number.POSITIVE_INFINITY : clip * rms;
  const result = new Float32Array(values.length);
  for (const [i, value] of values.entries()) {
    const held = Math.min(limit, Math.max(-limit, value));
    if (type === 'dropout') result[i] = random() < scale ? 0 : held;
    else result[i] = held + scale * rms * (type === 'gaussian' ? gaussian(random) : laplace(random));
  }
  return result;
}

export function rootMeanSquare(values: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += (values[i] as number) ** 2;
  return Math.sqrt(sum / Math.max(1, values.length));
}

/** Of mean 0 and deviation 1, by inverting its distribution function. */
function laplace(random: () => number): number {
  const at = random() - 0.5;
  // 1 - 2 |at| is 0 where the random number is 0: the smallest that it can be otherwise is taken.
  const tail = Math.max(2 ** -53, 1 - 2 * Math.abs(at));
  return (-Math.sign(at) * Math.log(tail)) / Math.SQRT2;
}
