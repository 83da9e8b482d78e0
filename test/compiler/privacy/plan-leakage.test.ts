import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import type { LeakageBudget } from '../../../compiler/privacy/measure-leakage.ts';
import { parsePlan } from '../../../shared/plan-schema.ts';
import { type TinyModel, tinyModel } from '../../helpers/tiny-model.ts';
import { compileTiny } from '../compile-tiny.ts';

const BUDGET: LeakageBudget = {
  ...{ trainingSamples: 12, samples: 3, accuracySamples: 3, seeds: 2, places: 300, hidden: 8, steps: 4 },
  noises: [{ type: 'gaussian', scale: 2 }],
};

vi.setConfig({ testTimeout: 120_000 });

let tiny: TinyModel;
beforeAll(async () => {
  tiny = await tinyModel();
});
afterAll(() => tiny.remove());

const readBundle = async (name: string) => readFile(join(tiny.dir, 'measured', name), 'utf8');
const compiled = (changes: Parameters<typeof compileTiny>[3]) =>
  compileTiny(tiny, 'measured', () => 1, { float: true, ...changes });

describe('leakage in the plan', () => {
  test('is not there where nobody asked for it', async () => {
    expect((await compiled({})).plan.measured?.leakage).toBeUndefined();
    expect(await readBundle('report.html')).not.toContain('data:image/webp;base64,UklGR');
  });

  test('has a row for every tier of every boundary, and for noise behind boundary 0', async () => {
    const stages = new Set<string>();
    const { plan } = await compiled({ leakage: BUDGET, progress: ({ stage }) => stages.add(stage) });
    const { leakage } = plan.measured ?? {};
    expect(stages).toContain('measuring leakage');
    const tiers = plan.boundaries
      .slice(0, -1)
      .flatMap((boundary, k) => boundary.tiers.map(({ name }) => `${k} ${name}`));
    const bare = leakage?.rows.filter(({ noise }) => noise === null).map(({ k, tier }) => `${k} ${tier}`);
    expect(bare).toEqual(tiers);
    const noisy = leakage?.rows.filter(({ noise }) => noise !== null) ?? [];
    expect(noisy.map(({ k, tier }) => `${k} ${tier}`)).toEqual(['1 q8', '2 q8', '3 q8']);
    for (const { k, leakage: leaked, ssim, task, accuracy } of leakage?.rows ?? []) {
      if (k === 0) expect([leaked, ssim > 0.8]).toEqual([1, true]);
      expect(Object.keys(task)).toEqual(Object.keys(accuracy));
    }
  });

  test('stays with the bundle when it is compiled again, and its pictures stay in the report', async () => {
    const again = await compiled({ measure: true });
    expect(again.isMeasuredNow).toBe(true);
    expect(again.plan.measured?.leakage?.rows.length).toBeGreaterThan(9);
    expect(parsePlan(JSON.parse(await readBundle('plan.json')), 'it').measured?.leakage?.seeds).toBe(2);
    expect(await readBundle('report.html')).toContain('"webp":"UklGR');
  });
});
