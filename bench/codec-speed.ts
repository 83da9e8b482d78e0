/**
 * Megabytes of float32 that a boundary's codec takes in (encoding) and gives (decoding) a second, in a real Chromium and in
 * Node, at every tier of every boundary of the demo, on one test line of typical width.
 *
 * `node dist/bench/codec-speed.js [browser]`
 */
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import * as ort from 'onnxruntime-node';
import { chromium } from 'playwright-core';
import { allBoundaries } from '../compiler/cut/boundary-specs.ts';
import { inputCrossing } from '../compiler/samples/crossing.ts';
import { loadRecipe } from '../models/index.ts';
import { nodeRuntime } from '../runtimes/onnxruntime-node.ts';
import { boundaryTensors } from '../shared/chain.ts';
import { type activationCodec as ActivationCodec, activationCodec } from '../shared/codec/activation.ts';
import type { QuantizedTier, TensorSpec } from '../shared/plan.ts';
import { asFloat32, type Tensors } from '../shared/tensor.ts';
import { notNeeded } from './bundle.ts';
import { floatChain } from './float-chain.ts';
import { markdownTable } from './stats.ts';

const BROWSER = process.argv[2] ?? '/usr/bin/chromium';
const CALIBRATION_SAMPLES = 16;
/** Each way. The tenth percentile of the runs counts: what the code takes, not what else the machine does. */
const MEASURED_MS = 600;

interface Case {
  readonly tier: QuantizedTier;
  readonly specs: readonly TensorSpec[];
  readonly shape: readonly number[];
  readonly values: readonly number[];
  readonly measuredMs: number;
}
type Speeds = Record<'encode' | 'decode', number>;

const recipe = await loadRecipe('ocr-line');
const { plan, sessions } = await floatChain(recipe, nodeRuntime(ort, { threads: 1 }), CALIBRATION_SAMPLES);
const boundaries = await lineBoundaries();
const browser = await chromium.launch({
  executablePath: BROWSER,
  args: process.getuid?.() === 0 ? ['--no-sandbox'] : [],
});
const page = await browser.newPage();
await page.addScriptTag({ content: await codecScript() });
const rows: string[][] = [];
for (const [k, { tensors, tiers }] of plan.boundaries.entries()) {
  for (const tier of tiers) {
    if (tier.type !== 'quantized') continue;
    const [tensor] = boundaryTensors(plan, k, boundaries[k] as Tensors);
    if (!tensor) continue;
    const values = Array.from(asFloat32(tensor));
    const given: Case = { tier, specs: tensors, shape: tensor.shape, values, measuredMs: MEASURED_MS };
    const there = await page.evaluate(measure, given);
    const here = measure(given, activationCodec);
    const cells = [there.encode, there.decode, here.encode, here.decode].map((speed) => speed.toFixed(0));
    rows.push([String(k), tier.name, String(4 * values.length), ...cells]);
  }
}
process.stdout.write(
  `Chromium ${browser.version()}, Node ${process.versions.node}; MB of float32 a second, tenth percentile of the times\n\n`,
);
const heads = ['k', 'tier', 'float32 bytes', 'Chromium encode', 'decode', 'Node encode', 'decode'];
process.stdout.write(`${markdownTable(heads, rows)}\n`);
await browser.close();
process.exit();

/** The boundaries of the first test line of at least typical width. */
async function lineBoundaries(): Promise<Tensors[]> {
  for await (const { input } of recipe.samples('test', 100, 2, notNeeded)) {
    const crossing = inputCrossing(plan, input);
    if (crossing.size >= plan.size.typical) return allBoundaries(plan, sessions, crossing.tensors);
  }
  throw new Error('no test line is wide enough');
}

/** The codec as a script that sets `activationCodec`. */
async function codecScript(): Promise<string> {
  const entry = fileURLToPath(new URL('../shared/codec/activation.js', import.meta.url));
  const contents = `export { activationCodec } from ${JSON.stringify(entry)};`;
  const built = await build({
    stdin: { contents, resolveDir: fileURLToPath(new URL('.', import.meta.url)) },
    ...{ bundle: true, write: false, minify: true, format: 'iife', globalName: 'tandemCodec', target: 'es2022' },
  });
  return built.outputFiles[0]?.text ?? '';
}

/** Runs in the page too, so it uses nothing from outside itself. */
function measure({ tier, specs, shape, values, measuredMs }: Case, make?: typeof ActivationCodec): Speeds {
  const inPage = globalThis as unknown as { tandemCodec: { activationCodec: typeof ActivationCodec } };
  const codec = (make ?? inPage.tandemCodec.activationCodec)(tier, specs);
  const tensor = { dtype: 'float32' as const, shape, data: Float32Array.from(values) };
  const parts = codec.encode([tensor]);
  const batch = Math.max(1, Math.round(2e5 / values.length));
  const speedOf = (work: () => unknown) => {
    const times: number[] = [];
    const startMs = performance.now();
    for (let atMs = startMs; atMs - startMs < measuredMs; ) {
      // A page's clock is coarse: several runs a reading.
      for (let run = 0; run < batch; run++) work();
      const endMs = performance.now();
      times.push((endMs - atMs) / batch);
      atMs = endMs;
    }
    times.sort((a, b) => a - b);
    return (4e-3 * values.length) / Math.max(1e-6, times[Math.floor(times.length / 10)] ?? Number.NaN);
  };
  return { encode: speedOf(() => codec.encode([tensor])), decode: speedOf(() => codec.decode(parts, [shape])) };
}
