import * as ort from 'onnxruntime-node';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { meanOf } from '../../../compiler/measure/fit.ts';
import type { Seen } from '../../../compiler/privacy/attack.ts';
import { fitBasis } from '../../../compiler/privacy/features.ts';
import { placedTensors } from '../../../compiler/privacy/layout.ts';
import { type LocalAttack, localAttack } from '../../../compiler/privacy/local-attack.ts';
import { type Matrices, newMatrices } from '../../../compiler/privacy/matrices.ts';
import { psnr } from '../../../compiler/privacy/similarity.ts';
import { wholeAttack } from '../../../compiler/privacy/whole-attack.ts';
import type { Plane } from '../../../compiler/recipe.ts';
import { nodeRuntime } from '../../../runtimes/onnxruntime-node.ts';
import { gaussian, seededRandom } from '../../../shared/random.ts';
import { float32 } from '../../../shared/tensor.ts';
import { SPEC, samples } from './bent-samples.ts';

vi.setConfig({ testTimeout: 30_000 });

const RIDGES = [1e-2, 1e-4, 1e-6];

let matrices: Matrices;
beforeAll(async () => {
  matrices = await newMatrices(nodeRuntime(ort, { threads: 1 }));
});
afterAll(() => matrices.release());

async function attackOn(bend: (value: number) => number, hidden: number, radius?: number) {
  const training = samples(24, 1, bend);
  const [first] = training as [Seen];
  const placed = placedTensors([SPEC], first.boundary, first.view) ?? [];
  const basis = await fitBasis(
    matrices,
    placed,
    training.map(({ boundary }) => boundary),
    radius,
  );
  const heldOut = samples(4, 2, bend);
  const score = (told: readonly Plane[]) => meanOf(told.map((plane, i) => psnr((heldOut[i] as Seen).view, plane)));
  const options = { basis, seed: 1, places: 2000, hidden, ridges: RIDGES, parts: 3, score };
  const attack = (await localAttack(matrices, { training, heldOut }, options)) as LocalAttack;
  const [test] = samples(1, 3, bend) as [Seen];
  return { attack, training, heldOut, score, psnr: psnr(test.view, await attack.reconstruct(test.boundary)) };
}

const GUESS_DB = 10 * Math.log10(12);

describe('the local attack', () => {
  test('finds every pixel of what was only mixed, at every width', async () => {
    expect((await attackOn((value) => value, 0)).psnr).toBeGreaterThan(50);
  });

  test('finds by random features what ridge alone does not: how far each channel is from a value', async () => {
    const bend = (value: number) => Math.abs(value + 0.2);
    const [linear, both] = [await attackOn(bend, 0, 0), await attackOn(bend, 256, 0)];
    expect(both.psnr).toBeGreaterThan(linear.psnr + 2);
    expect(both.attack.name).toContain('random features');
  });

  test('is never weaker than ridge alone on what it was chosen by, and stronger wherever channels are bent', async () => {
    const bends: [bend: (value: number) => number, gainDb: number][] = [
      [(value) => value, -0.01],
      [Math.sign, -0.01],
      [Math.sin, 3],
      [(value) => Math.max(0, value), 1.2],
      [(value) => Math.abs(value + 0.2), 3.5],
    ];
    for (const [bend, gainDb] of bends) {
      const [linear, both] = [await attackOn(bend, 0, 0), await attackOn(bend, 256, 0)];
      expect(both.score(both.attack.heldOut)).toBeGreaterThan(linear.score(linear.attack.heldOut) + gainDb);
    }
  });

  test('tells of held-out samples what it tells of them when it is asked', async () => {
    for (const hidden of [0, 64]) {
      const { attack, heldOut } = await attackOn(Math.sin, hidden);
      for (const [i, { boundary }] of heldOut.entries()) {
        const told = await attack.reconstruct(boundary);
        expect(psnr(told, attack.heldOut[i] as Plane)).toBeGreaterThan(80);
      }
    }
  });

  test('is weaker on training samples that were left out than on the same when they were not', async () => {
    const { attack, training } = await attackOn(Math.sin, 256, 1);
    const [unseen, seen] = [await attack.unseen(), [] as Plane[]];
    for (const { boundary } of training) seen.push(await attack.reconstruct(boundary));
    const likeness = (told: readonly Plane[]) =>
      meanOf(told.map((plane, i) => psnr((training[i] as Seen).view, plane)));
    expect(likeness(unseen)).toBeLessThan(likeness(seen) - 0.5);
    expect(likeness(unseen)).toBeGreaterThan(30);
  });

  test('finds nothing in noise', async () => {
    const noise = seededRandom(5);
    const { psnr: found } = await attackOn(() => gaussian(noise), 64);
    expect(Math.abs(found - GUESS_DB)).toBeLessThan(1.5);
  });
});

describe('the attack on the whole', () => {
  test('finds what lies nowhere: each boundary a shuffled mix of a picture of few parts', async () => {
    const parts = seededRandom(7);
    const shapes = Array.from({ length: 6 }, () => Float32Array.from({ length: 96 }, () => parts()));
    const mix = Float32Array.from({ length: 6 * 40 }, () => gaussian(parts));
    const draw = (count: number, seed: number) => {
      const random = seededRandom(seed);
      return Array.from({ length: count }, (): Seen => {
        const weights = Array.from({ length: 6 }, () => random() / 6);
        const data = Float32Array.from({ length: 96 }, (_, i) =>
          shapes.reduce((sum, shape, part) => sum + (weights[part] as number) * (shape[i] as number), 0),
        );
        const mixed = Float32Array.from({ length: 40 }, (_, i) =>
          weights.reduce((sum, weight, part) => sum + weight * (mix[part * 40 + i] as number), 0),
        );
        return { view: { rows: 8, columns: 12, data }, boundary: { h: float32([5, 8], mixed) } };
      });
    };
    const attack = await wholeAttack(matrices, { training: draw(60, 1), heldOut: draw(8, 2) }, RIDGES);
    const [test] = draw(1, 3) as [Seen];
    expect(psnr(test.view, (await attack?.reconstruct(test.boundary)) as Plane)).toBeGreaterThan(40);
  });

  test('is not tried where samples are of several sizes', async () => {
    const given = { training: samples(4, 1, Math.sin), heldOut: samples(2, 2, Math.sin) };
    expect(await wholeAttack(matrices, given, RIDGES)).toBeUndefined();
  });
});
