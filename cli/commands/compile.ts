/** `tandem compile MODEL.onnx|NAME --out DIR` */
import { choose, compile, type ModelRecipe } from '../../compiler/index.ts';
import { TandemError } from '../../shared/errors.ts';
import { readArguments, wholeNumber } from '../arguments.ts';
import { DIM_OPTIONS, DIM_USAGE, readDims, readFixed } from '../dims.ts';
import { stderrProgress } from '../progress.ts';
import { findRecipe } from '../recipes.ts';
import { formatTable } from '../table.ts';

export const usage = `tandem compile NAME|MODEL.onnx --out DIR [--cut TENSOR[,TENSOR]]... [--cuts N] [--samples F.npz|DIR] ${DIM_USAGE} [--target wasm|node]... [--float] [--measure] [--count N] [--seed N] [--json]`;

/** Boundaries that are chosen where nobody says how many, and tensors of one at most. */
const CUTS_DEFAULT = 3;
const TENSORS_MAX = 2;
const NAME_WIDTH = 44;

export async function run(argv: readonly string[]): Promise<number> {
  const { values, positionals } = readArguments(
    argv,
    {
      out: { type: 'string' },
      cut: { type: 'string', multiple: true },
      cuts: { type: 'string' },
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
  const count = wholeNumber(values.cuts, '--cuts');
  const isOpen = cuts === undefined && (count !== undefined || found.cuts.length === 0);
  const chosen = isOpen ? await chosenCuts(found, count ?? CUTS_DEFAULT, values.target?.[0] ?? 'wasm') : undefined;
  const recipe = { ...found, cuts: chosen ?? cuts ?? found.cuts };
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

/** Where nobody names the boundaries: those that serve the profiles best, by measuring, with what they are worth. */
async function chosenCuts(recipe: ModelRecipe, count: number, target: string): Promise<string[][]> {
  const choice = await choose(recipe, { count, target, tensorsMax: TENSORS_MAX, progress: stderrProgress() });
  const { candidates, chosen, expectedMs, withoutMs, withAllMs } = choice;
  const rows = candidates.map((candidate) => [
    shorten(candidate.tensors.join(' + ')),
    candidate.headMs.toFixed(1),
    candidate.tailMs.toFixed(1),
    String(Math.round(candidate.bytes)),
    chosen.includes(candidate) ? 'chosen' : '',
  ]);
  const gain = `expected ${expectedMs.toFixed(1)} ms a request, ${withoutMs.toFixed(1)} ms uncut`;
  process.stderr.write(
    `${formatTable(['boundary', 'head ms', 'tail ms', 'bytes', ''], rows)}\n${gain}, ${withAllMs.toFixed(1)} ms with all ${candidates.length} (--cut says otherwise)\n`,
  );
  return chosen.map(({ tensors }) => [...tensors]);
}

function shorten(name: string): string {
  return name.length <= NAME_WIDTH ? name : `…${name.slice(1 - NAME_WIDTH)}`;
}
