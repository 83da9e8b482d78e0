/**
 * The local attack in three steps: shapes cell by cell, apart from how light they are; every pixel anew out of what was told
 * around it, which takes away the first step's noise and joins its cells; and the level. The second step, in closed form or
 * trained by gradient, learns from what the first tells of samples that it had not seen: each part of them is told by a first step
 * that was fitted on the others, so that both steps learn from all.
 */
import { float32, type Tensors } from '../../shared/tensor.ts';
import type { Attack, AttackSamples, Seen } from './attack.ts';
import { type FeatureBasis, featureMap, fitBasis } from './features.ts';
import { fitLevels, type Level, levelled, levelOf, withLevel } from './levels.ts';
import { type LocalAttack, type LocalAttackOptions, localAttack } from './local-attack.ts';
import type { Matrices } from './matrices.ts';
import type { Network } from './network.ts';
import type { Plane } from './plane.ts';
import { sharpenedScore } from './sharpened.ts';
import { TOLD, type Trained, type TrainingSample, trainedAttack } from './trained-attack.ts';

export interface RefinedAttackOptions extends Omit<LocalAttackOptions, 'parts' | 'score'> {
  readonly network: Network;
  /** Of the decoder that is trained; 0 for closed forms alone. */
  readonly steps: number;
  /** What was trained for another defence of the same boundary. */
  readonly start: Trained | undefined;
}

export interface RefinedAttacks {
  readonly attacks: readonly Attack[];
  readonly trained: Trained | undefined;
}

/** That the first step tells for the second. */
const PARTS = 3;
const SECOND = { radius: 4, places: 12_000, hidden: 192, ridges: [0.1, 1e-2, 1e-3] } as const;

/** Without the second step and with either; none where the boundary's places are no cells of the input. */
export async function refinedAttacks(
  matrices: Matrices,
  { training, heldOut }: AttackSamples,
  options: RefinedAttackOptions,
): Promise<RefinedAttacks> {
  const { basis, seed, network, steps, start } = options;
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
  if (!first) return { attacks: [], trained: start };
  const { name, ridge } = first;
  const plain: Attack = {
    ...{ name, ridge, heldOut: levelAll(first.heldOut) },
    reconstruct: async (boundary) => withLevel(await first.reconstruct(boundary), await levelsOf(boundary)),
  };
  if (training.length < 2) return { attacks: [plain], trained: start };
  const told = await first.unseen();
  const refined = await secondStep(matrices, shapes, judged, told, first, { seed, score });
  const attacks = [plain];
  if (refined) {
    attacks.push({
      ...{ name: `${name}, refined`, ridge, heldOut: levelAll(refined.heldOut) },
      async reconstruct(boundary) {
        const shape = await refined.reconstruct(asTensor(await first.reconstruct(boundary)));
        return withLevel(shape, await levelsOf(boundary));
      },
    });
  }
  if (steps === 0) return { attacks, trained: start };
  const sampleOf = async ({ boundary, view }: Seen, plane: Plane): Promise<TrainingSample> => {
    return { boundary, view, told: plane, level: await levelsOf(boundary) };
  };
  const [known, tried] = [[] as TrainingSample[], [] as TrainingSample[]];
  for (const [i, seen] of training.entries()) known.push(await sampleOf(seen, told[i] as Plane));
  for (const [i, seen] of heldOut.entries()) tried.push(await sampleOf(seen, first.heldOut[i] as Plane));
  const corrected = await trainedAttack(matrices, known, tried, {
    ...{ network, basis, start, seed, steps, score: likeness },
  });
  attacks.push({
    ...{ name: `${name}, corrected by a trained network`, ridge, heldOut: corrected.heldOut },
    async reconstruct(boundary) {
      const plane = await first.reconstruct(boundary);
      return corrected.reconstruct({ boundary, told: plane, level: await levelsOf(boundary) });
    },
  });
  return { attacks, trained: corrected.trained };
}

/** Every pixel out of those around it. */
async function secondStep(
  matrices: Matrices,
  training: readonly Seen[],
  heldOut: readonly Seen[],
  told: readonly Plane[],
  first: LocalAttack,
  options: Pick<LocalAttackOptions, 'seed' | 'score'>,
): Promise<LocalAttack | undefined> {
  const known = training.map(({ view }, i): Seen => ({ boundary: asTensor(told[i] as Plane), view }));
  const again = heldOut.map(({ view }, i): Seen => ({ boundary: asTensor(first.heldOut[i] as Plane), view }));
  const boundaries = known.map(({ boundary }) => boundary);
  const around = await fitBasis(matrices, [TOLD], boundaries, SECOND.radius);
  return localAttack(matrices, { training: known, heldOut: again }, { ...SECOND, ...options, basis: around });
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
