/** What a test says that the model answers. */
import { TandemError } from '../../shared/errors.ts';
import { ownValue } from '../../shared/own-value.ts';
import { boundaryAt, depthOf, type Plan } from '../../shared/plan.ts';
import type { Tensors } from '../../shared/tensor.ts';

export interface Asked {
  readonly by: 'device' | 'cloud';
  /** The boundary that the cloud was sent; for the device the one that it ran to, K. */
  readonly k: number;
  /** Value of the plan's size variable: the width in pixels of a fitted picture, for models that read lines. */
  readonly size: number;
}

/** The model's outputs by name, always the same or as the test decides for each request. */
export type Answer = Tensors | ((asked: Asked) => Tensors);

/** Throws BAD_TENSOR where an answer is not what the plan says that the model gives. */
export function answerTo(answer: Answer, plan: Plan, asked: Asked): Tensors {
  const outputs = typeof answer === 'function' ? answer(asked) : answer;
  for (const { name, dtype } of boundaryAt(plan, depthOf(plan)).tensors) {
    const given = ownValue(outputs, name);
    if (given?.dtype === dtype) continue;
    const got = given ? `one of ${given.dtype}` : Object.keys(outputs).join(', ') || 'nothing';
    throw new TandemError('BAD_TENSOR', `the test's answer: expected a ${dtype} tensor ${name}, got ${got}`);
  }
  return outputs;
}
