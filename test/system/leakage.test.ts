/**
 * The attack is validated on the real models, with few samples: figures that are to be believed come from
 * `tandem compile MODEL --leakage`. What is asserted is what a weakened attack would break.
 */
import * as ort from 'onnxruntime-node';
import sharp from 'sharp';
import { describe, expect, test, vi } from 'vitest';
import { floatChain } from '../../bench/float-chain.ts';
import { configuredRecipe } from '../../compiler/config.ts';
import { type LeakageBudget, measureLeakage } from '../../compiler/privacy/measure-leakage.ts';
import { loadRecipe } from '../../models/index.ts';
import { nodeRuntime } from '../../runtimes/onnxruntime-node.ts';
import { sharpPictures } from '../../runtimes/pictures-sharp.ts';
import { boundaryCodec } from '../../shared/codec/boundary.ts';
import type { PlanLeakage, PlanLeakageRow } from '../../shared/plan.ts';

// A busy machine takes several times as long.
vi.setConfig({ testTimeout: 300_000 });

const runtime = nodeRuntime(ort, { threads: 1 });

async function measured(model: string, tiers: readonly string[], budget: Partial<LeakageBudget>): Promise<PlanLeakage> {
  const recipe = configuredRecipe(await loadRecipe(model), { tiers: [...tiers], tensorsMax: 1 });
  const { plan, sessions } = await floatChain(recipe, runtime, 4);
  const { leakage } = await measureLeakage({
    ...{ plan, recipe, server: sessions, tails: sessions, runtime, seed: 1, progress: () => {} },
    codec: boundaryCodec(plan, sharpPictures(sharp)),
    budget: {
      ...{ trainingSamples: 24, samples: 6, accuracySamples: 6, seeds: 1, places: 3000, hidden: 128, noises: [] },
      ...budget,
    },
  });
  return leakage;
}

function rowAt({ rows }: PlanLeakage, k: number, tier: string): PlanLeakageRow {
  const row = rows.find((one) => one.k === k && one.tier === tier && one.noise === null);
  if (!row) throw new Error(`no row of k = ${k}, ${tier}`);
  return row;
}

describe('what real boundaries give away', () => {
  test('ocr-line: what can be seen and read of a line falls with depth and with bits', async () => {
    const leakage = await measured('ocr-line', ['q8', 'q2'], {
      trainingSamples: 40,
      samples: 8,
      places: 4000,
      hidden: 96,
    });
    const at = (k: number, tier: string) => rowAt(leakage, k, tier);
    const errors = (k: number, tier: string) => at(k, tier).task['cer'] as number;
    expect(at(0, 'webp-80').ssim).toBeGreaterThan(0.95);
    // A bound that a weaker attack misses: lines are read off it nearly as off the original.
    expect(at(1, 'q8').leakage).toBeGreaterThan(0.3);
    expect(errors(1, 'q8')).toBeLessThan(0.15);
    expect(errors(2, 'q8')).toBeLessThan(0.5);
    expect(at(1, 'q8').leakage).toBeGreaterThan(at(2, 'q8').leakage);
    expect(at(2, 'q8').ssim).toBeGreaterThan(at(3, 'q8').ssim);
    expect(errors(1, 'q8')).toBeLessThan(errors(2, 'q8'));
    expect(errors(2, 'q8')).toBeLessThan(errors(3, 'q8'));
    expect(at(1, 'q2').leakage).toBeLessThan(at(1, 'q8').leakage);
    expect(errors(2, 'q2')).toBeGreaterThan(errors(2, 'q8'));
  });

  test('wake-word: a clip comes back out of the spectrogram, and hardly any of it from behind', async () => {
    const few = { trainingSamples: 60, samples: 4, accuracySamples: 2, places: 3000, hidden: 64 };
    const leakage = await measured('wake-word', ['raw', 'q4'], few);
    const at = (k: number, tier: string) => rowAt(leakage, k, tier);
    const distance = (k: number, tier: string) => at(k, tier).task['spectralDistanceDb'] as number;
    expect(at(0, 'raw').ssim).toBeGreaterThan(0.999);
    expect(distance(0, 'raw')).toBeLessThan(0.01);
    expect(at(1, 'raw').leakage).toBeGreaterThan(0.35);
    expect(distance(1, 'raw')).toBeLessThan(6);
    expect(at(1, 'raw').leakage).toBeGreaterThan(at(2, 'raw').leakage + 0.2);
    expect(distance(1, 'raw')).toBeLessThan(distance(2, 'raw') - 1);
    expect(distance(2, 'raw')).toBeLessThan(distance(3, 'raw') - 2);
    for (const k of [1, 2, 3]) expect(distance(k, 'q4')).toBeGreaterThan(distance(k, 'raw'));
  });

  test('text-detector: a page comes back at a quarter of its resolution, with its lines, and less of it with depth', async () => {
    const few = { trainingSamples: 16, samples: 3, accuracySamples: 3, places: 3000, hidden: 64 };
    const leakage = await measured('text-detector', ['q8', 'q2'], few);
    const at = (k: number, tier: string) => rowAt(leakage, k, tier);
    expect(at(0, 'webp-80').ssim).toBeGreaterThan(0.9);
    expect(at(1, 'q8').leakage).toBeGreaterThan(0.2);
    expect(at(1, 'q8').psnr).toBeGreaterThan(at(1, 'q8').psnrGuess + 7);
    expect(at(1, 'q8').task['boxRecall']).toBeGreaterThan(0.9);
    expect(at(1, 'q8').psnr).toBeGreaterThan(at(2, 'q8').psnr + 2);
    expect(at(2, 'q8').psnr).toBeGreaterThan(at(3, 'q8').psnr + 1);
    for (const k of [1, 2]) expect(at(k, 'q2').psnr).toBeLessThan(at(k, 'q8').psnr - 0.5);
  });
});
