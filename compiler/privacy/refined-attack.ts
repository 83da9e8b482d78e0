/**
 * The local attack in three steps: shapes cell by cell, apart from how light they are; every pixel anew out of what was told
 * around it, fitted on samples that the first step has not seen, which takes away its noise and joins its cells; and the level.
 */
import { float32, type Tensors } from '../../shared/tensor.ts';
import type { Attack, AttackSamples, Seen } from './attack.ts';
import { featureMap, fitBasis } from './features.ts';
import { fitLevels, levelled, levelOf, withLevel } from './levels.ts';
import { type LocalAttackOptions, localAttack } from './local-attack.ts';
import type { Matrices } from './matrices.ts';
import type { Plane } from './plane.ts';

/** Of the training samples, for the first step; the others are for the second. */
const FIRST_SHARE = 0.65;
const SECOND = { radius: 4, places: 12_000, hidden: 192, ridges: [1e-2, 1e-3, 1e-4, 1e-5] } as const;
const TOLD = { name: 'told', rowAxis: 2, columnAxis: 3 } as const;

/** With and without the second step; none where the boundary's places are no cells of the input. */
export async function refinedAttacks(
  matrices: Matrices,
  { training, heldOut }: AttackSamples,
  options: LocalAttackOptions,
): Promise<Attack[]> {
  const flat = (samples: readonly Seen[]) =>
    samples.map(({ boundary, view }) => ({ boundary, view: levelled(view, levelOf(view)) }));
  const [shapes, judged] = [flat(training), flat(heldOut)];
  const count = Math.ceil(FIRST_SHARE * training.length);
  const first = await localAttack(matrices, { training: shapes.slice(0, count), heldOut: judged }, options);
  if (!first) return [];
  const levelSamples = async (samples: readonly Seen[]) => {
    const known: { overall: Float32Array; level: ReturnType<typeof levelOf> }[] = [];
    for (const { boundary, view } of samples) {
      known.push({ overall: (await featureMap(matrices, options.basis, boundary)).overall, level: levelOf(view) });
    }
    return known;
  };
  const levels = fitLevels(await levelSamples([...training, ...heldOut]));
  const whole = (name: string, tell: (boundary: Tensors) => Promise<Plane>): Attack => ({
    ...{ name, error: first.error, ridge: first.ridge },
    async reconstruct(boundary) {
      const { overall } = await featureMap(matrices, options.basis, boundary);
      return withLevel(await tell(boundary), levels(overall));
    },
  });
  const told = async (samples: readonly Seen[]) => {
    const seen: Seen[] = [];
    for (const { boundary, view } of samples)
      seen.push({ boundary: asTensor(await first.reconstruct(boundary)), view });
    return seen;
  };
  const [rest, restJudged] = [await told(shapes.slice(count)), await told(judged)];
  const plain = whole(first.name, (boundary) => first.reconstruct(boundary));
  if (rest.length === 0) return [plain];
  const basis = await fitBasis(
    matrices,
    [TOLD],
    rest.map(({ boundary }) => boundary),
    SECOND.radius,
  );
  const second = await localAttack(
    matrices,
    { training: rest, heldOut: restJudged },
    { ...SECOND, basis, seed: options.seed },
  );
  if (!second) return [plain];
  const refined = whole(`${first.name}, refined`, async (boundary) => {
    return second.reconstruct(asTensor(await first.reconstruct(boundary)));
  });
  return [plain, refined];
}

function asTensor({ rows, columns, data }: Plane): Tensors {
  return { [TOLD.name]: float32([1, 1, rows, columns], data) };
}
