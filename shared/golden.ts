/**
 * What a segment's file answers to a known input, in a few numbers that travel in the plan: engines have been silently wrong on
 * some devices, and the answer tells. The compiler makes it, a device compares.
 */
import { boundaryAt, type Plan } from './plan.ts';
import { seededRandom } from './random.ts';
import { shapeAt } from './size.ts';
import { type DType, type Tensors, zeros } from './tensor.ts';

/** Signed sums beside the norm: an error moves each of them by about its own size. */
const SUMS = 4;
/** Of the norm. Half precision is a tenth of this; what is wrong was seen to be off by 0.1 and more. */
const ERROR_MAX = 0.02;

/** 1 in half precision, which is held as bits. */
const HALF_ONE = 0x3c00;

/**
 * Boundary k at its smallest size, the same on every device: from -1 to 1, and 1 throughout of what is no float, which is an index
 * that most tables have, and nothing is divided by 0.
 */
export function goldenInput(plan: Plan, k: number): Tensors {
  const random = seededRandom(k + 1);
  const known = (dtype: DType) => {
    if (dtype === 'float16') return HALF_ONE;
    if (dtype.startsWith('float')) return 2 * random() - 1;
    return dtype.endsWith('int64') ? 1n : 1;
  };
  const entries = boundaryAt(plan, k).tensors.map((spec) => {
    const tensor = zeros(spec.dtype, shapeAt(spec, plan.size.min));
    const data = tensor.data as unknown as (number | bigint)[];
    for (const i of data.keys()) data[i] = known(spec.dtype);
    return [spec.name, tensor] as const;
  });
  return Object.fromEntries(entries);
}

/** [outputs of the segment, 1 + SUMS]: the norm of each, and sums of its elements with signs that the index gives. */
export function goldenAnswer(outputs: Tensors, names: readonly string[]): number[][] {
  return names.map((name) => fingerprint(outputs[name]?.data ?? []).map((value) => Number(value.toPrecision(6))));
}

/** How far an answer is from the golden one, over its norm, where that is too far; null where it is right. */
export function goldenError(
  expected: readonly (readonly number[])[],
  outputs: Tensors,
  names: readonly string[],
): number | null {
  let worst = 0;
  for (const [i, name] of names.entries()) {
    const [golden = [], actual] = [expected[i], fingerprint(outputs[name]?.data ?? [])];
    const norm = Math.max(golden[0] ?? 0, Number.MIN_VALUE);
    for (const [j, value] of golden.entries()) {
      const error = Math.abs(value - (actual[j] as number)) / norm;
      // Not a number is as wrong as can be.
      worst = Math.max(worst, Number.isNaN(error) ? Number.POSITIVE_INFINITY : error);
    }
  }
  return worst <= ERROR_MAX ? null : worst;
}

function fingerprint(data: ArrayLike<number | bigint>): number[] {
  const sums = new Float64Array(1 + SUMS);
  for (let i = 0; i < data.length; i++) {
    const value = Number(data[i]);
    sums[0] = (sums[0] as number) + value * value;
    const bits = mixed(i);
    for (let j = 1; j <= SUMS; j++) sums[j] = (sums[j] as number) + ((bits >>> j) & 1 ? value : -value);
  }
  sums[0] = Math.sqrt(sums[0] as number);
  return [...sums];
}

/** An integer hash: bits of neighbours have nothing to do with each other. */
function mixed(i: number): number {
  let h = Math.imul(i + 1, 0x9e3779b1);
  h = Math.imul(h ^ (h >>> 15), 0x85ebca6b);
  return h ^ (h >>> 13);
}
