/**
 * Whether a bundle is what it claims to be. Only reads. Two questions at every k, on labelled samples: does the
 * full-precision chain equal the whole model (boundary by boundary, and on from each boundary), and how far is the
 * compressed head from it.
 */
import { type BundleSource, readPlan, readPlanFile } from '../shared/bundle.ts';
import { checkSession, runSegments } from '../shared/chain.ts';
import { unpackModel } from '../shared/codec/weights.ts';
import { TandemError } from '../shared/errors.ts';
import { depthOf, namesAt, type Plan } from '../shared/plan.ts';
import type { Runtime, Session } from '../shared/runtime.ts';
import type { Tensors } from '../shared/tensor.ts';
import { allBoundaries } from './cut/boundary-specs.ts';
import { largestError, relativeError, worstError } from './measure/error.ts';
import { loadModel } from './onnx/load.ts';
import { prepareModel, readSource, readSourceBytes, sourceSha256, withTaps } from './prepare.ts';
import type { Progress } from './progress.ts';
import type { ModelRecipe } from './recipe.ts';
import { inputCrossing } from './samples/crossing.ts';
import type { Tolerances } from './tolerances.ts';

export interface VerifyRow {
  /** Segments 1..k on the device, the rest on the server. */
  readonly k: number;
  readonly boundary: readonly string[];
  /** Full precision: relative error of boundary k, and of the outputs made from the whole model's boundary k. */
  readonly floatBoundaryError: number;
  readonly floatOutputError: number;
  /** Largest single difference in either, over the largest value of its tensor. */
  readonly floatLargestError: number;
  /** Answers that the full-precision chain gives differently from the whole model. */
  readonly floatAnswersChanged: number;
  /** By device target: relative error of boundary k, and share of answers that differ from the whole model's. */
  readonly compressed: Readonly<Record<string, { readonly boundaryError: number; readonly answersChanged: number }>>;
  readonly holds: boolean;
}

export interface VerifyReport {
  readonly plan: Plan;
  readonly samples: number;
  readonly tolerances: Tolerances;
  readonly rows: readonly VerifyRow[];
  readonly holds: boolean;
}

export interface VerifyRequest {
  readonly bundle: BundleSource;
  /** The recipe that the bundle was compiled with. */
  readonly recipe: ModelRecipe;
  readonly server: Runtime;
  readonly deviceRuntime: (target: string) => Runtime;
  readonly samples: number;
  readonly seed: number;
  readonly tolerances: Tolerances;
  readonly progress: Progress;
}

/** @throws BAD_BUNDLE, BAD_PLAN; NOT_FOUND where the source model is not at hand, or is another */
export async function verifyBundle(request: VerifyRequest): Promise<VerifyReport> {
  const { bundle, recipe, samples, seed, tolerances, progress } = request;
  const plan = await readPlan(bundle);
  const chains = await loadChains(request, plan);
  const whole = await loadWhole(request, plan);
  const state = Array.from({ length: depthOf(plan) + 1 }, () => new ErrorsAtK());
  let done = 0;
  for await (const { input } of recipe.samples('test', samples, seed, whole.run)) {
    progress({ stage: 'comparing chain and whole model', done: done++, total: samples });
    await compareSample(plan, recipe, { whole, ...chains }, inputCrossing(plan, input).tensors, state);
  }
  const rows = state.map((errors, k) => errors.row(plan, k, samples, tolerances));
  return { plan, samples, tolerances, rows, holds: rows.every((row) => row.holds) };
}

interface Chains {
  readonly server: readonly Session[];
  readonly devices: ReadonlyMap<string, readonly Session[]>;
}

/** Also checks the hash of every file that the plan names. */
async function loadChains({ bundle, server, deviceRuntime }: VerifyRequest, plan: Plan): Promise<Chains> {
  const load = async (runtime: Runtime, files: readonly Plan['segments'][number]['server'][]) => {
    const sessions: Session[] = [];
    for (const [k, file] of files.entries()) {
      const session = await runtime.load(unpackModel(await readPlanFile(bundle, file)));
      checkSession(plan, session, k);
      sessions.push(session);
    }
    return sessions;
  };
  for (const asset of Object.values(plan.assets)) await readPlanFile(bundle, asset);
  const devices = new Map<string, readonly Session[]>();
  for (const target of Object.keys(plan.segments[0]?.targets ?? {})) {
    const files = plan.segments.map(({ targets }) => {
      const file = targets[target];
      if (!file) throw new TandemError('BAD_PLAN', `a segment has no file for target ${target}, others do`);
      return file;
    });
    devices.set(target, await load(deviceRuntime(target), files));
  }
  return {
    server: await load(
      server,
      plan.segments.map((segment) => segment.server),
    ),
    devices,
  };
}

/**
 * The whole model with all inner boundaries, as it is in its file; where that has them in bodies that were inlined, its
 * outputs come from the file as it is and the boundaries from the inlined model.
 */
async function loadWhole({ recipe, server }: VerifyRequest, plan: Plan): Promise<Pick<Session, 'run'>> {
  const source = await sourceBytes(recipe, plan);
  const taps = innerTensors(plan);
  const untouched = readSource(source, recipe);
  const made = new Set(untouched.graph.nodes.flatMap(({ outputs }) => outputs));
  if (taps.every((name) => made.has(name) || untouched.graph.inputs.some((input) => input.name === name))) {
    return loadModel(server, withTaps(untouched, taps));
  }
  const [whole, inlined] = [
    await loadModel(server, untouched),
    await loadModel(server, withTaps(await prepareModel(source, recipe, server), taps)),
  ];
  return { run: async (feeds) => ({ ...(await inlined.run(feeds)), ...(await whole.run(feeds)) }) };
}

async function sourceBytes(recipe: ModelRecipe, plan: Plan): Promise<Uint8Array> {
  const source = await readSourceBytes(recipe);
  if (sourceSha256(source, recipe) !== plan.model.sha256) {
    throw new TandemError('NOT_FOUND', `${recipe.source} here is not the file that this bundle was compiled from`);
  }
  return source;
}

function innerTensors(plan: Plan): string[] {
  return [...new Set(plan.boundaries.slice(1, -1).flatMap(({ tensors }) => tensors.map(({ name }) => name)))];
}

async function compareSample(
  plan: Plan,
  recipe: ModelRecipe,
  { whole, server, devices }: Chains & { whole: Pick<Session, 'run'> },
  input: Tensors,
  state: readonly ErrorsAtK[],
): Promise<void> {
  const depth = depthOf(plan);
  const expected: Tensors = { ...input, ...(await whole.run(input)) };
  const outputNames = namesAt(plan, depth);
  const answer = recipe.answer(expected);
  const floatBoundaries = await allBoundaries(plan, server, input);
  const tail = (k: number, tensors: Tensors) => runSegments(plan, server, { from: k, to: depth, tensors });
  for (const [k, errors] of state.entries()) {
    const names = namesAt(plan, k);
    const boundary = floatBoundaries[k] as Tensors;
    const outputs = await tail(k, expected);
    errors.float({
      boundary: worstError(names, boundary, expected, relativeError),
      output: worstError(outputNames, outputs, expected, relativeError),
      largest: Math.max(
        worstError(names, boundary, expected, largestError),
        worstError(outputNames, outputs, expected, largestError),
      ),
      answerChanged: recipe.answer(outputs) !== answer,
    });
  }
  for (const [target, sessions] of devices) {
    const boundaries = await allBoundaries(plan, sessions, input);
    for (const [k, errors] of state.entries()) {
      const names = namesAt(plan, k);
      const tensors = boundaries[k] as Tensors;
      const changed = recipe.answer(k === depth ? tensors : await tail(k, tensors)) !== answer;
      // Outputs are classes and scores: for them the answer tells, not a distance.
      errors.compressed(target, k === depth ? 0 : worstError(names, tensors, expected, relativeError), changed);
    }
  }
}

/** What was seen at one k, over all samples. */
class ErrorsAtK {
  private boundary = 0;
  private output = 0;
  private largest = 0;
  private answersChanged = 0;
  private readonly targets = new Map<string, { boundaryError: number; changed: number }>();

  float(seen: { boundary: number; output: number; largest: number; answerChanged: boolean }): void {
    this.boundary = Math.max(this.boundary, seen.boundary);
    this.output = Math.max(this.output, seen.output);
    this.largest = Math.max(this.largest, seen.largest);
    if (seen.answerChanged) this.answersChanged++;
  }

  compressed(target: string, error: number, changed: boolean): void {
    const seen = this.targets.get(target) ?? { boundaryError: 0, changed: 0 };
    const boundaryError = Math.max(seen.boundaryError, error);
    this.targets.set(target, { boundaryError, changed: seen.changed + (changed ? 1 : 0) });
  }

  row(plan: Plan, k: number, samples: number, tolerances: Tolerances): VerifyRow {
    const { floatErrorMax, floatLargestErrorMax, answersChangedMax } = tolerances;
    const compressed = Object.fromEntries(
      [...this.targets].map(([target, { boundaryError, changed }]) => [
        target,
        { boundaryError, answersChanged: changed / samples },
      ]),
    );
    const holds =
      this.boundary <= floatErrorMax &&
      this.output <= floatErrorMax &&
      this.largest <= floatLargestErrorMax &&
      this.answersChanged === 0 &&
      Object.entries(compressed).every(
        ([target, { boundaryError, answersChanged }]) =>
          boundaryError <= compressedLimit(plan, target, k, tolerances) && answersChanged <= answersChangedMax,
      );
    return {
      k,
      boundary: namesAt(plan, k),
      floatBoundaryError: this.boundary,
      floatOutputError: this.output,
      floatLargestError: this.largest,
      floatAnswersChanged: this.answersChanged,
      compressed,
      holds,
    };
  }
}

function compressedLimit({ measured }: Plan, target: string, k: number, tolerances: Tolerances): number {
  const { floatErrorMax, compressedErrorGrowthMax, compressedErrorMax } = tolerances;
  const seen = measured?.boundaryErrors[target]?.[k];
  // Rounding alone may move what was stored in full precision.
  return seen === undefined ? compressedErrorMax : Math.max(floatErrorMax, compressedErrorGrowthMax * seen);
}
