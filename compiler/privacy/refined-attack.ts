/**
 * The local attack in three steps: shapes cell by cell, apart from how light they are; every pixel anew out of what was told
 * around it, which takes away the first step's noise and joins its cells; and the level. The second step learns from what the
 * first tells of samples that it had not seen: each part of them is told by a first step that was fitted on the others, so that
 * both steps learn from all.
 */
import { float32, type Tensors } from '../../shared/tensor.ts';
import type { Attack, AttackSamples, Seen } from './attack.ts';
import { type FeatureBasis, featureMap, fitBasis } from './features.ts';
import { fitLevels, type Level, levelled, levelOf, withLevel } from './levels.ts';
import { type LocalAttackOptions, localAttack } from './local-attack.ts';
import type { Matrices } from './matrices.ts';
import type { Plane } from './plane.ts';
import { sharpenedScore } from './sharpened.ts';

export type RefinedAttackOptions = Omit<LocalAttackOptions, 'parts' | 'score'>;

/** That the first step tells for the second. */
const PARTS = 3;
const SECOND = { radius: 4, places: 12_000, hidden: 192, ridges: [0.1, 1e-2, 1e-3] } as const;
const TOLD = { name: 'told', rowAxis: 2, columnAxis: 3 } as const;

/** With and without the second step; none where the boundary's places are no cells of the input. */
export async function refinedAttacks(
  matrices: Matrices,
  { training, heldOut }: AttackSamples,
  options: RefinedAttackOptions,
): Promise<Attack[]> {
  const { basis, seed } = options;
  const levels = fitLevels(await levelSamples(matrices, basis, [...training, ...heldOut]));
  const levelsOf = async (boundary: Tensors) => levels((await featureMap(matrices, basis, boundary)).overall);
  const judgedLevels: Level[] = [];
  for (const { boundary } of heldOut) judgedLevels.push(await levelsOf(boundary));
  const levelAll = (told: readonly Plane[]) => told.map((plane, i) => withLevel(plane, judgedLevels[i] as Level));
  const likeness = sharpenedScore(heldOut.map(({ view }) => view));
  const score = (told: readonly Plane[]) => likeness(levelAll(told));
  const [shapes, judged] = [flat(training), flat(heldOut)];
  const first = await localAttack(
    matrices,
    { training: shapes, heldOut: judged },
    { ...options, score, parts: Math.min(PARTS, training.length) },
  );
  if (!first) return [];
  const { name, ridge } = first;
  const plain: Attack = {
    ...{ name, ridge, heldOut: levelAll(first.heldOut) },
    reconstruct: async (boundary) => withLevel(await first.reconstruct(boundary), await levelsOf(boundary)),
  };
  if (training.length < 2) return [plain];
  const told = await first.unseen();
  const known = shapes.map(({ view }, i): Seen => ({ boundary: asTensor(told[i] as Plane), view }));
  const again = judged.map(({ view }, i): Seen => ({ boundary: asTensor(first.heldOut[i] as Plane), view }));
  const around = await fitBasis(
    matrices,
    [TOLD],
    known.map(({ boundary }) => boundary),
    SECOND.radius,
  );
  const second = await localAttack(
    matrices,
    { training: known, heldOut: again },
    { ...SECOND, basis: around, seed, score },
  );
  if (!second) return [plain];
  const refined: Attack = {
    ...{ name: `${name}, refined`, ridge, heldOut: levelAll(second.heldOut) },
    async reconstruct(boundary) {
      const shape = await second.reconstruct(asTensor(await first.reconstruct(boundary)));
      return withLevel(shape, await levelsOf(boundary));
    },
  };
  return [plain, refined];
}

async function levelSamples(matrices: Matrices, basis: FeatureBasis, samples: readonly Seen[]) {
  const known: { overall: Float32Array; level: Level }[] = [];
  for (const { boundary, view } of samples) {
    known.push({ overall: (await featureMap(matrices, basis, boundary)).overall, level: levelOf(view) });
  }
  return known;
}

/** Without their levels. */
function flat(samples: readonly Seen[]): Seen[] {
  return samples.map(({ boundary, view }) => ({ boundary, view: levelled(view, levelOf(view)) }));
}

function asTensor({ rows, columns, data }: Plane): Tensors {
  return { [TOLD.name]: float32([1, 1, rows, columns], data) };
}
