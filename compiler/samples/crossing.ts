/** A sample's input -> boundary 0, and on to the outputs. */
import { runSegments } from '../../shared/chain.ts';
import { type Crossing, pictureCrossing, tensorCrossing } from '../../shared/codec/boundary.ts';
import type { Plan } from '../../shared/plan.ts';
import type { Picture } from '../../shared/preprocess/resize.ts';
import type { Session } from '../../shared/runtime.ts';
import type { Tensors } from '../../shared/tensor.ts';
import type { RunModel } from '../recipe.ts';

/** Throws BAD_INPUT where the sample is not what the plan's model takes. */
export function inputCrossing(plan: Plan, input: Picture | Tensors): Crossing {
  return isPicture(input) ? pictureCrossing(plan, input) : tensorCrossing(plan, input);
}

function isPicture(input: Picture | Tensors): input is Picture {
  return typeof input.width === 'number';
}

/** The whole chain as one function, for recipes whose samples depend on what the model gave before. */
export function wholeOf(plan: Plan, server: readonly Session[]): RunModel {
  return (inputs) => runSegments(plan, server, { from: 0, to: server.length, tensors: inputs });
}
