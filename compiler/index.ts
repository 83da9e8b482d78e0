/** The compiler's entry: `compile` and `verify` with onnxruntime plugged in. */

import { readFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { folderSource } from '../runtimes/bundle-folder.ts';
import { parallelRuntime } from '../runtimes/onnxruntime-node-parallel.ts';
import { sharpPictures } from '../runtimes/pictures-sharp.ts';
import { readPlan, readPlanFile } from '../shared/bundle.ts';
import { TandemError } from '../shared/errors.ts';
import { choiceKey, keptChoice } from './choice-record.ts';
import { type ChooseRequest, type ChosenCuts, chooseCuts } from './choose-cuts.ts';
import { type CompileResult, compileModel } from './compile.ts';
import type { CompileRequest } from './compile-request.ts';
import type { Pin } from './compress/segment-recipe.ts';
import { DEFAULT_PROFILES, type Profile } from './cut/choose.ts';
import { verifyGraph } from './graph/verify.ts';
import { type InspectedModel, type Inspection, type InspectOptions, inspectModel } from './inspect.ts';
import { isMeasurementOf, matchingRecord } from './measure/record.ts';
import { readModelFile } from './onnx/files.ts';
import { assertSendable, prepareModel, readSourceBytes, sourceSha256 } from './prepare.ts';
import { leakageBudget } from './privacy/plan-leakage.ts';
import type { Progress } from './progress.ts';
import type { ModelRecipe } from './recipe.ts';
import { isAsNow, REPORT_FILE } from './report/page.ts';
import { deviceRuntime, literalRuntime, optimizedModel, serverRuntime, timingPlaces } from './runtimes.ts';
import type { CompressionBudget } from './search/search-recipes.ts';
import { type GivenTolerances, tolerancesOf } from './tolerances.ts';
import { type VerifyReport, verifyBundle } from './verify.ts';

export { assertReplaceable } from './bundle.ts';
export type { ChosenCuts } from './choose-cuts.ts';
export type { CompileResult } from './compile.ts';
export { type CompileConfig, configuredRecipe, parseCompileConfig } from './config.ts';
export { type Candidate, DEFAULT_PROFILES, type Profile } from './cut/choose.ts';
export type { InspectedBoundary, InspectedModel, InspectedTensor, Inspection } from './inspect.ts';
export { readSourceBytes } from './prepare.ts';
export { PRIVACY_BAR, withinBar } from './privacy/bar.ts';
export { defenceText } from './privacy/reconstructions.ts';
export type { Progress, ProgressEvent } from './progress.ts';
export type { ModelRecipe, Sample } from './recipe.ts';
export { type AnyModelOptions, anyModelRecipe } from './samples/any-model.ts';
export { readNpz } from './samples/npy.ts';
export type { Dims } from './samples/random.ts';
export type { Tolerances } from './tolerances.ts';
export type { VerifyReport, VerifyRow } from './verify.ts';

type GivenBudget = { readonly [Name in keyof CompressionBudget]?: CompressionBudget[Name] | undefined };

export interface CompileOptions {
  /** Where each device runs the chain; default `['wasm']`. */
  readonly targets?: readonly string[] | undefined;
  /** Path of a Chromium to time the target wasm in; without one, onnxruntime-web under Node stands for it. */
  readonly browser?: string | undefined;
  /** Measure again even where committed measurements fit. */
  readonly measure?: boolean | undefined;
  /** Measure what boundaries give away of the input, which takes minutes; else it is as it was measured before, if it was. */
  readonly leakage?: boolean | undefined;
  /** How the recipe's cuts were chosen: kept with the bundle, and in its report. */
  readonly choice?: ChosenCuts | undefined;
  /** Keep device segments in full precision. */
  readonly float?: boolean | undefined;
  /** What compressing may cost; what is not said is as by default. */
  readonly budget?: GivenBudget | undefined;
  /** Forms that layers are to have. */
  readonly pins?: readonly Pin[] | undefined;
  /** Seed of calibration and test samples; default 1. */
  readonly seed?: number | undefined;
  /** Labelled samples that accuracy is measured on, 1 or more; default 500. */
  readonly samples?: number | undefined;
  readonly progress?: Progress | undefined;
}

/** Throws BAD_MODEL or UNSUPPORTED for a file that the compiler cannot read as a legal model. */
export function checkModelFile(path: string): void {
  verifyGraph(readModelFile(path).graph, path);
}

/** Whether `dir` holds the whole bundle that compiling this recipe with its committed measurements would make. */
export async function isCurrent(recipe: ModelRecipe, dir: string): Promise<boolean> {
  try {
    const bundle = folderSource(dir);
    const plan = await readPlan(bundle);
    const record = matchingRecord(recipe, sourceSha256(await readSourceBytes(recipe), recipe));
    if (record === undefined || !isMeasurementOf(record, plan)) return false;
    const files = plan.segments.flatMap(({ server, targets }) => [server, ...Object.values(targets)]);
    for (const file of [...files, ...Object.values(plan.assets)]) await readPlanFile(bundle, file);
    return isAsNow(await readFile(join(dir, REPORT_FILE), 'utf8'));
  } catch {
    // No bundle, or a broken one: compiling replaces it.
    return false;
  }
}

/** Each has all of a model's segments in memory. */
const THREADS_MAX = 4;
const CALIBRATION_SAMPLES = 64;
const HELD_OUT_SAMPLES = 300;

// Of a few hundred samples: with more than that a metric that holds on them was seen to lose points on others.
const ANSWERS_CHANGED_MAX = 0.05;

/** By default half a point may be lost of what is better the higher it is; an error may grow by two hundredths. */
function budgetOf({ metrics: [metric] }: ModelRecipe, given: GivenBudget = {}): CompressionBudget {
  const accuracyDropMax = given.accuracyDropMax ?? (metric?.isHigherBetter ? 0.005 : 0.02);
  const answersChangedMax = given.answersChangedMax ?? ANSWERS_CHANGED_MAX;
  return { ...given, accuracyDropMax, answersChangedMax };
}

/** What is asked of compression, as text; undefined where that is the default. */
function askedOf(recipe: ModelRecipe, { float = false, budget, pins = [] }: CompileOptions): string | undefined {
  const text = (given?: GivenBudget) => JSON.stringify(Object.entries(budgetOf(recipe, given)).sort());
  const asked = [text(budget), pins, float] as const;
  return float || pins.length > 0 || asked[0] !== text() ? JSON.stringify(asked) : undefined;
}

/**
 * Compiles a model into a bundle folder, replacing the bundle that is there.
 * @throws TandemError BAD_MODEL, UNSUPPORTED, BAD_CUT, BAD_CONFIG, NOT_FOUND or USAGE
 */
export async function compile(
  recipe: ModelRecipe,
  outDir: string,
  options: CompileOptions = {},
): Promise<CompileResult> {
  const targets = options.targets ?? ['wasm'];
  assertSome(options.samples);
  const timing = timingPlaces(targets, options.browser);
  const many = parallelRuntime(Math.min(THREADS_MAX, availableParallelism()));
  const request: CompileRequest = {
    recipe,
    outDir,
    earlier: folderSource(outDir),
    server: serverRuntime(),
    devices: new Map(targets.map((target) => [target, deviceRuntime(target)])),
    many: many.runtime,
    literal: literalRuntime(),
    pictures: sharpPictures(sharp),
    choice: options.choice,
    measure: options.measure ?? false,
    asked: askedOf(recipe, options),
    leakage: options.leakage ? leakageBudget(recipe) : undefined,
    float: options.float ?? false,
    seed: options.seed ?? 1,
    budget: budgetOf(recipe, options.budget),
    pins: options.pins ?? [],
    calibrationSamples: CALIBRATION_SAMPLES,
    heldOutSamples: HELD_OUT_SAMPLES,
    testSamples: options.samples ?? 500,
    now: () => performance.now(),
    optimized: optimizedModel,
    timing: timing.open,
    progress: options.progress ?? (() => {}),
  };
  return compileModel(request).finally(() => Promise.all([timing.close(), many.close()]));
}

export interface ChooseOptions {
  /** Boundaries to choose, K-1. */
  readonly count: number;
  /** Tensors of one boundary at most. */
  readonly tensorsMax: number;
  /** The device target that heads are timed on. */
  readonly target: string;
  readonly profiles?: readonly Profile[] | undefined;
  readonly tolerances?: GivenTolerances | undefined;
  /** As in CompileOptions. */
  readonly browser?: string | undefined;
  /** Where the bundle will go: what an earlier run left there is taken. */
  readonly outDir?: string | undefined;
  readonly progress?: Progress | undefined;
}

/**
 * The boundaries that serve the profiles best, by measuring; or as an earlier run into the same folder measured them.
 * @throws BAD_MODEL, BAD_INPUT; BAD_CUT where there are none
 */
export async function choose(recipe: ModelRecipe, options: ChooseOptions): Promise<ChosenCuts> {
  const { count, tensorsMax, target, browser, outDir, progress = () => {} } = options;
  const { accuracyDropMax } = tolerancesOf(options.tolerances);
  const asked = { recipe, count, tensorsMax, accuracyDropMax, profiles: options.profiles ?? DEFAULT_PROFILES };
  const source = await readSourceBytes(recipe);
  const key = choiceKey(sourceSha256(source, recipe), { ...asked, target });
  const kept = outDir === undefined ? undefined : await keptChoice(outDir, key);
  if (kept) return kept;
  const server = serverRuntime();
  const timing = timingPlaces([target], browser);
  try {
    const { places } = await timing.open();
    const request: ChooseRequest = {
      ...{
        ...asked,
        server,
        literal: literalRuntime(),
        progress,
        device: places.get(target)?.runtime ?? deviceRuntime(target),
      },
      model: assertSendable(await prepareModel(source, recipe, server), recipe),
      ...{ pictures: sharpPictures(sharp), now: () => performance.now() },
    };
    return await chooseCuts(request, key);
  } finally {
    await timing.close();
  }
}

/** What a model is made of and where it can be cut. Throws NOT_FOUND or BAD_MODEL. */
export function inspect(model: InspectedModel, options: Omit<InspectOptions, 'runtime'>): Promise<Inspection> {
  return inspectModel(model, { ...options, runtime: literalRuntime() });
}

export interface VerifyOptions {
  readonly tolerances?: GivenTolerances | undefined;
  /** Labelled samples to compare on, 1 or more; default 32. */
  readonly samples?: number | undefined;
  readonly seed?: number | undefined;
  readonly progress?: Progress | undefined;
}

/**
 * Compares a bundle with the model that it was compiled from. Writes nothing.
 * @throws TandemError BAD_BUNDLE, BAD_PLAN or NOT_FOUND
 */
export async function verify(recipe: ModelRecipe, dir: string, options: VerifyOptions = {}): Promise<VerifyReport> {
  assertSome(options.samples);
  return verifyBundle({
    bundle: folderSource(dir),
    recipe,
    server: serverRuntime(),
    deviceRuntime,
    samples: options.samples ?? 32,
    seed: options.seed ?? 1,
    tolerances: tolerancesOf(options.tolerances),
    progress: options.progress ?? (() => {}),
  });
}

function assertSome(samples: number | undefined): void {
  if (samples !== undefined && !(samples >= 1)) {
    throw new TandemError('USAGE', `expected one sample or more to measure on, got ${samples}`);
  }
}
