/**
 * What each boundary gives away, from the plan: the figures of docs/privacy.md, and their picture. It is measured by
 * `tandem compile MODEL --out DIR --leakage`, which prints the same; of models/ it is what is committed.
 *
 * `node dist/bench/leakage.js [MODEL] [DIR|-] [svg]`
 */
import { writeFileSync } from 'node:fs';
import { leakageText } from '../cli/leakage-text.ts';
import { loadRecipe } from '../models/index.ts';
import { folderSource } from '../runtimes/bundle-folder.ts';
import { readPlan } from '../shared/bundle.ts';
import type { PlanMeasured } from '../shared/plan.ts';
import { leakagePlot } from './leakage-plot.ts';

const [model = 'ocr-line', dir = '-', svg] = process.argv.slice(2);

async function measuredOf(): Promise<PlanMeasured | null | undefined> {
  if (dir !== '-') return (await readPlan(folderSource(dir))).measured;
  const { committed } = await loadRecipe(model);
  return (committed as { readonly measured: PlanMeasured } | undefined)?.measured;
}

const measured = await measuredOf();
const leakage = measured?.leakage;
if (!measured || !leakage) throw new Error(`expected leakage to have been measured: tandem compile ${model} --leakage`);
process.stdout.write(`${model}: ${leakageText(leakage, measured.metrics)}\n`);
if (svg) {
  const title = `${model}: what is given away, against what hiding it costs (${leakage.accuracySamples} samples)`;
  writeFileSync(svg, leakagePlot(title, leakage, measured.metrics));
}
