/**
 * Source model -> bundle, step by step: cut into a chain, find the boundaries' shapes, calibrate the tiers, compress
 * for each target, measure, write. Runtimes come in as arguments; index.ts is where they are chosen.
 */
import { readFile } from 'node:fs/promises';
import { extname, relative } from 'node:path';
import { PLAN_FILE } from '../shared/bundle.ts';
import { segmentInputs } from '../shared/chain.ts';
import { goldenAnswer, goldenInput } from '../shared/golden.ts';
import type { Plan, TensorSpec, Tier } from '../shared/plan.ts';
import { parsePlan } from '../shared/plan-schema.ts';
import type { Runtime } from '../shared/runtime.ts';
import type { Tensors } from '../shared/tensor.ts';
import { assertReplaceable, CHOICE_FILE, planFile, RECORD_FILE, withPlanId, writeBundle } from './bundle.ts';
import type { CompileRequest } from './compile-request.ts';
import { boundaryTiers } from './compress/boundary-tiers.ts';
import { storedLayersOf } from './compress/layers.ts';
import { packModel } from './compress/pack-weights.ts';
import { assertPinned, recipeDigest, recipeText, type SegmentRecipe } from './compress/segment-recipe.ts';
import { type CompressedChain, compressChain, forgetSearches } from './compress-chain.ts';
import { boundarySpecs, twoSizes } from './cut/boundary-specs.ts';
import { buildProvenChain } from './cut/proven-chain.ts';
import type { Chain, ChainSegment } from './cut/segments.ts';
import { draftPlan, withoutTiers } from './draft-plan.ts';
import { measurePlan } from './measure/plan-figures.ts';
import { isMeasurementOf, keptRecord, matchingRecord, measuredRecord } from './measure/record.ts';
import { loadAll, releaseAll } from './measure/sessions.ts';
import { assertSendable, notRunning, prepareModel, readSourceBytes, sourceSha256 } from './prepare.ts';
import { planLeakage } from './privacy/plan-leakage.ts';
import type { ModelRecipe } from './recipe.ts';
import { REPORT_FILE, reportPage } from './report/page.ts';
import { reportData } from './report/parts.ts';
import { calibrationFlows, type Flows } from './samples/flows.ts';

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
  assertSendable(model, recipe);
  const noise = twoSizes(recipe.size).map(recipe.noise);
  const chain = await buildProvenChain(model, recipe.cuts, request.server, noise);
  const layers = chain.segments.flatMap((segment) => storedLayersOf(segment.model.graph).map(({ name }) => name));
  assertPinned(request.pins, layers);
  const measuredOn = { samples: request.testSamples, seed: request.seed };
  const hash = sourceSha256(source, recipe);
  const committed = matchingRecord(recipe, hash);
  const earlier = await keptRecord(request.outDir, recipe, hash, measuredOn);
  const found = [committed, earlier].find((one) => one && one.asked === request.asked);
  const record = request.measure || request.float ? undefined : found;
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
  const specs = await boundarySpecs(draft, server, recipe.noise).catch(notRunning(recipe));
  const flows = calibrationFlows(request, { ...draft, boundaries: withoutTiers(specs) }, server);
  const tiers = record?.tiers ?? (await calibratedTiers(request, chain, flows, specs));
  const boundaries = specs.map((tensors, k) => ({ tensors, tiers: [...(tiers[k] ?? [])] }));
  const cut = withPlanId({ ...draft, boundaries });

  const compressed = await compressChain(request, cut, chain, server, flows, record);
  const files = new Map<string, Uint8Array | string>();
  const assets = await addAssets(recipe, files);
  const planned = addFiles({ ...cut, assets }, chain, compressed, await goldenAnswers(request, cut, compressed), files);
  const measured =
    record && isMeasurementOf(record, planned)
      ? record.measured
      : await measurePlan(request, planned, chain, compressed, server);
  const { leakage, pictures } = await planLeakage(request, planned, chain, server, found ?? committed ?? earlier);
  // What is written must be readable: the parser has the last word.
  const plan = parsePlan(
    {
      ...planned,
      model: { ...planned.model, source: sourceSeenFrom(request.outDir, recipe) },
      measured: { ...measured, metrics: [...recipe.metrics], ...(leakage && { leakage }) },
    },
    `the plan of ${recipe.name}`,
  );
  files.set(PLAN_FILE, `${JSON.stringify(plan)}\n`);
  files.set(
    REPORT_FILE,
    reportPage({ ...(await reportData(request, model, chain, plan, compressed, files)), pictures }),
  );
  if (request.choice) files.set(CHOICE_FILE, `${JSON.stringify(request.choice)}\n`);
  const isMeasuredNow = measured !== record?.measured;
  if (isMeasuredNow || request.leakage || record !== committed) {
    const figures = leakage ? { ...measured, leakage } : measured;
    const own = { ...measuredRecord(plan, recipe, compressed, figures, pictures), asked: request.asked };
    files.set(RECORD_FILE, `${JSON.stringify(own)}\n`);
  }
  await writeBundle(request.outDir, files);
  await forgetSearches(request);
  await releaseAll([server]);
  return { plan, isMeasuredNow, sizeRatio: sizeRatios(plan) };
}

function calibratedTiers(
  { recipe, calibrationSamples: total, progress }: CompileRequest,
  { segments }: Chain,
  flows: Flows,
  specs: readonly TensorSpec[][],
): Promise<Tier[][]> {
  return boundaryTiers(recipe, specs, segments, (k) => {
    let passes = 0;
    return async function* () {
      let done = 0;
      for await (const tensors of flows(k)) {
        progress({ stage: `calibrating boundary ${k}`, done: passes * total + done++, total: 3 * total });
        yield (specs[k] ?? []).map(({ name }) => tensors[name] as Tensors[string]);
      }
      passes++;
    };
  });
}

/** By target and segment; null where the known input is none that the segment gives numbers for (roots of what is below 0), or runs on. */
type GoldenAnswers = ReadonlyMap<string, readonly (number[][] | null)[]>;

/** What each device segment answers to the known input, on the runtime that stands for its target. */
async function goldenAnswers(
  { devices }: CompileRequest,
  plan: Plan,
  compressed: CompressedChain,
): Promise<GoldenAnswers> {
  const answers = new Map<string, (number[][] | null)[]>();
  for (const [target, { models }] of compressed) {
    const sessions = await loadAll(devices.get(target) as Runtime, models);
    const own: (number[][] | null)[] = [];
    for (const [k, session] of sessions.entries()) {
      // A known index may be none that the segment's tables have.
      const outputs = await session.run(segmentInputs(plan, k, goldenInput(plan, k))).catch(() => ({}) as Tensors);
      own.push(comparableAnswer(outputs, plan.segments[k]?.outputs ?? []));
    }
    await releaseAll([sessions]);
    answers.set(target, own);
  }
  return answers;
}

/** Null for what is no number, and for half precision, whose bits are far apart where its values are not. */
function comparableAnswer(outputs: Tensors, names: readonly string[]): number[][] | null {
  if (names.some((name) => (outputs[name]?.dtype ?? 'float16') === 'float16')) return null;
  const answer = goldenAnswer(outputs, names);
  return answer.flat().every(Number.isFinite) ? answer : null;
}

function addFiles(
  plan: Plan,
  chain: Chain,
  compressed: CompressedChain,
  golden: GoldenAnswers,
  files: Map<string, Uint8Array | string>,
): Plan {
  const segments = plan.segments.map((segment, i) => {
    const source = chain.segments[i] as ChainSegment;
    files.set(segment.server.file, source.float);
    const targets = [...compressed].map(([target, { recipes, models }]) => {
      const recipe = recipes[i] as SegmentRecipe;
      const { bytes, isPacked } = packModel(models[i] as Uint8Array);
      const file = planFile(`${i + 1}.${target}.${isPacked ? 'packed' : 'onnx'}`, bytes);
      files.set(file.file, bytes);
      const told = { recipe: recipeText(recipe), recipeSha256: recipeDigest(recipe) };
      const answer = golden.get(target)?.[i];
      const known = { ...(isPacked && { encoding: 'packed' as const }), ...(answer && { golden: answer }) };
      return [target, { ...file, ...told, ...known }] as const;
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

/** Every visitor may read a plan: of a file that nobody wrote a recipe for it has the way from the bundle, not where both lie. */
function sourceSeenFrom(dir: string, { source, file }: CompileRequest['recipe']): string {
  return source === file ? relative(dir, file) : source;
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
