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
import { type Plan, type PlanMeasured, parsePlan, type TensorSpec, type Tier } from '../shared/plan.ts';
import type { Runtime, Session } from '../shared/runtime.ts';
import type { Tensors } from '../shared/tensor.ts';
import { assertReplaceable, CHOICE_FILE, planFile, RECORD_FILE, withPlanId, writeBundle } from './bundle.ts';
import type { ChosenCuts } from './choose-cuts.ts';
import { boundaryTiers } from './compress/boundary-tiers.ts';
import { chooseDeviceRecipe, type DeviceRecipe } from './compress/device-recipe.ts';
import { allBoundaries, boundarySpecs, twoSizes } from './cut/boundary-specs.ts';
import { buildProvenChain } from './cut/proven-chain.ts';
import type { Chain, ChainSegment } from './cut/segments.ts';
import { draftPlan, withoutTiers } from './draft-plan.ts';
import { type Model, operatorsOf } from './graph/graph.ts';
import { measureAccuracy } from './measure/accuracy.ts';
import { loadPlaces, type TimingPlaces } from './measure/places.ts';
import { isMeasurementOf, keptRecord, type MeasuredRecord, matchingRecord, measuredRecord } from './measure/record.ts';
import { measureTime } from './measure/time.ts';
import { readModel } from './onnx/read.ts';
import { prepareModel, readSourceBytes, sourceSha256 } from './prepare.ts';
import type { Progress } from './progress.ts';
import type { ModelRecipe } from './recipe.ts';
import { type ReportFusion, reportBoundaries } from './report/data.ts';
import { REPORT_FILE, reportPage } from './report/page.ts';
import { unfusedIn } from './report/unfused.ts';
import { inputCrossing, wholeOf } from './samples/crossing.ts';

export interface CompileRequest {
  readonly recipe: ModelRecipe;
  readonly outDir: string;
  /** The server's runtime, and each device target's. */
  readonly server: Runtime;
  readonly devices: ReadonlyMap<string, Runtime>;
  readonly pictures: PictureCodec;
  readonly choice?: ChosenCuts | undefined;
  /** Measure even where committed measurements, or those of an earlier run into the same folder, fit. */
  readonly measure: boolean;
  /** Store device segments in full precision. */
  readonly float: boolean;
  readonly seed: number;
  readonly calibrationSamples: number;
  readonly testSamples: number;
  /** Where segments are timed; asked for only where something is. */
  readonly timing: () => Promise<TimingPlaces>;
  readonly now: () => number;
  /** What a runtime makes of a model before it runs it. */
  readonly optimized: (model: Uint8Array, place: 'server' | 'device') => Promise<Model>;
  readonly progress: Progress;
}

export interface CompileResult {
  readonly plan: Plan;
  /** Whether the figures in the plan were measured now, or are the committed or earlier ones. */
  readonly isMeasuredNow: boolean;
  /** Bytes of all device segments over bytes of the same in float, by target. */
  readonly sizeRatio: Readonly<Record<string, number>>;
}

/** Characters that a plan's parser takes. */
const MACHINE_LENGTH_MAX = 1024;
const REMARK_SEPARATOR = '; ';

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
  const hash = sourceSha256(source, recipe);
  const committed = matchingRecord(recipe, hash);
  const kept = committed ?? (await keptRecord(request.outDir, recipe, hash, asked));
  const record = request.measure || request.float ? undefined : kept;
  const server = await loadAll(
    request.server,
    chain.segments.map(({ float }) => float),
  );
  stage('reading and cutting the model', 1);

  const draft = draftPlan(
    recipe,
    chain,
    { sha256: hash, bytes: source.byteLength },
    chain.segments.map(({ float }, i) => planFile(`${i + 1}.server.onnx`, float)),
  );
  const specs = await boundarySpecs(draft, server, recipe.noise).catch((error: unknown) => {
    throw asTandemError(
      error,
      'BAD_INPUT',
      `${recipe.source} does not run on its samples (sizes: --dim, --shape; or --samples)`,
    );
  });
  const tiers =
    record?.tiers ?? (await calibratedTiers(request, { ...draft, boundaries: withoutTiers(specs) }, server, specs));
  const boundaries = specs.map((tensors, k) => ({ tensors, tiers: [...(tiers[k] ?? [])] }));
  const cut = withPlanId({ ...draft, boundaries });

  const deviceRecipes = await chosenRecipes(request, cut, chain, record);
  const files = new Map<string, Uint8Array | string>();
  const planned = addFiles({ ...cut, assets: await addAssets(recipe, files) }, chain, deviceRecipes, files);
  const measured =
    record && isMeasurementOf(record, planned) ? record.measured : await measureAll(request, planned, chain, server);
  // What is written must be readable: the parser has the last word.
  const plan = parsePlan(
    { ...planned, measured: { ...measured, metrics: [...recipe.metrics] } },
    `the plan of ${recipe.name}`,
  );
  files.set(PLAN_FILE, `${JSON.stringify(plan)}\n`);
  const { choice } = request;
  const dropped = request.float ? [] : droppedFrom(plan);
  files.set(REPORT_FILE, reportPage({ plan, choice, dropped, ...(await reportParts(request, model, chain, plan)) }));
  if (choice) files.set(CHOICE_FILE, `${JSON.stringify(choice)}\n`);
  const isMeasuredNow = measured !== record?.measured;
  if (isMeasuredNow || !committed)
    files.set(RECORD_FILE, `${JSON.stringify(measuredRecord(plan, recipe, measured))}\n`);
  await writeBundle(request.outDir, files);
  await releaseAll([server]);
  return { plan, isMeasuredNow, sizeRatio: sizeRatios(plan) };
}

/** Compressed forms that were slower than float, and places that could not be timed. */
function droppedFrom({ segments, measured }: Plan): string[] {
  const slower = segments.flatMap(({ targets }, i) =>
    Object.entries(targets)
      .filter(([, { recipe }]) => recipe === 'float32')
      .map(([target]) => `segment ${i + 1} for ${target} in 8 bits: it measured slower than in full precision`),
  );
  return [...slower, ...(measured?.machine.split(REMARK_SEPARATOR).slice(1) ?? [])];
}

async function reportParts({ recipe, server, optimized }: CompileRequest, model: Model, chain: Chain, plan: Plan) {
  const fusions: ReportFusion[] = [];
  const [target] = Object.keys(plan.segments[0]?.targets ?? {});
  for (const [i, segment] of chain.segments.entries()) {
    const recipeOf = plan.segments[i]?.targets[target ?? '']?.recipe;
    const onDevice = (await optimized(deviceBytes(segment, recipeOf as DeviceRecipe), 'device')).graph;
    fusions.push({
      segment: i + 1,
      written: operatorsOf(readModel(segment.float, `segment ${i + 1}`).graph),
      server: operatorsOf((await optimized(segment.float, 'server')).graph),
      device: operatorsOf(onDevice),
      unfused: unfusedIn(onDevice),
    });
  }
  return { boundaries: await reportBoundaries(model, recipe, server), fusions };
}

/** Samples are run through the chain anew for each boundary and pass: memory does not grow with their number. */
function calibratedTiers(
  { recipe, calibrationSamples: total, seed, progress }: CompileRequest,
  plan: Plan,
  server: readonly Session[],
  specs: readonly TensorSpec[][],
): Promise<Tier[][]> {
  return boundaryTiers(recipe, specs, (k) => {
    let passes = 0;
    return async function* () {
      let done = 0;
      for await (const sample of recipe.samples('calibration', total, seed, wholeOf(plan, server))) {
        progress({ stage: `calibrating boundary ${k}`, done: passes * total + done++, total: 3 * total });
        const { tensors } = inputCrossing(plan, sample.input);
        const all = await allBoundaries(plan, server.slice(0, k), tensors);
        yield boundaryTensors(plan, k, all[k] as Tensors);
      }
      passes++;
    };
  });
}

/** How each target stores each segment: as committed, or by timing both forms on the target. */
async function chosenRecipes(
  request: CompileRequest,
  plan: Plan,
  chain: Chain,
  record: MeasuredRecord | undefined,
): Promise<Map<string, readonly DeviceRecipe[]>> {
  const chosen = new Map<string, readonly DeviceRecipe[]>();
  for (const target of request.devices.keys()) {
    const known = record?.deviceRecipes[target];
    if (request.float) {
      chosen.set(
        target,
        chain.segments.map(() => 'float32'),
      );
    } else if (known) {
      chosen.set(target, known);
    } else {
      chosen.set(target, await timedRecipes(request, plan, chain, target));
    }
  }
  return chosen;
}

async function timedRecipes(
  { recipe, devices, timing, now, progress }: CompileRequest,
  plan: Plan,
  { segments }: Chain,
  target: string,
): Promise<DeviceRecipe[]> {
  const runtime = ((await timing()).places.get(target)?.runtime ?? devices.get(target)) as Runtime;
  const load = (form: 'float' | 'int8') =>
    loadAll(
      runtime,
      segments.map((segment) => segment[form]),
    );
  const [float, int8] = [await load('float'), await load('int8')];
  const places = new Map([
    ['float', { plan, sessions: float }],
    ['int8', { plan, sessions: int8 }],
  ]);
  const times = await measureTime({ places, sizes: [recipe.size.typical], input: recipe.noise, now, progress });
  await releaseAll([float, int8]);
  return segments.map((_, i) => {
    const [int8Ms, floatMs] = [times['int8']?.[i], times['float']?.[i]];
    return int8Ms && floatMs ? chooseDeviceRecipe(int8Ms, floatMs, recipe.size) : 'float32';
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
  const { recipe, seed, testSamples, now, progress } = request;
  const codec: BoundaryCodec = boundaryCodec(plan, request.pictures);
  const modelsOf = (target: string) =>
    chain.segments.map((segment, i) =>
      deviceBytes(segment, plan.segments[i]?.targets[target]?.recipe as DeviceRecipe | undefined),
    );
  const timing = await request.timing();
  const { chains, remarks } = await loadPlaces(plan, timing.places, modelsOf, recipe.noise(recipe.size.typical));
  const places = new Map(
    [...([['server', server], ...chains] as const)].map(([name, sessions]) => [name, { plan, sessions }]),
  );
  const { typical, step, min, max } = recipe.size;
  const near = [typical / 2, typical, typical * 2].map((size) => Math.round(size / step) * step);
  const sizes = [...new Set(near.map((size) => Math.min(max, Math.max(min, size))))];
  const input = recipe.noise;
  const timeMs = await measureTime({ places, sizes, input, now, progress });
  await releaseAll([...chains.values()]);
  const devices = new Map<string, Session[]>();
  for (const [target, runtime] of request.devices) devices.set(target, await loadAll(runtime, modelsOf(target)));
  const samples = testSamples;
  const accuracy = await measureAccuracy({
    ...{ plan, recipe, codec, server, devices, split: 'test', samples, seed, now, progress },
  });
  await releaseAll([...devices.values()]);
  const machine = [timing.machine, ...remarks].join(REMARK_SEPARATOR).slice(0, MACHINE_LENGTH_MAX);
  return { machine, seed, samples, metrics: [...recipe.metrics], timeMs, ...accuracy };
}

function loadAll(runtime: Runtime, models: readonly Uint8Array[]): Promise<Session[]> {
  return Promise.all(models.map((model) => runtime.load(model)));
}

async function releaseAll(chains: readonly (readonly Session[])[]): Promise<void> {
  await Promise.all(chains.flat().map((session) => session.release()));
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
