/** `tandem compile MODEL.onnx|NAME --out DIR` */
import { assertReplaceable, type CompileConfig, choose, compile, configuredRecipe } from '../../compiler/index.ts';
import { hasCode, TandemError } from '../../shared/errors.ts';
import { readArguments, wholeNumber } from '../arguments.ts';
import { findBrowser } from '../browser.ts';
import { choiceText } from '../choice-text.ts';
import { readCompileConfig } from '../config.ts';
import { DIM_OPTIONS, DIM_USAGE, readDims, readFixed } from '../dims.ts';
import { leakageText } from '../leakage-text.ts';
import { stderrProgress } from '../progress.ts';
import { findRecipe } from '../recipes.ts';
import { formatTable, printable } from '../table.ts';

export const usage = `tandem compile NAME|MODEL.onnx --out DIR [--config F] [--cut TENSOR[,TENSOR]]... [--cuts N] [--samples F.npz|DIR] ${DIM_USAGE} [--target wasm|webgpu|node]... [--browser PATH|none] [--float] [--measure] [--leakage] [--count N] [--seed N] [--json]`;

/** Boundaries that are chosen where nobody says how many. */
const CUTS_DEFAULT = 3;

export async function run(argv: readonly string[]): Promise<number> {
  const { values, positionals } = readArguments(
    argv,
    {
      out: { type: 'string' },
      config: { type: 'string' },
      cut: { type: 'string', multiple: true },
      cuts: { type: 'string' },
      samples: { type: 'string' },
      ...DIM_OPTIONS,
      target: { type: 'string', multiple: true },
      browser: { type: 'string' },
      float: { type: 'boolean' },
      measure: { type: 'boolean' },
      leakage: { type: 'boolean' },
      count: { type: 'string' },
      seed: { type: 'string' },
      json: { type: 'boolean' },
    },
    ['NAME|MODEL.onnx'],
  );
  if (!values.out) throw new TandemError('USAGE', 'expected --out DIR: where the bundle goes');
  // What is wrong with the command is told before minutes of measuring, not after.
  await assertReplaceable(values.out);
  const [count, seed] = [wholeNumber(values.count, '--count', 1), wholeNumber(values.seed, '--seed')];
  const config = await readCompileConfig(values.config);
  const wanted = wishesOf(values, config);
  const { samples, cuts, targets } = wanted;
  const browser = findBrowser(values.browser);
  const found = configuredRecipe(await findRecipe(positionals[0] as string, { ...wanted, cuts: [] }), config);
  for (const taken of found.shapesTaken ?? []) process.stderr.write(`note: ${printable(taken)}\n`);
  const progress = stderrProgress();
  const named = Array.isArray(cuts) ? cuts : cuts === undefined && found.cuts.length > 0 ? found.cuts : undefined;
  const choice = named
    ? undefined
    : await choose(found, {
        ...{
          count: cuts === undefined ? CUTS_DEFAULT : Number(cuts),
          target: targets?.[0] ?? 'wasm',
          browser,
          progress,
        },
        ...{ tensorsMax: config.tensorsMax, profiles: config.profiles, tolerances: config.tolerances },
        outDir: values.measure ? undefined : values.out,
      }).catch((error: unknown) => {
        // Nobody asked for cuts: it can still run here or there as a whole.
        if (cuts !== undefined || !hasCode(error, 'BAD_CUT')) throw error;
        process.stderr.write(
          `note: it is not cut, and runs on the device or in the cloud as a whole: ${error.message}\n`,
        );
        return undefined;
      });
  if (choice) process.stderr.write(`${choiceText(choice)}\n`);
  const recipe = { ...found, cuts: named ?? choice?.chosen.map(({ tensors }) => tensors) ?? [] };
  if (found.samplesKey !== undefined && samples === undefined) {
    process.stderr.write(
      'note: no samples were given (--samples F.npz|DIR): ranges and errors are those of noise, and say little about real data\n',
    );
  }
  const startMs = performance.now();
  const { plan, isMeasuredNow, sizeRatio } = await compile(recipe, values.out, {
    targets,
    browser,
    float: values.float ?? config.float,
    measure: values.measure,
    leakage: values.leakage ?? config.leakage,
    ...{ budget: config.compression, pins: config.compression?.pins },
    choice,
    samples: count ?? config.count,
    seed: seed ?? config.seed,
    progress,
  });
  const seconds = (performance.now() - startMs) / 1000;
  if (values.json) {
    process.stdout.write(`${JSON.stringify({ dir: values.out, plan, isMeasuredNow, sizeRatio, seconds })}\n`);
    return 0;
  }
  const measured = isMeasuredNow ? 'measured now' : 'as measured before (--measure measures again)';
  process.stdout.write(
    `${values.out}: plan ${plan.id.slice(0, 12)}, ${plan.segments.length} segments, ${seconds.toFixed(1)} s\n`,
  );
  for (const [target, ratio] of Object.entries(sizeRatio)) {
    process.stdout.write(`${target}: ${(ratio * 100).toFixed(1)} % of the float segments' size\n`);
    const bytes = plan.segments.reduce((sum, { targets }) => sum + (targets[target]?.bytes ?? 0), 0);
    const { bytesMax = bytes } = config.compression ?? {};
    if (bytes > bytesMax)
      process.stderr.write(`note: ${target} has ${bytes} bytes, more than bytesMax (${bytesMax})\n`);
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
  const leakage = plan.measured?.leakage;
  if (leakage) process.stdout.write(`\n${leakageText(leakage, recipe.metrics)}\n`);
  return 0;
}

interface CompileValues {
  readonly cut?: string[] | undefined;
  readonly cuts?: string | undefined;
  readonly samples?: string | undefined;
  readonly target?: string[] | undefined;
  readonly dim?: string[] | undefined;
  readonly shape?: string[] | undefined;
  readonly fix?: string[] | undefined;
}

/** What is asked for: an option wins over the configuration. */
function wishesOf(values: CompileValues, config: CompileConfig) {
  const { sizes, shapes } = readDims(values);
  return {
    cuts: values.cut?.map((cut) => cut.split(',')) ?? wholeNumber(values.cuts, '--cuts') ?? config.cuts,
    samples: values.samples ?? config.samples,
    targets: values.target ?? config.targets,
    dims: { sizes: { ...config.dims, ...sizes }, shapes: { ...config.shapes, ...shapes } },
    fixed: { ...config.fix, ...readFixed(values) },
  };
}
