/** Every target's segments: built as recipes from before say, or as a search finds them. */
import { basename, dirname, join, resolve } from 'node:path';
import { runSegments } from '../shared/chain.ts';
import type { Plan } from '../shared/plan.ts';
import type { Runtime, Session } from '../shared/runtime.ts';
import type { Tensors } from '../shared/tensor.ts';
import { sha256 } from './bundle.ts';
import type { CompileRequest } from './compile-request.ts';
import { type SegmentCompressor, segmentCompressor } from './compress/compress-segment.ts';
import { COMPRESSION_VERSION, type LayerForm, type SegmentRecipe } from './compress/segment-recipe.ts';
import { allBoundaries } from './cut/boundary-specs.ts';
import type { Chain } from './cut/segments.ts';
import { cloneGraph } from './graph/graph.ts';
import { inferTypes } from './graph/infer.ts';
import { observeTypes } from './graph/observe.ts';
import { type MeasuredRecord, recipeSha256 } from './measure/record.ts';
import { releaseAll } from './measure/sessions.ts';
import { writeModel } from './onnx/write.ts';
import { inputCrossing, wholeOf } from './samples/crossing.ts';
import { holdOut } from './search/held-out.ts';
import { integerSavings } from './search/integer-regions.ts';
import { type Journal, openJournal } from './search/journal.ts';
import { conversionTime, timeLayers } from './search/layer-times.ts';
import { type Reference, referenceOf } from './search/losses.ts';
import { type SearchRecord, searchRecipes } from './search/search-recipes.ts';

export interface CompressedTarget {
  /** One a segment. */
  readonly recipes: readonly SegmentRecipe[];
  /** ONNX bytes of each segment, not packed. */
  readonly models: readonly Uint8Array[];
  readonly search: SearchRecord | undefined;
}

/** Forms that are tried; what needs no samples where there is only noise. */
const FORMS: Readonly<Record<string, readonly LayerForm[]>> = {
  wasm: ['float32', 'float16', 'w8', 'w4', 'w3', 'int8'],
  node: ['float32', 'float16', 'w8', 'w4', 'w3', 'int8', 'nbits4'],
};
const DATA_FREE = ['float32', 'float16', 'w8'] as const satisfies readonly LayerForm[];

/** By target. */
export type CompressedChain = ReadonlyMap<string, CompressedTarget>;

/** Samples that losses of single layers are measured on, held in memory with all their boundaries. */
const LOSS_SAMPLES = 8;
/** Their seed, and that of the held-out ones, over calibration's. */
const [LOSS_SEED, HELD_OUT_SEED] = [10_007, 20_011];

export async function compressChain(
  request: CompileRequest,
  plan: Plan,
  chain: Chain,
  server: readonly Session[],
  record: MeasuredRecord | undefined,
): Promise<CompressedChain> {
  const compressors = compressorsOf(request, plan, chain, server);
  const compressed = new Map<string, CompressedTarget>();
  for (const [target, device] of request.devices) {
    const known = request.float ? chain.segments.map(() => ({ layers: {} })) : record?.recipes[target];
    const found = known
      ? { recipes: known, record: record?.searches[target] }
      : await searchFor(request, plan, chain, server, compressors, target, device);
    const models: Uint8Array[] = [];
    for (const [i, recipe] of found.recipes.entries()) {
      request.progress({ stage: `compressing for ${target}`, done: i, total: found.recipes.length });
      models.push(writeModel(await (compressors[i] as SegmentCompressor)(recipe)));
    }
    compressed.set(target, { recipes: found.recipes, models, search: found.record });
  }
  return compressed;
}

/** Samples are run through the chain anew for each segment and pass: memory does not grow with their number. */
function compressorsOf(
  { recipe, server: runtime, calibrationSamples: count, seed }: CompileRequest,
  plan: Plan,
  { segments }: Chain,
  server: readonly Session[],
): SegmentCompressor[] {
  return segments.map(({ model }, k) => {
    async function* samples(): AsyncIterable<Tensors> {
      for await (const { input } of recipe.samples('calibration', count, seed, wholeOf(plan, server))) {
        const { tensors } = inputCrossing(plan, input);
        const boundary = await runSegments(plan, server, { from: 0, to: k, tensors });
        yield Object.fromEntries(
          (plan.segments[k]?.inputs ?? []).map((name) => [name, boundary[name] as Tensors[string]]),
        );
      }
    }
    return segmentCompressor({ model, samples, runtime }, recipe.isNoise ? 0 : count);
  });
}

async function searchFor(
  request: CompileRequest,
  plan: Plan,
  chain: Chain,
  server: readonly Session[],
  compressors: readonly SegmentCompressor[],
  target: string,
  device: Runtime,
) {
  const { recipe, seed, progress, now, pins } = request;
  const models = chain.segments.map(({ model }) => model);
  const journal = await journalOf(request, plan, target);
  const place = (await request.timing()).places.get(target)?.runtime ?? device;
  const forms = recipe.isNoise ? DATA_FREE : (FORMS[target] ?? DATA_FREE);
  const inputs: Tensors[] = [];
  for await (const { input } of recipe.samples('calibration', LOSS_SAMPLES, seed + LOSS_SEED, wholeOf(plan, server))) {
    inputs.push(inputCrossing(plan, input).tensors);
  }
  const ends = recipe.outputs.map(({ of }) => of);
  const reference = await referenceOf(plan, models, request.server, ends, inputs);
  const heldOut = await holdOut({ plan, recipe, server }, request.heldOutSamples, seed + HELD_OUT_SEED);
  const saved = recipe.isNoise ? [] : await measureSavings(request, plan, chain, reference, place, journal);
  try {
    return await searchRecipes({
      ...{ plan, recipe, models, compressors, reference, heldOut, device, place, forms, pins, journal, now, progress },
      ...{ runtime: request.server, budget: request.budget },
      savedMs: (segment, layer, form) => saved[segment]?.[form]?.[layer] ?? 0,
    });
  } finally {
    await releaseAll([reference.sessions]);
  }
}

/** Milliseconds that a form saves, by form and layer. */
type Savings = { readonly [Form in LayerForm]?: Readonly<Record<string, number>> };

/** Of each segment, by timing its layers on the target. */
async function measureSavings(
  { recipe, server, now, progress }: CompileRequest,
  plan: Plan,
  { segments }: Chain,
  { sessions }: Reference,
  place: Runtime,
  journal: Journal,
): Promise<Savings[]> {
  const conversionMs = await journal.once('conversion', () => conversionTime(place, now));
  const boundaries = await allBoundaries(plan, sessions, recipe.noise(recipe.size.typical));
  const savings: Savings[] = [];
  for (const [k, { model }] of segments.entries()) {
    const typed = { ...model, graph: cloneGraph(model.graph) };
    await inferTypes(typed, server);
    const types = await observeTypes(typed, server, boundaries[k] as Tensors);
    const saved = await journal.once(`layer times ${k}`, async () => {
      const times = await timeLayers(model, types, place, now, progress);
      const int8 = Object.fromEntries(integerSavings(model.graph, times, types, conversionMs));
      const nbits4 = Object.fromEntries(
        [...times].map(([layer, ms]) => [layer, Math.max(0, ms.floatMs - ms.nbits4Ms)]),
      );
      return { int8, nbits4 };
    });
    savings.push(saved);
  }
  return savings;
}

/** Beside the folder that is compiled to, which is replaced as a whole. */
function journalOf({ outDir, recipe, seed, ...request }: CompileRequest, plan: Plan, target: string): Promise<Journal> {
  const { budget, pins, calibrationSamples, heldOutSamples } = request;
  const asked = { budget, pins, calibrationSamples, heldOutSamples, seed, samplesKey: recipe.samplesKey };
  const key = sha256(JSON.stringify([plan.id, target, recipeSha256(recipe), COMPRESSION_VERSION, asked]));
  const folder = resolve(outDir);
  return openJournal(join(dirname(folder), `.${basename(folder)}-${target}.search`), key);
}
