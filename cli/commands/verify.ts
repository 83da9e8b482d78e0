/** `tandem verify DIR`: exit 1 where the chain is not what it claims to be. */
import { type VerifyReport, verify } from '../../compiler/index.ts';
import { folderSource } from '../../runtimes/bundle-folder.ts';
import { readPlan } from '../../shared/bundle.ts';
import { readArguments, wholeNumber } from '../arguments.ts';
import { readCompileConfig } from '../config.ts';
import { stderrProgress } from '../progress.ts';
import { recipeOf } from '../recipes.ts';
import { formatTable } from '../table.ts';

export const usage = 'tandem verify DIR [--config F] [--samples F.npz|DIR] [--count N] [--seed N] [--json]';

export async function run(argv: readonly string[]): Promise<number> {
  const { values, positionals } = readArguments(
    argv,
    {
      config: { type: 'string' },
      samples: { type: 'string' },
      count: { type: 'string' },
      seed: { type: 'string' },
      json: { type: 'boolean' },
    },
    ['DIR'],
  );
  const dir = positionals[0] as string;
  const config = await readCompileConfig(values.config);
  const recipe = await recipeOf(dir, await readPlan(folderSource(dir)), values.samples ?? config.samples);
  const report = await verify(recipe, dir, {
    samples: wholeNumber(values.count, '--count'),
    seed: wholeNumber(values.seed, '--seed'),
    tolerances: config.tolerances,
    progress: stderrProgress(),
  });
  if (values.json) process.stdout.write(`${JSON.stringify(report)}\n`);
  else process.stdout.write(`${describe(dir, report)}\n`);
  return report.holds ? 0 : 1;
}

function describe(dir: string, { plan, samples, tolerances, rows, holds }: VerifyReport): string {
  const targets = Object.keys(rows[0]?.compressed ?? {});
  const head = ['k', 'boundary', 'float', 'float, from k on', 'largest', 'answers changed'];
  const perTarget = targets.flatMap((target) => [`${target}`, `${target}: answers changed`]);
  const table = formatTable(
    [...head, ...perTarget, 'holds'],
    rows.map((row) => [
      String(row.k),
      row.boundary.join(' + '),
      row.floatBoundaryError.toExponential(1),
      row.floatOutputError.toExponential(1),
      row.floatLargestError.toExponential(1),
      String(row.floatAnswersChanged),
      ...targets.flatMap((target) => {
        const seen = row.compressed[target];
        return [(seen?.boundaryError ?? 0).toFixed(3), `${((seen?.answersChanged ?? 0) * 100).toFixed(0)} %`];
      }),
      row.holds ? 'yes' : 'NO',
    ]),
  );
  const verdict = holds ? 'The chain equals the whole model at every k.' : 'The chain is NOT the whole model.';
  return [
    `${dir}: ${plan.name}, plan ${plan.id.slice(0, 12)}, ${samples} samples against the whole model`,
    table,
    'float: relative error (norm) of boundary k of the full-precision chain; from k on: of the outputs that its tail makes',
    "of the whole model's boundary k; largest: worst single value of either. Targets: the same with the compressed head.",
    `Holds: ${tolerances.floatErrorMax} for float, ${tolerances.floatLargestErrorMax} for a single value, no answer changed; a target no`,
    `further than ${tolerances.compressedErrorGrowthMax} times what the plan says was measured, at most ${tolerances.answersChangedMax * 100} % of answers changed.`,
    verdict,
  ].join('\n');
}
