/** `tandem compile MODEL.onnx|NAME --out DIR` */
import { compile, type Dims, inspect, spreadCuts } from '../../compiler/index.ts';
import { TandemError } from '../../shared/errors.ts';
import { readArguments, wholeNumber } from '../arguments.ts';
import { DIM_OPTIONS, DIM_USAGE, readDims, readFixed } from '../dims.ts';
import { stderrProgress } from '../progress.ts';
import { findRecipe } from '../recipes.ts';
import { formatTable } from '../table.ts';

export const usage = `tandem compile NAME|MODEL.onnx --out DIR [--cut TENSOR[,TENSOR]]... [--samples F.npz|DIR] ${DIM_USAGE} [--target wasm|node]... [--float] [--measure] [--count N] [--seed N] [--json]`;

export async function run(argv: readonly string[]): Promise<number> {
  const { values, positionals } = readArguments(
    argv,
    {
      out: { type: 'string' },
      cut: { type: 'string', multiple: true },
      samples: { type: 'string' },
      ...DIM_OPTIONS,
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
  const cuts = values.cut?.map((cut) => cut.split(','));
  const name = positionals[0] as string;
  const { samples } = values;
  const dims = readDims(values);
  const fixed = readFixed(values);
  const found = await findRecipe(name, { cuts: [], dims, fixed, samples });
  const recipe = {
    ...found,
    cuts: cuts ?? (found.cuts.length > 0 ? found.cuts : await suggestCuts(name, dims, fixed)),
  };
  if (!recipe.preprocess && samples === undefined) {
    process.stderr.write(
      'note: no samples were given (--samples F.npz|DIR): ranges and errors are those of noise, and say little about real data\n',
    );
  }
  const startMs = performance.now();
  const { plan, isMeasuredNow, sizeRatio } = await compile(recipe, values.out, {
    targets: values.target,
    float: values.float,
    measure: values.measure,
    samples: wholeNumber(values.count, '--count'),
    seed: wholeNumber(values.seed, '--seed'),
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

/** Where nobody says where to cut: boundaries that carry little, spread over the depth. */
async function suggestCuts(path: string, dims: Dims, fixed: Record<string, number>): Promise<string[][]> {
  const cuts = spreadCuts((await inspect(path, { tensorsMax: 2, dims, fixed })).boundaries);
  if (cuts.length === 0)
    throw new TandemError(
      'BAD_CUT',
      `${path} cannot be cut at one or two tensors: see tandem inspect --tensors 4, and name a cut with --cut`,
    );
  process.stderr.write(`cut at ${cuts.map((cut) => cut.join(' + ')).join(', ')} (--cut says otherwise)\n`);
  return cuts;
}
