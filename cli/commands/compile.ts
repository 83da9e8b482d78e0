/** `tandem compile MODEL.onnx|NAME --out DIR` */
import { compile } from '../../compiler/index.ts';
import { TandemError } from '../../shared/errors.ts';
import { readArguments, wholeNumber } from '../arguments.ts';
import { stderrProgress } from '../progress.ts';
import { findRecipe } from '../recipes.ts';
import { formatTable } from '../table.ts';

export const usage =
  'tandem compile NAME|MODEL.onnx --out DIR [--cut TENSOR[,TENSOR]]... [--target wasm|node]... [--float] [--measure] [--count N] [--seed N] [--json]';

export async function run(argv: readonly string[]): Promise<number> {
  const { values, positionals } = readArguments(
    argv,
    {
      out: { type: 'string' },
      cut: { type: 'string', multiple: true },
      target: { type: 'string', multiple: true },
      float: { type: 'boolean' },
      measure: { type: 'boolean' },
      count: { type: 'string' },
      seed: { type: 'string' },
      json: { type: 'boolean' },
    },
    ['NAME|MODEL.onnx'],
  );
  if (!values.out) throw new TandemError('USAGE', 'expected --out DIR: where the bundle goes');
  const found = await findRecipe(positionals[0] as string);
  const recipe = values.cut ? { ...found, cuts: values.cut.map((cut) => cut.split(',')) } : found;
  const startMs = performance.now();
  const { plan, isMeasuredNow, sizeRatio } = await compile(recipe, values.out, {
    targets: values.target,
    float: values.float,
    measure: values.measure,
    samples: wholeNumber(values.count, 'count'),
    seed: wholeNumber(values.seed, 'seed'),
    progress: stderrProgress(),
  });
  const seconds = (performance.now() - startMs) / 1000;
  if (values.json) {
    process.stdout.write(`${JSON.stringify({ dir: values.out, plan, isMeasuredNow, sizeRatio, seconds })}\n`);
    return 0;
  }
  const measured = isMeasuredNow ? 'measured now' : 'as committed with the model (--measure measures again)';
  process.stdout.write(
    `${values.out}: plan ${plan.id.slice(0, 12)}, ${plan.segments.length} segments, ${seconds.toFixed(1)} s\n`,
  );
  for (const [target, ratio] of Object.entries(sizeRatio)) {
    process.stdout.write(`${target}: ${(ratio * 100).toFixed(1)} % of the float segments' size\n`);
  }
  process.stdout.write(`\nAccuracy and bytes, ${plan.measured?.samples} samples, ${measured}:\n`);
  const metrics = recipe.metrics.map(({ name }) => name);
  const rows = (plan.measured?.accuracy ?? []).map((row) => [
    row.target,
    String(row.k),
    row.tier ?? '-',
    String(Math.round(row.bytesMean)),
    ...metrics.map((name) => ((row.metrics[name] ?? Number.NaN) * 100).toFixed(2)),
  ]);
  process.stdout.write(
    `${formatTable(['head on', 'k', 'tier', 'bytes', ...metrics.map((name) => `${name} %`)], rows)}\n`,
  );
  return 0;
}
