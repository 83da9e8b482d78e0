import * as ort from 'onnxruntime-node';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { meanOf } from '../../../compiler/measure/fit.ts';
import type { Attack, Seen } from '../../../compiler/privacy/attack.ts';
import { fitBasis } from '../../../compiler/privacy/features.ts';
import { placedTensors } from '../../../compiler/privacy/layout.ts';
import { type Matrices, newMatrices } from '../../../compiler/privacy/matrices.ts';
import { type Network, newNetwork } from '../../../compiler/privacy/network.ts';
import { refinedAttacks } from '../../../compiler/privacy/refined-attack.ts';
import { ssim } from '../../../compiler/privacy/similarity.ts';
import { NETWORK_LAYERS } from '../../../compiler/privacy/trained-attack.ts';
import type { Plane } from '../../../compiler/recipe.ts';
import { nodeRuntime } from '../../../runtimes/onnxruntime-node.ts';
import { SPEC, samples } from './bent-samples.ts';

vi.setConfig({ testTimeout: 60_000 });

let matrices: Matrices;
let network: Network;
beforeAll(async () => {
  const runtime = nodeRuntime(ort, { threads: 1 });
  matrices = await newMatrices(runtime);
  network = await newNetwork(runtime, NETWORK_LAYERS);
});
afterAll(async () => {
  await matrices.release();
  await network.release();
});

const bend = (value: number) => Math.abs(value + 0.1);

async function attacked(steps: number) {
  const training = samples(96, 1, bend);
  const [first] = training as [Seen];
  const boundaries = training.map(({ boundary }) => boundary);
  const basis = await fitBasis(matrices, placedTensors([SPEC], first.boundary, first.view) ?? [], boundaries, 0);
  const options = { basis, network, seed: 1, places: 2000, hidden: 0, ridges: [1e-2, 1e-4] };
  const given = { training, heldOut: samples(4, 2, bend) };
  return (start?: Awaited<ReturnType<typeof refinedAttacks>>['trained']) => {
    return refinedAttacks(matrices, given, { ...options, steps, start });
  };
}

async function likenessOf(attack: Attack | undefined): Promise<number> {
  const tested = samples(3, 3, bend);
  const planes: Plane[] = [];
  for (const { boundary } of tested) planes.push((await attack?.reconstruct(boundary)) as Plane);
  return meanOf(tested.map(({ view }, i) => ssim(view, planes[i] as Plane)));
}

describe('the trained attack', () => {
  test('clearly beats what it corrects where channels are bent, and goes on from where it was', async () => {
    const attack = await attacked(400);
    const { attacks, trained } = await attack();
    const [ridge, network_] = [await likenessOf(attacks[0]), await likenessOf(attacks.at(-1))];
    expect(attacks.at(-1)?.name).toContain('trained network');
    expect(network_).toBeGreaterThan(ridge + 0.1);
    const further = await attack(trained);
    expect(await likenessOf(further.attacks.at(-1))).toBeGreaterThan(network_ - 0.01);
  });

  test('is the same again, and is left out where no steps are given', async () => {
    const [once, again] = [await (await attacked(20))(), await (await attacked(20))()];
    expect(once.trained?.parameters).toEqual(again.trained?.parameters);
    const { attacks, trained } = await (await attacked(0))();
    expect(attacks.map(({ name }) => name)).toEqual(['ridge on places', 'ridge on places, refined']);
    expect(trained).toBeUndefined();
  });
});
