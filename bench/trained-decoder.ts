/**
 * What the trained network adds to the closed forms: both attacks on every boundary, sent in one tier, with the same samples.
 *
 * `node dist/bench/trained-decoder.js [MODEL] [TIER] [STEPS]`
 */
import * as ort from 'onnxruntime-node';
import sharp from 'sharp';
import { configuredRecipe } from '../compiler/config.ts';
import { measureLeakage } from '../compiler/privacy/measure-leakage.ts';
import { leakageBudget } from '../compiler/privacy/plan-leakage.ts';
import { loadRecipe } from '../models/index.ts';
import { nodeRuntime } from '../runtimes/onnxruntime-node.ts';
import { sharpPictures } from '../runtimes/pictures-sharp.ts';
import { boundaryCodec } from '../shared/codec/boundary.ts';
import { floatChain } from './float-chain.ts';
import { markdownTable } from './stats.ts';

const [model = 'ocr-line', tier = 'q8', steps] = process.argv.slice(2);
const runtime = nodeRuntime(ort, { threads: 1 });
const recipe = configuredRecipe(await loadRecipe(model), { tiers: [tier], tensorsMax: 1 });
const { plan, sessions } = await floatChain(recipe, runtime, 8);
const budget = leakageBudget(recipe, { noises: [], accuracySamples: 1, ...(steps && { steps: Number(steps) }) });

async function measured(count: number) {
  const before = process.cpuUsage();
  const { leakage } = await measureLeakage({
    ...{ plan, recipe, server: sessions, tails: sessions, runtime, seed: 1, progress: () => {} },
    ...{ codec: boundaryCodec(plan, sharpPictures(sharp)), budget: { ...budget, steps: count } },
  });
  const rows = leakage.rows.filter(({ k }) => k > 0);
  return { rows, seconds: process.cpuUsage(before).user / 1e6 / (rows.length * budget.seeds) };
}

const [closed, both] = [await measured(0), await measured(budget.steps)];
const tasks = Object.keys(both.rows[0]?.task ?? {});
const row = ({ k, leakage, sd, ssim, psnr, task, attack }: (typeof both.rows)[number]) => [
  ...[String(k), `${leakage.toFixed(3)} ± ${sd.toFixed(3)}`, ssim.toFixed(3), psnr.toFixed(1)],
  ...[...tasks.map((name) => task[name]?.toFixed(3) ?? ''), attack],
];
const text = [
  `${model}, ${tier}: ${budget.trainingSamples} training samples, ${budget.samples} tried, ${budget.seeds} seeds, ${budget.steps} steps`,
  `CPU time of a boundary and seed: ${closed.seconds.toFixed(1)} s in closed form, ${both.seconds.toFixed(1)} s with the network`,
  markdownTable(['k', 'leakage', 'SSIM', 'PSNR', ...tasks, 'attack'], [...closed.rows, ...both.rows].map(row)),
];
process.stdout.write(`${text.join('\n\n')}\n`);
