/** What is known of one way to send a boundary after all seeds, and the plan's row that it becomes. */
import type { PlanLeakageRow } from '../../shared/plan.ts';
import { meanOf, round } from '../measure/fit.ts';
import type { Plane } from './plane.ts';
import type { Defence } from './sender.ts';

/** A value a seed. */
export interface Results {
  readonly defence: Defence;
  readonly ssims: number[];
  readonly psnrs: number[];
  readonly guesses: { readonly ssim: number; readonly psnr: number }[];
  readonly correlations: number[];
  readonly names: string[];
  ridge: number | undefined;
  /** Of the first seed. */
  planes: readonly Plane[];
}

export function newResults(defence: Defence): Results {
  return {
    ...{ defence, ssims: [], psnrs: [], guesses: [], correlations: [], names: [] },
    ...{ ridge: undefined, planes: [] },
  };
}

export function rowOf(
  { defence, ssims, psnrs, guesses, correlations, names }: Results,
  task: Readonly<Record<string, number>>,
  defended: { readonly accuracy: Record<string, number>; readonly bytesMean: number } | undefined,
): PlanLeakageRow {
  const gains = ssims.map((value, i) => gainOf(value, guesses[i]?.ssim ?? 0));
  const leakage = defence.k === 0 ? 1 : meanOf(gains);
  const spread = defence.k === 0 ? 0 : Math.sqrt(meanOf(gains.map((gain) => (gain - leakage) ** 2)));
  return {
    ...defence,
    ...{ leakage: round(leakage), sd: round(spread), ssim: round(meanOf(ssims)), psnr: round(meanOf(psnrs)) },
    ssimGuess: round(meanOf(guesses.map((one) => one.ssim))),
    psnrGuess: round(meanOf(guesses.map((one) => one.psnr))),
    distanceCorrelation: round(meanOf(correlations)),
    ...{ task: { ...task }, accuracy: defended?.accuracy ?? {}, bytesMean: defended?.bytesMean ?? 0 },
    attack: names[0] ?? '',
  };
}

/** The share of what there is to gain over a guess, from 0 to 1. */
export function gainOf(similarity: number, guess: number): number {
  return Math.min(1, Math.max(0, (similarity - guess) / Math.max(1e-9, 1 - guess)));
}
