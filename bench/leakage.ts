/**
 * What each boundary gives away, from the plan: the table of docs/privacy.md and its picture. It is measured by
 * `tandem compile MODEL --out DIR --leakage`; what is committed in models/ is printed where no folder is named.
 *
 * `node dist/bench/leakage.js [MODEL] [DIR|-] [svg]`
 */
import { writeFileSync } from 'node:fs';
import { PRIVACY_BAR, withinBar } from '../compiler/privacy/bar.ts';
import { defenceText } from '../compiler/privacy/reconstructions.ts';
import { loadRecipe } from '../models/index.ts';
import { folderSource } from '../runtimes/bundle-folder.ts';
import { readPlan } from '../shared/bundle.ts';
import type { PlanMeasured } from '../shared/plan.ts';
import { leakagePlot } from './leakage-plot.ts';
import { markdownTable } from './stats.ts';

const [model = 'ocr-line', dir = '-', svg] = process.argv.slice(2);

async function measuredOf(): Promise<PlanMeasured | null | undefined> {
  if (dir !== '-') return (await readPlan(folderSource(dir))).measured;
  const { committed } = await loadRecipe(model);
  return (committed as { readonly measured: PlanMeasured } | undefined)?.measured;
}

const measured = await measuredOf();
const leakage = measured?.leakage;
if (!measured || !leakage) throw new Error(`expected leakage to have been measured: tandem compile ${model} --leakage`);
const [metric] = measured.metrics;
const first = metric?.name ?? '';
const tasks = Object.keys(leakage.taskOriginal);
const told = (figures: Readonly<Record<string, number>>) => tasks.map((name) => figures[name]?.toFixed(2) ?? '');
const rows = leakage.rows.map((row) => [
  ...[
    String(row.k),
    defenceText(row),
    String(Math.round(row.bytesMean)),
    (row.accuracy[first] ?? Number.NaN).toFixed(3),
  ],
  ...[`${row.leakage.toFixed(2)} ± ${row.sd.toFixed(3)}`, `${row.ssim.toFixed(2)} (${row.ssimGuess.toFixed(2)})`],
  ...[`${row.psnr.toFixed(1)} (${row.psnrGuess.toFixed(1)})`, row.distanceCorrelation.toFixed(2), ...told(row.task)],
]);
process.stdout.write(
  `${model}: ${leakage.trainingSamples} training samples, ${leakage.samples} tried, ${leakage.seeds} seeds, accuracy on ${leakage.accuracySamples}\n\n` +
    `${markdownTable(
      [
        'k',
        'sent as',
        'bytes',
        first,
        'leakage',
        'SSIM (guess)',
        'PSNR (guess)',
        'dCor',
        ...tasks.map((name) => `read: ${name}`),
      ],
      [
        ...rows,
        [
          '',
          'what was there',
          '',
          (leakage.accuracy[first] ?? Number.NaN).toFixed(3),
          '',
          '',
          '',
          '',
          ...told(leakage.taskOriginal),
        ],
        ['', 'a blind guess', '', '', '0', '', '', '', ...told(leakage.taskGuess)],
      ],
    )}\n`,
);
const reached = withinBar(leakage, measured.metrics).map(
  (row) => `k = ${row.k} ${defenceText(row)}: ${row.leakage.toFixed(2)}`,
);
const { leakageMax, accuracyDropMax } = PRIVACY_BAR;
process.stdout.write(
  `\nLeakage under ${leakageMax} for less than ${accuracyDropMax * 100} points: ${reached.join('; ') || 'nothing'}\n`,
);
if (svg) {
  const title = `${model}: what is given away, against what hiding it costs (${leakage.accuracySamples} samples)`;
  writeFileSync(svg, leakagePlot(title, leakage, measured.metrics));
}
