/**
 * How every layer is to be compressed for one target: a knapsack makes a front of recipes of what each form of each layer
 * saves and costs, all of them are tried on held-out samples, and the cheapest within the budget is timed against full
 * precision and verified at every k, on samples that nothing was chosen by. What does not hold is put back.
 */
import { depthOf } from '../../shared/plan.ts';
import type { Runtime } from '../../shared/runtime.ts';
import type { LayerForm, SegmentRecipe } from '../compress/segment-recipe.ts';
import type { Model } from '../graph/graph.ts';
import { measureForms } from './forms.ts';
import {
  type Candidate,
  candidateOf,
  cheapest,
  type FormCost,
  type LayerItem,
  paretoFront,
  storedForm,
  type Totals,
  withoutWorst,
} from './front.ts';
import { withHalf } from './half.ts';
import { firstOf, type HeadLoss, type HeldOut } from './held-out.ts';
import { storedBytes } from './stored-bytes.ts';
import { GAIN_MIN, lostBy, recipesOf, type TrialsRequest, timeOf } from './trials.ts';
import { withoutUnfused } from './without-unfused.ts';

/** What a recipe may cost. */
export interface CompressionBudget {
  /** How much worse the model's first metric may become, with the compressed head up to any k. */
  readonly accuracyDropMax: number;
  /** Share of answers that may become others: a metric may stay the same by chance. */
  readonly answersChangedMax: number;
  /** Share of the multiply-accumulates to come down to, where the rest of the budget allows. */
  readonly macsShare?: number | undefined;
  /** Whether weights are fitted before they are rounded: smaller files for the same answers, after a longer search. */
  readonly fit?: boolean | undefined;
  /** Of all device segments together, as they are stored. */
  readonly bytesMax?: number | undefined;
  /** Of all device segments together on the target, over what they take in float. */
  readonly timeMax?: number | undefined;
}

export interface SearchRequest extends TrialsRequest {
  /** Runs the target's segments here, as they will be run there: the recipe that is taken is verified on it. */
  readonly device: Runtime;
  /** Samples that nothing was chosen by: what was best on those of `heldOut` is in part so by chance. */
  readonly verification: HeldOut;
  readonly budget: CompressionBudget;
}

/** A point of the front, as it was tried. */
export interface TriedRecipe extends Totals, HeadLoss {
  /** Predicted. */
  readonly loss: number;
}

/** What the report tells of a search. */
export interface SearchRecord {
  readonly float: Totals;
  readonly accuracyDropMax: number;
  /** With the whole chain on the device. */
  readonly front: readonly TriedRecipe[];
  /** With the worst loss of all k, and the time that was measured. */
  readonly chosen: TriedRecipe;
  /** What was put back, and why. */
  readonly reverted: readonly string[];
  readonly layers: readonly (Omit<LayerItem, 'options'> & {
    readonly form: LayerForm;
    readonly options: readonly FormCost[];
  })[];
}

export interface SearchResult {
  readonly recipes: readonly SegmentRecipe[];
  readonly record: SearchRecord;
}

/** How much slower than float a segment may measure: storage forms run the same folded graph, so a difference is noise. */
const SLOWDOWN_MAX = 1.15;
/** Recipes that are tried beyond the front, where it crosses the budget. */
const REFINEMENTS = 3;
/** Samples that are run on the device itself: that takes five to ten times as long. */
const DEVICE_SAMPLES = 150;
/** What is left of the predicted loss after a step back. */
const LOSS_STEP = 0.7;

export async function searchRecipes(request: SearchRequest): Promise<SearchResult> {
  const { budget, journal, models, originals } = request;
  const items = await measureForms(request);
  const ms = await journal.once('time of float', () => timeOf(request));
  const bytesOf = (all: readonly Model[]) => all.reduce((sum, model) => sum + storedBytes(model), 0);
  const float = { bytes: bytesOf(originals), timeMs: sumOf(ms.float) };
  /** What no form was given to: the chain that forms are chosen for. */
  const bare = { bytes: bytesOf(models), timeMs: sumOf(ms.compressed) };
  const timeMaxMs = budget.timeMax === undefined ? undefined : budget.timeMax * float.timeMs;
  const reverted: string[] = [];
  const within = paretoFront(items, bare, { bytesMax: budget.bytesMax, timeMaxMs });
  const candidates = within.length > 0 ? within : paretoFront(items, bare);
  if (within.length === 0) reverted.push(outOfReach(budget, candidates));
  const front = await tryOnHeldOut(request, items, candidates);
  await refine(request, items, bare, timeMaxMs, front);
  const best = front.findLast(({ lost }) => isWithin(budget, lost)) ?? front[0];
  const fused = await withoutUnfused(request, items, best?.candidate ?? inFloat(items, bare), bare, reverted);
  const timed = await withoutSlow(request, items, fused, bare, reverted);
  const { candidate, lost } = await withinBudget(request, items, timed, bare, reverted);
  const found = { recipes: recipesOf(request, items, candidate), lost };
  const half = await withHalf(
    request,
    found,
    (recipes) => verified({ ...request, device: request.place }, recipes),
    reverted,
  );
  const timeMs = candidate.timeMs * half.timeShare;
  return {
    recipes: half.recipes,
    record: {
      ...{ float, accuracyDropMax: budget.accuracyDropMax, reverted },
      front: front.map((point) => triedOf(point.candidate, point.lost)),
      chosen: triedOf({ ...candidate, timeMs }, half.lost),
      layers: items.map((item, i) => ({ ...item, form: candidate.forms[i]?.form ?? 'float32' })),
    },
  };
}

function outOfReach({ bytesMax, timeMax }: CompressionBudget, all: readonly Candidate[]): string {
  const least = Math.min(...all.map(({ bytes }) => bytes));
  const limits = Object.entries({ bytesMax, timeMax }).flatMap(([name, max]) =>
    max === undefined ? [] : `${name} ${max}`,
  );
  return `the limits: no recipe keeps ${limits.join(' and ')}, the smallest has ${least} bytes; it was chosen without them`;
}

interface Point {
  readonly candidate: Candidate;
  readonly lost: HeadLoss;
}

/**
 * All of them; where each has to be fitted first, which takes most of a minute, by halving until it is known between which two the
 * budget is crossed: what loses more than one that does not hold will not hold either.
 */
async function tryOnHeldOut(
  request: SearchRequest,
  items: readonly LayerItem[],
  candidates: readonly Candidate[],
): Promise<Point[]> {
  const { plan, budget, many, progress, refit } = request;
  const front: Point[] = [];
  let [holds, fails] = [-1, candidates.length];
  while (fails - holds > 1) {
    const at = refit ? Math.floor((holds + fails) / 2) : holds + 1;
    const total = refit ? Math.ceil(Math.log2(candidates.length + 1)) : candidates.length;
    progress({ stage: 'trying recipes on held-out samples', done: front.length, total });
    const candidate = candidates[at] as Candidate;
    const lost = await lostBy(request, many, recipesOf(request, items, candidate), [depthOf(plan)]);
    front.push({ candidate, lost });
    if (!refit || isWithin(budget, lost)) holds = at;
    else fails = at;
  }
  return front.sort((a, b) => a.candidate.loss - b.candidate.loss);
}

/** Between the last recipe that holds and the first that does not, by halving; the front stays in its order. */
async function refine(
  request: SearchRequest,
  items: readonly LayerItem[],
  bare: Totals,
  timeMaxMs: number | undefined,
  front: Point[],
): Promise<void> {
  const { budget, plan, many } = request;
  for (let i = 0; i < REFINEMENTS; i++) {
    const at = front.findLastIndex(({ lost }) => isWithin(budget, lost));
    const [holds, fails] = [front[at], front[at + 1]];
    if (!holds || !fails) return;
    const lossMax = Math.sqrt(Math.max(holds.candidate.loss, 1e-12) * fails.candidate.loss);
    const candidate = cheapest(items, bare, { bytesMax: budget.bytesMax, timeMaxMs }, lossMax);
    if (!candidate || candidate.loss <= holds.candidate.loss) return;
    const lost = await lostBy(request, many, recipesOf(request, items, candidate), [depthOf(plan)]);
    front.splice(at + 1, 0, { candidate, lost });
  }
}

/** Segments that measure slower than in float are put back: out of integers first, then altogether. */
async function withoutSlow(
  request: SearchRequest,
  items: readonly LayerItem[],
  candidate: Candidate,
  float: Totals,
  reverted: string[],
): Promise<Candidate> {
  let current = candidate;
  for (let round = 0; round < 2; round++) {
    const forms = [...current.forms];
    const { float: floatMs, compressed } = await timeOf(request, recipesOf(request, items, current));
    for (const [segment, ms] of compressed.entries()) {
      const own = items.flatMap((item, i) => (item.segment === segment ? [i] : []));
      const computing = own.filter((i) => (forms[i]?.timeMs ?? 0) < 0);
      const isSlow = ms * (computing.length > 0 ? GAIN_MIN : 1 / SLOWDOWN_MAX) > (floatMs[segment] ?? 0);
      if (!isSlow) continue;
      for (const i of computing.length > 0 ? computing : own) {
        forms[i] = storedForm(items[i] as LayerItem, computing.length > 0);
      }
      const what = computing.length > 0 ? 'in integers' : 'compressed';
      const ratio = (ms / (floatMs[segment] ?? ms)).toFixed(2);
      reverted.push(`segment ${segment + 1} ${what}: it measured ${ratio} x the time of float`);
    }
    if (forms.every((form, i) => form === current.forms[i])) return current;
    current = candidateOf(forms, float);
  }
  return current;
}

export function isWithin(
  { accuracyDropMax, answersChangedMax }: CompressionBudget,
  { drop, changed }: HeadLoss,
): boolean {
  return drop <= accuracyDropMax && changed <= answersChangedMax;
}

/** A part of the predicted loss is taken back until the metric holds: that of a few hundred samples does not see single layers. */
async function withinBudget(
  request: SearchRequest,
  items: readonly LayerItem[],
  candidate: Candidate,
  bare: Totals,
  reverted: string[],
): Promise<{ candidate: Candidate; lost: HeadLoss }> {
  const { budget, progress } = request;
  let current = candidate;
  for (let round = 1; ; round++) {
    progress({ stage: 'verifying on samples that nothing was chosen by', done: 0, total: round });
    const { lost, holds } = await verified(request, recipesOf(request, items, current));
    const next = holds ? undefined : (withLessLoss(items, current, bare) ?? withoutWorst(items, current, bare));
    if (!next) return { candidate: current, lost };
    const count = next.forms.filter(({ form }, i) => form !== current.forms[i]?.form).length;
    reverted.push(
      `${count} layers have other forms, ${next.bytes - current.bytes} bytes more: with those before the metric lost ` +
        `${lost.drop.toPrecision(2)}, ${(lost.changed * 100).toFixed(1)} % of the answers changed, at most ` +
        `${budget.accuracyDropMax} and ${budget.answersChangedMax * 100} % may`,
    );
    current = next;
  }
}

/**
 * Whether the budget holds with the head up to every k: on all samples where that is fast, the whole chain first, which tells
 * most; then on some of them on the device, which has to agree as far as so few can tell.
 * @returns the loss that decided
 */
async function verified(
  request: SearchRequest,
  recipes: readonly SegmentRecipe[],
): Promise<{ lost: HeadLoss; holds: boolean }> {
  const { budget, plan, many, device, verification } = request;
  const depths = Array.from({ length: depthOf(plan) }, (_, i) => i + 1);
  const lostAt = (some: readonly number[]) => lostBy(request, many, recipes, some, verification);
  const whole = await lostAt(depths.slice(-1));
  if (!isWithin(budget, whole)) return { lost: whole, holds: false };
  const worst = depths.length > 1 ? worseOf(whole, await lostAt(depths.slice(0, -1))) : whole;
  if (!isWithin(budget, worst)) return { lost: worst, holds: false };
  const few = firstOf(verification, DEVICE_SAMPLES);
  const there = await lostBy(request, device, recipes, depths, few);
  const holds = isWithin(withNoise(budget, there, few.samples.length), there);
  return { lost: holds ? worst : there, holds };
}

function worseOf(a: HeadLoss, b: HeadLoss): HeadLoss {
  return { drop: Math.max(a.drop, b.drop), changed: Math.max(a.changed, b.changed) };
}

/** What is computed otherwise than in float stays so or not at all: nothing else was timed. */
function withLessLoss(items: readonly LayerItem[], current: Candidate, bare: Totals): Candidate | undefined {
  const timed = items.map((item, i) => ({
    ...item,
    options: item.options.filter(({ form, timeMs }) => timeMs >= 0 || form === current.forms[i]?.form),
  }));
  const candidate = cheapest(timed, bare, {}, current.loss * LOSS_STEP);
  return candidate && candidate.loss < current.loss ? candidate : undefined;
}

/** Two standard errors of a drop are allowed for: it is a sum over the answers that changed, each of which can go either way. */
function withNoise(budget: CompressionBudget, { changed }: HeadLoss, samples: number): CompressionBudget {
  return { ...budget, accuracyDropMax: budget.accuracyDropMax + 2 * Math.sqrt(changed / Math.max(1, samples)) };
}

function inFloat(items: readonly LayerItem[], float: Totals): Candidate {
  return candidateOf(
    items.map(({ options }) => options.find(({ form }) => form === 'float32') ?? (options[0] as FormCost)),
    float,
  );
}

function triedOf({ bytes, timeMs, loss }: Candidate, lost: HeadLoss): TriedRecipe {
  return { bytes, timeMs, loss, ...lost };
}

function sumOf(values: readonly number[]): number {
  // A clock that does not move divides nothing.
  return Math.max(
    values.reduce((total, value) => total + value, 0),
    1e-9,
  );
}
