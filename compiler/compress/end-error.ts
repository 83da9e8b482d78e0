/** What an error in a segment's outputs does to the end of the chain: one currency for the layers of all segments. */
import type { Tensor, Tensors } from '../../shared/tensor.ts';
import { type OutputError, squaredError } from './trial.ts';

/** A share below which a probability is as good as none: its logarithm would count for more than it means. */
const PROBABILITY_MIN = 1e-6;

/**
 * @param run the rest of the chain in full precision; outputs of probabilities say more than the best of them
 */
export function endError(run: (outputs: Tensors) => Promise<Tensors>): OutputError {
  // A trial has the same expected outputs each time.
  const ends = new WeakMap<Tensors, Promise<Tensors>>();
  return async (actual, expected) => {
    const end = ends.get(expected) ?? run(expected);
    ends.set(expected, end);
    return divergence(await run(actual), await end);
  };
}

/** Kullback-Leibler, a mean over positions, where the last axis holds probabilities; the squared error of all else. */
export function divergence(actual: Tensors, expected: Tensors): number {
  let sum = 0;
  for (const [name, tensor] of Object.entries(expected)) {
    const other = actual[name] as Tensor;
    if (isDistribution(tensor)) sum += relativeEntropy(other.data as Float32Array, tensor);
    else sum += squaredError({ [name]: other }, { [name]: tensor });
  }
  return sum;
}

function isDistribution({ dtype, shape, data }: Tensor): boolean {
  const width = shape.at(-1) ?? 1;
  if (dtype !== 'float32' || width < 2) return false;
  for (let at = 0; at < data.length; at += width) {
    let total = 0;
    for (let i = at; i < at + width; i++) {
      if (Number(data[i]) < 0) return false;
      total += Number(data[i]);
    }
    if (Math.abs(total - 1) > 1e-3) return false;
  }
  return true;
}

function relativeEntropy(actual: Float32Array, { data, shape }: Tensor): number {
  let sum = 0;
  for (let i = 0; i < data.length; i++) {
    const p = Number(data[i]);
    if (p > PROBABILITY_MIN) sum += p * Math.log(p / Math.max(PROBABILITY_MIN, actual[i] as number));
  }
  // What is left out could make it a little less than nothing.
  return Math.max(0, sum) / (data.length / (shape.at(-1) ?? 1));
}
