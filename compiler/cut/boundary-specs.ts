/**
 * Types and shapes of every boundary, found by running the chain at two sizes: a dimension that stays is a number, one
 * that grows is the size variable over a whole number. Inference over the graph could not know the second kind.
 */
import { runSegment } from '../../shared/chain.ts';
import { TandemError } from '../../shared/errors.ts';
import type { Plan, PlanDim, PlanSize, TensorSpec } from '../../shared/plan.ts';
import type { Session } from '../../shared/runtime.ts';
import type { Tensors } from '../../shared/tensor.ts';

/** Characters of a tensor's name that a plan takes. */
export const NAME_LENGTH_MAX = 256;

/**
 * @param names tensor names of boundaries 0..K
 * @param plan enough of a plan to run the chain
 * @param input makes boundary 0 at a size
 * @throws UNSUPPORTED for a dimension that is no fraction of the size, for a name that no plan takes, and for what would be
 *   sent and is empty
 */
export async function boundarySpecs(
  plan: Plan,
  sessions: readonly Session[],
  input: (size: number) => Tensors,
): Promise<TensorSpec[][]> {
  const { size } = plan;
  const [, other] = twoSizes(size);
  const [first, second] = [
    await allBoundaries(plan, sessions, input(size.typical)),
    await allBoundaries(plan, sessions, input(other)),
  ];
  return first.map((tensors, k) =>
    Object.entries(tensors).map(([name, { dtype, shape }]) => {
      if (name.length > NAME_LENGTH_MAX) {
        throw new TandemError(
          'UNSUPPORTED',
          `boundary ${k} has a tensor with a name of ${name.length} characters, expected ${NAME_LENGTH_MAX} at most: ${name.slice(0, 80)}...`,
        );
      }
      const otherShape = second[k]?.[name]?.shape ?? [];
      const dims = shape.map((dim, axis) =>
        symbolicDim(name, size, [size.typical, dim], [other, otherShape[axis] ?? 0]),
      );
      if (!dims.includes(0)) return { name, dtype, shape: dims };
      if (k < sessions.length) {
        throw new TandemError(
          'UNSUPPORTED',
          `${name} of boundary ${k} is empty, [${shape}], and cannot be sent: give --samples in which it is not, or cut elsewhere`,
        );
      }
      // Of answers no size is kept to: where this input has none, as noise has no boxes, others have one or more.
      return { name, dtype, shape: dims.map((dim) => dim || 1) };
    }),
  );
}

/** The typical size, and one far from it: neighbours could round to the same. */
export function twoSizes({ typical, min, max }: PlanSize): [number, number] {
  return [typical, max > typical ? Math.min(max, 2 * typical) : min];
}

/** Boundaries 0..K for one input. */
export async function allBoundaries(plan: Plan, sessions: readonly Session[], input: Tensors): Promise<Tensors[]> {
  const boundaries = [input];
  for (const [k, session] of sessions.entries()) {
    boundaries.push(await runSegment(plan, session, k, boundaries[k] as Tensors));
  }
  return boundaries;
}

type Seen = readonly [size: number, dim: number];

function symbolicDim(name: string, size: PlanSize, [sizeA, dimA]: Seen, [sizeB, dimB]: Seen): PlanDim {
  if (dimA === dimB) return dimA;
  const divisor = sizeA / dimA;
  const isFraction = Number.isInteger(divisor) && dimB * divisor === sizeB && size.step % divisor === 0;
  if (!isFraction) {
    throw new TandemError(
      'UNSUPPORTED',
      `a dimension of ${name} is ${dimA} at ${size.name} ${sizeA} and ${dimB} at ${sizeB}: not a fraction of it`,
    );
  }
  return divisor === 1 ? size.name : `${size.name}/${divisor}`;
}
