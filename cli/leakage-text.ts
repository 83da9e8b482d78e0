/** What boundaries give away, as a table for a terminal, and whether the privacy mode's bar is reached. */
import { defenceText, type ModelRecipe, PRIVACY_BAR, withinBar } from '../compiler/index.ts';
import type { PlanLeakage } from '../shared/plan.ts';
import { formatTable } from './table.ts';

export function leakageText(leakage: PlanLeakage, metrics: ModelRecipe['metrics']): string {
  const first = metrics[0]?.name ?? '';
  const tasks = Object.keys(leakage.taskOriginal);
  const told = (figures: Readonly<Record<string, number>>) => tasks.map((name) => figure(figures[name]));
  const rows = leakage.rows.map((row) => [
    ...[String(row.k), defenceText(row), String(Math.round(row.bytesMean)), figure(row.accuracy[first])],
    ...[row.leakage.toFixed(3), row.sd.toFixed(3), row.ssim.toFixed(3), row.ssimGuess.toFixed(3), row.psnr.toFixed(1)],
    ...[row.psnrGuess.toFixed(1), row.distanceCorrelation.toFixed(2), ...told(row.task)],
  ]);
  const noFigures = Array.from({ length: 7 }, () => '');
  const ends = [
    ['', 'what was there', '', figure(leakage.accuracy[first]), ...noFigures, ...told(leakage.taskOriginal)],
    ['', 'a blind guess', '', '', ...noFigures, ...told(leakage.taskGuess)],
  ];
  const head = ['k', 'sent as', 'bytes', first, 'leakage', 'sd', 'ssim', 'guess', 'psnr', 'guess', 'dcor'];
  const reached = withinBar(leakage, [...metrics]).map((row) => `k = ${row.k} ${defenceText(row)} (${row.leakage})`);
  return (
    `What is given away of the input (${leakage.view}): ${leakage.trainingSamples} training samples, ` +
    `${leakage.samples} tried, ${leakage.seeds} seeds; accuracy on ${leakage.accuracySamples}. The output is, at any k < K.\n` +
    `${formatTable([...head, ...tasks.map((name) => `read: ${name}`)], [...rows, ...ends])}\n` +
    `Leakage under ${PRIVACY_BAR.leakageMax} at less than ${PRIVACY_BAR.accuracyDropMax * 100} points: ` +
    `${reached.length === 0 ? 'nothing' : reached.join(', ')}`
  );
}

function figure(value: number | undefined): string {
  return value?.toFixed(3) ?? '-';
}
