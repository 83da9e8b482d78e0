/** What callers hand to `infer`, checked at the door: everything behind it works on data of the right form. */
import type { Crossing } from '../shared/codec/boundary.ts';
import { messageOf, TandemError } from '../shared/errors.ts';
import { boundaryAt, depthOf, type Plan, tierAt } from '../shared/plan.ts';
import type { Picture } from '../shared/preprocess/resize.ts';
import { DEADLINE_MS_MAX } from '../shared/protocol/limits.ts';
import { TRACEPARENT } from '../shared/protocol/messages.ts';
import { sizeOf } from '../shared/size.ts';
import { elementCount, type Tensor, type Tensors, tensorFromBytes } from '../shared/tensor.ts';
import type { InferOptions, Input } from './types.ts';

const DEADLINE_MS_DEFAULT = 30_000;

/** The deadline in milliseconds. Throws BAD_INPUT. */
export function checkOptions({ deadlineMs = DEADLINE_MS_DEFAULT, traceparent }: InferOptions): number {
  if (typeof deadlineMs !== 'number' || !(deadlineMs > 0 && deadlineMs <= DEADLINE_MS_MAX)) {
    throw new TandemError('BAD_INPUT', `expected a deadline from 0 to ${DEADLINE_MS_MAX} ms, got ${deadlineMs}`);
  }
  if (traceparent !== undefined && !TRACEPARENT.test(traceparent)) {
    throw new TandemError('BAD_INPUT', `expected a traceparent 00-<32 hex>-<16 hex>-<2 hex>, got ${traceparent}`);
  }
  return deadlineMs;
}

/** Throws BAD_BOUNDARY or UNKNOWN_TIER for a forced cut that the plan does not have. */
export function checkForce(plan: Plan, { k, tier }: NonNullable<InferOptions['force']>): void {
  boundaryAt(plan, k);
  if (k < depthOf(plan) && tier !== undefined) tierAt(plan, k, tier);
}

/** Throws BAD_INPUT for what is neither a picture nor an object of tensors. */
export function isPicture(input: Input): input is Picture {
  if (typeof input !== 'object' || input === null) {
    throw new TandemError('BAD_INPUT', `expected a picture or tensors by name, got ${input}`);
  }
  const { width, height, data } = input as Picture;
  if (typeof width !== 'number' || typeof height !== 'number') return false;
  if (!Number.isInteger(width) || !Number.isInteger(height) || !(data instanceof Uint8Array || isClamped(data))) {
    throw new TandemError('BAD_INPUT', 'expected a picture of whole width and height, and its RGBA bytes as data');
  }
  return true;
}

function isClamped(data: unknown): boolean {
  return data instanceof Uint8ClampedArray;
}

/** Boundary 0 of tensors that the caller made. Throws BAD_INPUT naming what is missing or of the wrong shape. */
export function tensorCrossing(plan: Plan, tensors: Tensors): Crossing {
  let size = plan.size.typical;
  for (const spec of boundaryAt(plan, 0).tensors) {
    const tensor = Object.hasOwn(tensors, spec.name) ? tensors[spec.name] : undefined;
    if (!isTensor(tensor) || tensor.dtype !== spec.dtype || !holds(tensor)) {
      const got = tensor ? `dtype ${tensor.dtype}` : `only ${Object.keys(tensors).join(', ') || 'nothing'}`;
      throw new TandemError(
        'BAD_INPUT',
        `expected { ${spec.name}: { dtype: '${spec.dtype}', shape, data } } with as much data as the shape says, got ${got}`,
      );
    }
    try {
      size = sizeOf(spec, tensor.shape, plan.size) ?? size;
    } catch (error) {
      throw new TandemError('BAD_INPUT', messageOf(error), { cause: error });
    }
  }
  return { k: 0, size, tensors, picture: null };
}

/** Whether a tensor's array is of the kind that its dtype has. */
function holds({ dtype, data }: Tensor): boolean {
  return data instanceof Object.getPrototypeOf(tensorFromBytes(dtype, [0], new Uint8Array()).data).constructor;
}

function isTensor(tensor: Tensor | undefined): tensor is Tensor {
  return Array.isArray(tensor?.shape) && tensor.data?.length === elementCount(tensor.shape);
}
