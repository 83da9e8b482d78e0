/**
 * One model in float, in integers everywhere, with all weights in 8 to 4 bits, with weights fitted before they are rounded, and as the search compressed it: bytes, the
 * time of the whole chain on the device in Chromium's wasm and in node, and the model's metrics on test samples.
 * `node dist/bench/compression.js [model] [target] [samples] [measured.json]`, the last one of a compile for that target where
 * the model's own record has none.
 */
import { readFile } from 'node:fs/promises';
import * as ortNode from 'onnxruntime-node';
import { findBrowser } from '../cli/browser.ts';
import { type SegmentCompressor, segmentCompressor } from '../compiler/compress/compress-segment.ts';
import { inputColumns } from '../compiler/compress/input-rows.ts';
import { storedLayersOf } from '../compiler/compress/layers.ts';
import { packModel } from '../compiler/compress/pack-weights.ts';
import { COLUMNS_MAX } from '../compiler/compress/reconstruct.ts';
import type { LayerForm, SegmentRecipe } from '../compiler/compress/segment-recipe.ts';
import { allBoundaries, twoSizes } from '../compiler/cut/boundary-specs.ts';
import { buildProvenChain } from '../compiler/cut/proven-chain.ts';
import { draftPlan, NO_MODEL } from '../compiler/draft-plan.ts';
import { measureTime } from '../compiler/measure/time.ts';
import { writeModel } from '../compiler/onnx/write.ts';
import { prepareModel, readSourceBytes } from '../compiler/prepare.ts';
import type { Grade } from '../compiler/recipe.ts';
import { literalRuntime } from '../compiler/runtimes.ts';
import { inputCrossing, wholeOf } from '../compiler/samples/crossing.ts';
import { loadRecipe } from '../models/index.ts';
import { openChromium } from '../runtimes/chromium.ts';
import { nodeRuntime } from '../runtimes/onnxruntime-node.ts';
import { runSegments } from '../shared/chain.ts';
import type { Plan } from '../shared/plan.ts';
import { costAt } from '../shared/size.ts';
import { elementCount, type Tensors } from '../shared/tensor.ts';
import { markdownTable } from './stats.ts';

const [name = 'ocr-line', target = 'wasm', count = '500', record] = process.argv.slice(2);
const SAMPLES = Number(count);
const CALIBRATION_SAMPLES = 64;
const SMALL_ELEMENTS = 20_000;

const node = nodeRuntime(ortNode, { threads: 1 });
const recipe = await loadRecipe(name);
const model = await prepareModel(await readSourceBytes(recipe), recipe, node);
const chain = await buildProvenChain(model, recipe.cuts, node, twoSizes(recipe.size).map(recipe.noise));
const float = await Promise.all(chain.segments.map((segment) => node.load(segment.float)));
const draft = draftPlan(recipe, chain, NO_MODEL, []);
const boundaries = await allBoundaries(draft, float, recipe.noise(recipe.size.typical));
const plan: Plan = {
  ...draft,
  boundaries: boundaries.map((tensors) => ({
    tensors: Object.entries(tensors).map(([tensor, { dtype, shape }]) => ({ name: tensor, dtype, shape: [...shape] })),
    tiers: [],
  })),
};
const measured: unknown = record ? JSON.parse(await readFile(record, 'utf8')) : recipe.committed;
const chosen = (measured as { recipes?: Record<string, SegmentRecipe[]> } | undefined)?.recipes?.[target];

const all = (form: LayerForm) =>
  chain.segments.map((segment) => ({
    layers: Object.fromEntries(storedLayersOf(segment.model.graph).map((layer) => [layer.name, form])),
  }));
/** Each layer fitted before it is rounded; those of few weights, and those that are too wide to be fitted, in 8 bits. */
const fitted = (form: LayerForm) =>
  chain.segments.map(({ model: { graph } }) => ({
    layers: Object.fromEntries(
      storedLayersOf(graph).map((layer): [string, LayerForm] => {
        const isSmall = layer.groups > 1 || elementCount(layer.shape) < SMALL_ELEMENTS;
        return [layer.name, isSmall || inputColumns(layer) > COLUMNS_MAX ? 'w8' : form];
      }),
    ),
    refit: true,
  }));
const FORMS: Readonly<Record<string, readonly SegmentRecipe[]>> = {
  float: all('float32'),
  'int8 everywhere': all('int8'),
  'weights in 8 bits': all('w8'),
  'weights in 6 bits': all('w6'),
  'weights in 5 bits': all('w5'),
  'weights in 4 bits': all('w4'),
  'fitted, weights in 5 bits': fitted('w5'),
  'fitted, large weights in 4 bits': fitted('w4'),
  ...(chosen && { 'what the search chose': chosen }),
};

const compressors = chain.segments.map((segment, k): SegmentCompressor => {
  async function* samples(): AsyncIterable<Tensors> {
    for await (const { input } of recipe.samples('calibration', CALIBRATION_SAMPLES, 1, wholeOf(plan, float))) {
      yield runSegments(plan, float, { from: 0, to: k, tensors: inputCrossing(plan, input).tensors });
    }
  }
  return segmentCompressor(
    { model: segment.model, samples, runtime: node, literal: literalRuntime() },
    { samples: CALIBRATION_SAMPLES, mayLackVnni: target === 'node' },
  );
});
const files = new Map<string, Uint8Array[]>();
for (const [form, recipes] of Object.entries(FORMS)) {
  const made: Uint8Array[] = [];
  for (const [k, one] of recipes.entries()) made.push(writeModel(await (compressors[k] as SegmentCompressor)(one)));
  files.set(form, made);
}
/** Answers that are others than in full precision. */
const changed = new Map<string, number>();
const metrics = await metricsOf();
const path = findBrowser(undefined);
if (path === undefined) throw new Error('no Chromium here: CHROMIUM_PATH names one');
const browser = await openChromium(path);
const wasmMs = await timesOf(await browser.open({ provider: 'wasm', threads: 1 }));
await browser.close();
const nodeMs = await timesOf(node);
const bytesOf = (made: readonly Uint8Array[]) =>
  made.reduce((sum, bytes) => sum + packModel(bytes).bytes.byteLength, 0);
const floatBytes = bytesOf(files.get('float') ?? []);
type Times = Readonly<Record<string, readonly number[]>>;
const sumOf = (values: readonly number[] = []) => values.reduce((sum, value) => sum + value, 0);
const ratio = (times: Times, form: string) => (sumOf(times[form]) / sumOf(times['float'])).toFixed(2);
const names = recipe.metrics.map((metric) => metric.name);
process.stdout.write(
  `${name}, ${SAMPLES} test samples, at ${recipe.size.typical} ${recipe.size.unit}; float takes ` +
    `${sumOf(wasmMs['float']).toFixed(1)} ms in wasm and ${sumOf(nodeMs['float']).toFixed(1)} ms in node, one thread\n\n`,
);
process.stdout.write(
  `${markdownTable(
    ['', 'MB', 'of float', 'wasm, x float', 'node, x float', 'answers changed %', ...names.map((one) => `${one} %`)],
    [...files].map(([form, made]) => [
      ...[form, (bytesOf(made) / 1e6).toFixed(2), `${((bytesOf(made) / floatBytes) * 100).toFixed(1)} %`],
      ...[ratio(wasmMs, form), ratio(nodeMs, form)],
      ((100 * (changed.get(form) ?? 0)) / SAMPLES).toFixed(1),
      ...names.map((one) => (100 * (metrics.get(form)?.[one] ?? Number.NaN)).toFixed(2)),
    ]),
  )}\n`,
);
if (chosen) {
  const byOne = (times: Times) =>
    (times['what the search chose'] ?? []).map((ms, k) => (ms / (times['float']?.[k] ?? 1)).toFixed(2)).join(', ');
  process.stdout.write(`\nWhat the search chose, segment by segment: wasm ${byOne(wasmMs)}; node ${byOne(nodeMs)}\n`);
}
process.exit();

/** Whole chains on onnxruntime-node, on the same test samples. */
async function metricsOf(): Promise<Map<string, Record<string, number>>> {
  const chains = new Map<string, typeof float>();
  for (const [form, made] of files) chains.set(form, await Promise.all(made.map((bytes) => node.load(bytes))));
  const grades = new Map<string, Grade[]>([...files.keys()].map((form) => [form, []]));
  for await (const { input, truth } of recipe.samples('test', SAMPLES, 3, wholeOf(plan, float))) {
    const { tensors } = inputCrossing(plan, input);
    const run = (sessions: typeof float) => runSegments(plan, sessions, { from: 0, to: sessions.length, tensors });
    const expected = await run(float);
    for (const [form, sessions] of chains) {
      const outputs = await run(sessions);
      grades.get(form)?.push(recipe.judge(outputs, truth, expected));
      if (recipe.answer(outputs) !== recipe.answer(expected)) changed.set(form, (changed.get(form) ?? 0) + 1);
    }
  }
  return new Map([...grades].map(([form, list]) => [form, recipe.score(list)]));
}

/** Milliseconds of each segment, by form: every form in turn. */
async function timesOf(runtime: typeof node): Promise<Times> {
  const places = new Map<string, { plan: Plan; sessions: typeof float }>();
  for (const [form, made] of files) {
    places.set(form, { plan, sessions: await Promise.all(made.map((bytes) => runtime.load(bytes))) });
  }
  const sizes = [recipe.size.typical];
  const times = await measureTime({
    places,
    sizes,
    input: recipe.noise,
    now: () => performance.now(),
    progress: () => {},
  });
  return Object.fromEntries(
    Object.entries(times).map(([form, costs]) => [form, costs.map((cost) => costAt(cost, recipe.size.typical))]),
  );
}
