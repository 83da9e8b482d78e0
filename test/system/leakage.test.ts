/**
 * The attack is validated on the real models, with few samples: figures that are to be believed come from
 * `tandem compile MODEL --leakage`. What is asserted is what a weakened attack would break.
 */
import * as ort from 'onnxruntime-node';
import sharp from 'sharp';
import { describe, expect, test } from 'vitest';
import { floatChain } from '../../bench/float-chain.ts';
import { configuredRecipe } from '../../compiler/config.ts';
import { type LeakageBudget, measureLeakage } from '../../compiler/privacy/measure-leakage.ts';
import { loadRecipe } from '../../models/index.ts';
import { nodeRuntime } from '../../runtimes/onnxruntime-node.ts';
import { sharpPictures } from '../../runtimes/pictures-sharp.ts';
import { boundaryCodec } from '../../shared/codec/boundary.ts';
import type { PlanLeakage, PlanLeakageRow } from '../../shared/plan.ts';

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
  test('ocr-line: all of it at k = 0, nearly all in the backbone, less with depth and with fewer bits', async () => {
    const leakage = await measured('ocr-line', ['raw', 'q8', 'q2'], {});
    const at = (k: number, tier: string) => rowAt(leakage, k, tier);
    expect(at(0, 'raw').ssim).toBeGreaterThan(0.999);
    expect(at(1, 'q8').leakage).toBeGreaterThan(0.6);
    expect(at(1, 'q8').leakage).toBeGreaterThan(at(2, 'q8').leakage);
    expect(at(2, 'q8').leakage).toBeGreaterThan(at(3, 'q8').leakage);
    expect(at(3, 'q8').leakage).toBeGreaterThan(at(4, 'q8').leakage);
    for (const k of [1, 2, 3]) expect(at(k, 'q2').leakage).toBeLessThan(at(k, 'q8').leakage);
  });
});
