/**
 * Source model -> bundle, step by step: cut into a chain, find the boundaries' shapes, calibrate the tiers, compress
 * for each target, measure, write. Runtimes come in as arguments; index.ts is where they are chosen.
 */
import { readFile } from 'node:fs/promises';
import { extname } from 'node:path';
import { PLAN_FILE } from '../shared/bundle.ts';
import { boundaryTensors } from '../shared/chain.ts';
import { type BoundaryCodec, boundaryCodec } from '../shared/codec/boundary.ts';
import type { PictureCodec } from '../shared/codec/picture.ts';
import { asTandemError } from '../shared/errors.ts';
import { PLAN_VERSION, type Plan, type PlanMeasured, parsePlan, type TensorSpec, type Tier } from '../shared/plan.ts';
import type { Runtime, Session } from '../shared/runtime.ts';
import type { Tensors } from '../shared/tensor.ts';
import { assertReplaceable, planFile, RECORD_FILE, sha256, withPlanId, writeBundle } from './bundle.ts';
import { calibrateTiers } from './compress/calibrate.ts';
import { chooseDeviceRecipe, type DeviceRecipe } from './compress/device-recipe.ts';
import { allBoundaries, boundarySpecs, twoSizes } from './cut/boundary-specs.ts';
import { buildProvenChain } from './cut/proven-chain.ts';
import type { Chain, ChainSegment } from './cut/segments.ts';
import { type Model, operatorsOf } from './graph/graph.ts';
import { measureAccuracy } from './measure/accuracy.ts';
import { isMeasurementOf, keptRecord, type MeasuredRecord, matchingRecord, measuredRecord } from './measure/record.ts';
import { measureTime } from './measure/time.ts';
import { readModel } from './onnx/read.ts';
import { prepareModel, readSourceBytes } from './prepare.ts';
import type { Progress } from './progress.ts';
import type { ModelRecipe } from './recipe.ts';
import { type ReportFusion, reportBoundaries } from './report/data.ts';
import { REPORT_FILE, reportPage } from './report/page.ts';
import { inputCrossing, wholeOf } from './samples/crossing.ts';

export interface CompileRequest {
  readonly recipe: ModelRecipe;
  readonly outDir: string;
  /** The server's runtime, and each device target's. */
  readonly server: Runtime;
  readonly devices: ReadonlyMap<string, Runtime>;
  readonly pictures: PictureCodec;
  /** Measure even where committed measurements, or those of an earlier run into the same folder, fit. */
  readonly measure: boolean;
  /** Store device segments in full precision. */
  readonly float: boolean;
  readonly seed: number;
  readonly calibrationSamples: number;
  readonly testSamples: number;
  /** One line about this machine, for the plan. */
  readonly machine: string;
  readonly now: () => number;
  /** What the server's runtime makes of a model before it runs it. */
  readonly optimized: (model: Uint8Array) => Promise<Model>;
  readonly progress: Progress;
}

export interface CompileResult {
  readonly plan: Plan;
  /** Whether the figures in the plan were measured now, or are the committed or earlier ones. */
  readonly isMeasuredNow: boolean;
  /** Bytes of all device segments over bytes of the same in float, by target. */
  readonly sizeRatio: Readonly<Record<string, number>>;
}

export async function compileModel(request: CompileRequest): Promise<CompileResult> {
  const { recipe, progress } = request;
  const stage = (name: string, done: number) => progress({ stage: name, done, total: 1 });
  await assertReplaceable(request.outDir);
  stage('reading and cutting the model', 0);
  const source = await readSourceBytes(recipe);
  const model = await prepareModel(source, recipe, request.server);
  const noise = twoSizes(recipe.size).map(recipe.noise);
  const chain = await buildProvenChain(model, recipe.cuts, request.server, noise);
  const asked = { samples: request.testSamples, seed: request.seed };
  const committed = matchingRecord(recipe, sha256(source));
  const kept = committed ?? (await keptRecord(request.outDir, recipe, sha256(source), asked));
  const record = request.measure || request.float ? undefined : kept;
  const server = await loadAll(
    request.server,
    chain.segments.map(({ float }) => float),
  );
  stage('reading and cutting the model', 1);

  const draft = draftPlan(request, source, chain);
  const specs = await boundarySpecs(draft, server, recipe.noise).catch((error: unknown) => {
    throw asTandemError(
      error,
      'BAD_INPUT',
      `${recipe.source} does not run on its samples (sizes: --dim, --shape; or --samples)`,
    );
  });
  const tiers = record?.tiers ?? (await calibratedTiers(request, { ...draft, boundaries: bare(specs) }, server, specs));
  const boundaries = specs.map((tensors, k) => ({ tensors, tiers: [...(tiers[k] ?? [])] }));
  const cut = withPlanId({ ...draft, boundaries });

  const deviceRecipes = await chosenRecipes(request, cut, chain, record);
  const files = new Map<string, Uint8Array | string>();
  const planned = addFiles({ ...cut, assets: await addAssets(recipe, files) }, chain, deviceRecipes, files);
  const measured =
    record && isMeasurementOf(record, planned) ? record.measured : await measureAll(request, planned, chain, server);
  // What is written must be readable: the parser has the last word.
  const plan = parsePlan({ ...planned, measured }, `the plan of ${recipe.name}`);
  files.set(PLAN_FILE, `${JSON.stringify(plan)}\n`);
  files.set(REPORT_FILE, reportPage({ plan, ...(await reportParts(request, model, chain)) }));
  const isMeasuredNow = measured !== record?.measured;
  if (isMeasuredNow || !committed)
    files.set(RECORD_FILE, `${JSON.stringify(measuredRecord(plan, recipe, measured))}\n`);
  await writeBundle(request.outDir, files);
  await Promise.all(server.map((session) => session.release()));
  return { plan, isMeasuredNow, sizeRatio: sizeRatios(plan) };
}

async function reportParts({ recipe, server, optimized }: CompileRequest, model: Model, chain: Chain) {
  const fusions: ReportFusion[] = [];
  for (const [i, { float }] of chain.segments.entries()) {
    const written = operatorsOf(readModel(float, `segment ${i + 1}`).graph);
    fusions.push({ segment: i + 1, written, run: operatorsOf((await optimized(float)).graph) });
  }
  return { boundaries: await reportBoundaries(model, recipe, server), fusions };
}

/** A plan with everything but shapes, tiers, files and figures: enough to run the chain by. */
function draftPlan({ recipe }: CompileRequest, source: Uint8Array, chain: Chain): Plan {
  const tensors = chain.boundaries.map((boundary) =>
    boundary.map((name) => ({ name, dtype: 'float32' as const, shape: [] as number[] })),
  );
  return {
    version: PLAN_VERSION,
    id: '',
    name: recipe.name,
    model: {
      ...{ source: recipe.source, sha256: sha256(source), bytes: source.byteLength },
      fixed: { ...recipe.fixed },
    },
    size: recipe.size,
    preprocess: recipe.preprocess,
    boundaries: bare(tensors),
    segments: chain.segments.map(({ inputs, outputs, float }, i) => ({
      inputs: [...inputs],
      outputs: [...outputs],
      server: planFile(`${i + 1}.server.onnx`, float),
      targets: {},
    })),
    assets: {},
    measured: null,
  };
}

function bare(specs: readonly TensorSpec[][]): Plan['boundaries'] {
  return specs.map((tensors) => ({ tensors, tiers: [] }));
}

async function calibratedTiers(
  request: CompileRequest,
  plan: Plan,
  server: readonly Session[],
  specs: readonly TensorSpec[][],
): Promise<Tier[][]> {
  const { recipe, calibrationSamples: total, seed, progress } = request;
  const pictures: Tier[] = recipe.pictures.map(({ format, quality }) => ({
    type: 'picture',
    name: `${format}-${quality}`,
    format,
    quality,
  }));
  const raw: Tier[] = recipe.raw ? [{ type: 'raw', name: 'raw' }] : [];
  const tiers: Tier[][] = recipe.preprocess ? [[...pictures, ...raw]] : [];
  for (let k = tiers.length; k < specs.length - 1; k++) {
    let passes = 0;
    const boundary = async function* () {
      let done = 0;
      for await (const sample of recipe.samples('calibration', total, seed, wholeOf(plan, server))) {
        progress({ stage: `calibrating boundary ${k}`, done: passes * total + done++, total: 3 * total });
        const { tensors } = inputCrossing(plan, sample.input);
        const all = await allBoundaries(plan, server.slice(0, k), tensors);
        yield boundaryTensors(plan, k, all[k] as Tensors);
      }
      passes++;
    };
    tiers.push([...(await calibrateTiers(specs[k] as TensorSpec[], recipe.bits, boundary)), ...raw]);
  }
  return [...tiers, []];
}

/** How each target stores each segment: as committed, or by timing both forms on the target. */
async function chosenRecipes(
  request: CompileRequest,
  plan: Plan,
  chain: Chain,
  record: MeasuredRecord | undefined,
): Promise<Map<string, readonly DeviceRecipe[]>> {
  const chosen = new Map<string, readonly DeviceRecipe[]>();
  for (const [target, runtime] of request.devices) {
    const known = record?.deviceRecipes[target];
    if (request.float) {
      chosen.set(
        target,
        chain.segments.map(() => 'float32'),
      );
    } else if (known) {
      chosen.set(target, known);
    } else {
      chosen.set(target, await timedRecipes(request, plan, chain, runtime));
    }
  }
  return chosen;
}

async function timedRecipes(
  { recipe, now, progress }: CompileRequest,
  plan: Plan,
  { segments }: Chain,
  runtime: Runtime,
): Promise<DeviceRecipe[]> {
  const load = (form: 'float' | 'int8') =>
    loadAll(
      runtime,
      segments.map((segment) => segment[form]),
    );
  const places = new Map([
    ['float', await load('float')],
    ['int8', await load('int8')],
  ]);
  const sizes = [recipe.size.typical];
  const input = recipe.noise;
  const times = await measureTime({ plan, places, sizes, input, now, progress });
  await Promise.all([...places.values()].flat().map((session) => session.release()));
  return segments.map((_, i) => {
    const [int8, float] = [times['int8']?.[i], times['float']?.[i]];
    return int8 && float ? chooseDeviceRecipe(int8, float, recipe.size) : 'float32';
  });
}

function deviceBytes(segment: ChainSegment, recipe: DeviceRecipe | undefined): Uint8Array {
  return recipe === 'int8-storage' ? segment.int8 : segment.float;
}

function addFiles(
  plan: Plan,
  chain: Chain,
  recipes: ReadonlyMap<string, readonly DeviceRecipe[]>,
  files: Map<string, Uint8Array | string>,
): Plan {
  const segments = plan.segments.map((segment, i) => {
    const source = chain.segments[i] as ChainSegment;
    files.set(segment.server.file, source.float);
    const targets = [...recipes].map(([target, list]) => {
      const recipe = list[i] ?? 'float32';
      const bytes = deviceBytes(source, recipe);
      const file = planFile(`${i + 1}.${target}.onnx`, bytes);
      files.set(file.file, bytes);
      return [target, { ...file, recipe }] as const;
    });
    return { ...segment, targets: Object.fromEntries(targets) };
  });
  return { ...plan, segments };
}

async function addAssets(recipe: ModelRecipe, files: Map<string, Uint8Array | string>): Promise<Plan['assets']> {
  const assets: Plan['assets'] = {};
  for (const [name, path] of Object.entries(recipe.assets)) {
    const file = `${name}${extname(path)}`;
    const bytes = await readFile(path);
    assets[name] = planFile(file, bytes);
    files.set(file, bytes);
  }
  return assets;
}

async function measureAll(
  request: CompileRequest,
  plan: Plan,
  chain: Chain,
  server: readonly Session[],
): Promise<PlanMeasured> {
  const { recipe, seed, testSamples, machine, now, progress } = request;
  const codec: BoundaryCodec = boundaryCodec(plan, request.pictures);
  const devices = new Map<string, Session[]>();
  for (const [target, runtime] of request.devices) {
    const models = chain.segments.map((segment, i) =>
      deviceBytes(segment, plan.segments[i]?.targets[target]?.recipe as DeviceRecipe),
    );
    devices.set(target, await loadAll(runtime, models));
  }
  const places = new Map<string, readonly Session[]>([['server', server], ...devices]);
  const { typical, step, min, max } = recipe.size;
  const near = [typical / 2, typical, typical * 2].map((size) => Math.round(size / step) * step);
  const sizes = [...new Set(near.map((size) => Math.min(max, Math.max(min, size))))];
  const input = recipe.noise;
  const timeMs = await measureTime({ plan, places, sizes, input, now, progress });
  const samples = testSamples;
  const accuracy = await measureAccuracy({ plan, recipe, codec, server, devices, samples, seed, now, progress });
  await Promise.all([...devices.values()].flat().map((session) => session.release()));
  return { machine, seed, samples, metrics: [...recipe.metrics], timeMs, ...accuracy };
}

function loadAll(runtime: Runtime, models: readonly Uint8Array[]): Promise<Session[]> {
  return Promise.all(models.map((model) => runtime.load(model)));
}

function sizeRatios(plan: Plan): Record<string, number> {
  const float = plan.segments.reduce((sum, { server }) => sum + server.bytes, 0);
  const targets = Object.keys(plan.segments[0]?.targets ?? {});
  return Object.fromEntries(
    targets.map((target) => [
      target,
      plan.segments.reduce((sum, { targets: files }) => sum + (files[target]?.bytes ?? 0), 0) / float,
    ]),
  );
}
