import * as ort from 'onnxruntime-node';
import sharp from 'sharp';
import { expect, test } from 'vitest';
import { floatChain } from '../../../bench/float-chain.ts';
import { allBoundaries } from '../../../compiler/cut/boundary-specs.ts';
import { newSender } from '../../../compiler/privacy/sender.ts';
import { nodeRuntime } from '../../../runtimes/onnxruntime-node.ts';
import { sharpPictures } from '../../../runtimes/pictures-sharp.ts';
import { boundaryCodec } from '../../../shared/codec/boundary.ts';
import { seededRandom } from '../../../shared/random.ts';
import { tinyModel } from '../../helpers/tiny-model.ts';

test('what arrives without being coded is what arrives coded, for every tier, with noise and without', async () => {
  const tiny = await tinyModel();
  try {
    const recipe = { ...tiny.recipe, raw: true, bottlenecks: [{ components: 4, bits: 6 as const }] };
    const { plan, sessions } = await floatChain(recipe, nodeRuntime(ort, { threads: 1 }), 8);
    const sender = newSender(plan, boundaryCodec(plan, sharpPictures(sharp)));
    const boundaries = await allBoundaries(plan, sessions, recipe.noise(32));
    let compared = 0;
    for (const [k, { tiers }] of plan.boundaries.entries()) {
      for (const { name: tier, type } of tiers) {
        if (type === 'picture') continue;
        for (const noise of [null, { type: 'gaussian', scale: 0.5 } as const]) {
          const crossing = { k, size: 32, tensors: boundaries[k] ?? {}, picture: null };
          const send = (isCoded: boolean) => sender.send(crossing, { k, tier, noise }, seededRandom(1), isCoded);
          const [short, coded] = [await send(false), await send(true)];
          expect(short?.tensors).toEqual(coded?.tensors);
          expect(coded?.bytes).toBeGreaterThan(0);
          compared++;
        }
      }
    }
    expect(compared).toBeGreaterThan(12);
  } finally {
    await tiny.remove();
  }
}, 30_000);
