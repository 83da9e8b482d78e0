/** What leakage is measured of: every boundary at every tier, and noise of several kinds and strengths on the finest tier. */
import type { Noise } from '../../shared/codec/noise.ts';
import { depthOf, type Plan, type Tier } from '../../shared/plan.ts';
import type { Defence } from './sender.ts';

/** From hardly any to more than the tensor itself. */
export const NOISES: readonly Noise[] = [
  { type: 'gaussian', scale: 0.5 },
  { type: 'gaussian', scale: 1 },
  { type: 'gaussian', scale: 2 },
  { type: 'gaussian', scale: 1, clip: 2 },
  { type: 'laplace', scale: 1 },
  { type: 'dropout', scale: 0.5 },
  { type: 'dropout', scale: 0.75 },
];

/** By boundary, from 0 to K-1. Noise is for features: boundary 0 is sent as what it is. */
export function defencesOf(plan: Plan, noises: readonly Noise[]): Defence[][] {
  return Array.from({ length: depthOf(plan) }, (_, k) => {
    const tiers = plan.boundaries[k]?.tiers ?? [];
    const finest = finestTier(tiers);
    const bare = tiers.map(({ name }) => ({ k, tier: name, noise: null }));
    const noisy = k > 0 && finest ? noises.map((noise) => ({ k, tier: finest.name, noise })) : [];
    return [...bare, ...noisy];
  });
}

/** That loses least. */
export function finestTier(tiers: readonly Tier[]): Tier | undefined {
  const lossOf = (tier: Tier) => {
    if (tier.type === 'raw') return 0;
    if (tier.type === 'picture') return 1;
    // A bottleneck of as many bits leaves components out.
    return 10 - tier.bits + (tier.tensors.some((tensor) => tensor?.map) ? 10 : 0);
  };
  return tiers.reduce<Tier | undefined>(
    (best, tier) => (best && lossOf(best) <= lossOf(tier) ? best : tier),
    undefined,
  );
}
