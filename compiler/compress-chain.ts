/** Every target's segments: built as recipes from before say, or as a search finds them. */
import { rm } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { segmentInputs } from '../shared/chain.ts';
import type { Plan } from '../shared/plan.ts';
import type { Runtime, Session } from '../shared/runtime.ts';
import type { Tensors } from '../shared/tensor.ts';
import { sha256 } from './bundle.ts';
import type { CompileRequest } from './compile-request.ts';
import { type SegmentCompressor, segmentCompressor } from './compress/compress-segment.ts';
import type { SegmentData } from './compress/segment-data.ts';
import { COMPRESSION_VERSION, type LayerForm, type SegmentRecipe } from './compress/segment-recipe.ts';
import type { Chain } from './cut/segments.ts';
import type { Model } from './graph/graph.ts';
import { keptSegments } from './kept-segments.ts';
import { type MeasuredRecord, recipeSha256 } from './measure/record.ts';
import { loadAll, releaseAll } from './measure/sessions.ts';
import { writeModel } from './onnx/write.ts';
import { inputCrossing, wholeOf } from './samples/crossing.ts';
import type { Flows } from './samples/flows.ts';
import { searchEqualization } from './search/equalization.ts';
import { COMPUTING } from './search/forms.ts';
import { holdOut } from './search/held-out.ts';
import { type Journal, openJournal } from './search/journal.ts';
import { referenceOf } from './search/losses.ts';
import { measureSavings } from './search/savings.ts';
import { isWithin, type SearchRecord, searchRecipes } from './search/search-recipes.ts';
import { rebuiltChain, searchStructures } from './search/structures.ts';

export interface CompressedTarget {
  /** One a segment. */
  readonly recipes: readonly SegmentRecipe[];
  /** ONNX bytes of each segment, not packed. */
  readonly models: readonly Uint8Array[];
  readonly search: SearchRecord | undefined;
}

const STORED_FORMS = [
  'float32',
  'float16',
  'w8',
  'w6',
  'w5',
  'w4',
  'w3',
  'sparse',
] as const satisfies readonly LayerForm[];
/** Forms that are tried; what needs no samples where there is only noise. */
const FORMS: Readonly<Record<string, readonly LayerForm[]>> = {
  wasm: [...STORED_FORMS, 'int8'],
  node: [...STORED_FORMS, 'int8', 'nbits4'],
  // Its kernels compute in float: integers would be turned back and forth.
  webgpu: STORED_FORMS,
};
const DATA_FREE = ['float32', 'float16', 'w8'] as const satisfies readonly LayerForm[];

/** Samples that the result is verified on, for each that recipes are chosen by: those are many recipes, this is one. */
const VERIFIED_PER_HELD_OUT = 2;

/** By target. */
export type CompressedChain = ReadonlyMap<string, CompressedTarget>;

/** Samples that losses of single layers are measured on, held in memory with all their boundaries. */
const LOSS_SAMPLES = 8;
/** Their seed, that of the held-out ones, and of those that the result is verified on, over calibration's. */
const [LOSS_SEED, HELD_OUT_SEED, VERIFICATION_SEED] = [10_007, 20_011, 30_011];

export async function compressChain(
  request: CompileRequest,
  plan: Plan,
  chain: Chain,
  server: readonly Session[],
  flows: Flows,
  record: MeasuredRecord | undefined,
): Promise<CompressedChain> {
  const data = segmentData(request, plan, chain, flows);
  const parts = { plan, chain, server, inputs: () => flows(0), data };
  const compressed = new Map<string, CompressedTarget>();
  for (const [target, device] of request.devices) {
    const kept =
      record && !request.float ? await keptSegments(request.earlier, plan, target, record.recipes[target]) : undefined;
    if (record && kept) {
      compressed.set(target, { recipes: record.recipes[target] ?? [], models: kept, search: record.searches[target] });
      continue;
    }
    const known: readonly SegmentRecipe[] | undefined = request.float
      ? chain.segments.map(() => ({ layers: {} }))
      : record?.recipes[target];
    const found = known
      ? {
          recipes: known,
          compressors: compressorsOf(request, target, parts.data, await structured(request, parts, known)),
          record: record?.searches[target],
        }
      : await searchFor(request, parts, target, device);
    const models: Uint8Array[] = [];
    for (const [i, recipe] of found.recipes.entries()) {
      request.progress({ stage: `compressing for ${target}`, done: i, total: found.recipes.length });
      models.push(writeModel(await (found.compressors[i] as SegmentCompressor)(recipe)));
    }
    compressed.set(target, { recipes: found.recipes, models, search: found.record });
  }
  return compressed;
}

/** The chain that is compressed. */
interface Parts {
  readonly plan: Plan;
  readonly chain: Chain;
  /** In full precision. */
  readonly server: readonly Session[];
  /** What flows into the whole chain. */
  readonly inputs: () => AsyncIterable<Tensors>;
  /** Of its segments. */
  readonly data: readonly SegmentData[];
}

function segmentData(request: CompileRequest, plan: Plan, { segments }: Chain, flows: Flows): SegmentData[] {
  return segments.map(({ model }, k) => {
    async function* samples(): AsyncIterable<Tensors> {
      for await (const tensors of flows(k)) yield segmentInputs(plan, k, tensors);
    }
    return { model, samples, runtime: request.server, literal: request.literal };
  });
}

/** The chain's models, without what recipes say is to go. */
async function structured(
  request: CompileRequest,
  { plan, chain, data, inputs }: Parts,
  recipes: readonly Pick<SegmentRecipe, 'structure'>[],
): Promise<Model[]> {
  if (recipes.every(({ structure }) => structure === undefined)) return chain.segments.map(({ model }) => model);
  return rebuiltChain(
    { plan, data, inputs, runtime: request.server, progress: request.progress },
    recipes.map(({ structure }) => structure),
  );
}

function compressorsOf(
  { recipe, calibrationSamples }: CompileRequest,
  target: string,
  data: readonly SegmentData[],
  models: readonly Model[],
): SegmentCompressor[] {
  return data.map((segment, k) =>
    segmentCompressor(
      { ...segment, model: models[k] as Model },
      // WebAssembly widens to 16 bits before it multiplies.
      { samples: recipe.isNoise ? 0 : calibrationSamples, mayLackVnni: target === 'node' },
    ),
  );
}

async function searchFor(request: CompileRequest, parts: Parts, target: string, device: Runtime) {
  const { recipe, seed, progress, now, pins, budget } = request;
  const { plan, chain, server, data } = parts;
  const journal = await journalOf(request, plan, target);
  const { runtime: place = device, hasFloat16 } = (await request.timing()).places.get(target) ?? {};
  const forms = recipe.isNoise ? DATA_FREE : (FORMS[target] ?? DATA_FREE);
  const inputs: Tensors[] = [];
  for await (const { input } of recipe.samples('calibration', LOSS_SAMPLES, seed + LOSS_SEED, wholeOf(plan, server))) {
    inputs.push(inputCrossing(plan, input).tensors);
  }
  const originals = chain.segments.map(({ model }) => model);
  const ends = recipe.outputs.map(({ of }) => of);
  const reference = await referenceOf(plan, originals, request.server, ends, inputs);
  const tails = await loadAll(
    request.many,
    chain.segments.map(({ float }) => float),
  );
  try {
    progress({ stage: 'setting samples aside', done: 0, total: 1 });
    const setAside = (count: number, from: number) => holdOut({ plan, recipe, server: tails }, count, seed + from);
    const heldOut = await setAside(request.heldOutSamples, HELD_OUT_SEED);
    const verification = await setAside(VERIFIED_PER_HELD_OUT * request.heldOutSamples, VERIFICATION_SEED);
    const structures = await journal.once('structures', async () =>
      budget.macsShare === undefined || recipe.isNoise
        ? null
        : ((await searchStructures(
            {
              ...{ plan, data, reference, heldOut, runtime: request.server, progress, macsShare: budget.macsShare },
              inputs: parts.inputs,
            },
            (lost) => isWithin(budget, lost),
          )) ?? null),
    );
    const models = await structured(
      request,
      parts,
      originals.map((_, k) => ({ structure: structures?.[k] })),
    );
    // Single layers are tried on few samples: loading is what takes time there, and is done once.
    const runtime = request.server;
    const compressors = compressorsOf(request, target, data, models);
    const saved = forms.every((form) => !COMPUTING.has(form))
      ? []
      : await measureSavings({
          ...{ plan, recipe, models, reference, place, journal, now, progress },
          runtime: request.literal,
        });
    const worthIntegers = (segment: number) => Object.keys(saved[segment]?.int8 ?? {});
    const equalized = forms.includes('int8')
      ? await searchEqualization({ models, compressors, reference, runtime, journal, progress, worthIntegers })
      : models.map(() => false);
    const found = await searchRecipes({
      ...{ plan, recipe, originals, models, structures: structures ?? undefined, compressors, reference, heldOut },
      ...{
        verification,
        device,
        place,
        forms,
        pins,
        journal,
        now,
        progress,
        runtime,
        many: request.many,
        budget,
        equalized,
        hasFloat16: target === 'webgpu' ? hasFloat16 === true : undefined,
      },
      optimized: (model) => request.optimized(model, target === 'node' ? 'server' : 'device'),
      refit: (budget.fit ?? false) && !recipe.isNoise,
      savedMs: (segment, layer, form) => saved[segment]?.[form]?.[layer] ?? 0,
    });
    return { ...found, compressors };
  } finally {
    await releaseAll([reference.sessions, tails]);
  }
}

/** A search that went into a bundle is over. */
export async function forgetSearches({ outDir, devices }: CompileRequest): Promise<void> {
  for (const target of devices.keys()) await rm(journalPath(outDir, target), { force: true });
}

/** Beside the folder that is compiled to, which is replaced as a whole. */
function journalPath(outDir: string, target: string): string {
  const folder = resolve(outDir);
  return join(dirname(folder), `.${basename(folder)}-${target}.search`);
}

function journalOf({ outDir, recipe, seed, ...request }: CompileRequest, plan: Plan, target: string): Promise<Journal> {
  const { budget, pins, calibrationSamples, heldOutSamples } = request;
  const asked = { budget, pins, calibrationSamples, heldOutSamples, seed, samplesKey: recipe.samplesKey };
  const key = sha256(JSON.stringify([plan.id, target, recipeSha256(recipe), COMPRESSION_VERSION, asked]));
  return openJournal(journalPath(outDir, target), key);
}
