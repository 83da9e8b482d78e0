/** A sample's input -> boundary 0. */
import { type Crossing, pictureCrossing, tensorCrossing } from '../../shared/codec/boundary.ts';
import type { Plan } from '../../shared/plan.ts';
import type { Picture } from '../../shared/preprocess/resize.ts';
import type { Tensors } from '../../shared/tensor.ts';

/** Throws BAD_INPUT where the sample is not what the plan's model takes. */
export function inputCrossing(plan: Plan, input: Picture | Tensors): Crossing {
  return isPicture(input) ? pictureCrossing(plan, input) : tensorCrossing(plan, input);
}

function isPicture(input: Picture | Tensors): input is Picture {
  return typeof input.width === 'number';
}
