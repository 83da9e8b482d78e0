/**
 * How every layer is to be compressed for one target: a knapsack makes a front of recipes of what each form of each layer
 * saves and costs, all of them are tried on held-out samples, and the cheapest within the budget is timed against full
 * precision and verified at every k. What does not hold is put back.
 */
import { depthOf, type Plan } from '../../shared/plan.ts';
import type { Runtime, Session } from '../../shared/runtime.ts';
import { costAt } from '../../shared/size.ts';
import type { LayerForm, SegmentRecipe } from '../compress/segment-recipe.ts';
import { loadAll, releaseAll } from '../measure/sessions.ts';
import { measureTime } from '../measure/time.ts';
import { writeModel } from '../onnx/write.ts';
import type { ModelRecipe } from '../recipe.ts';
import { type FormsRequest, measureForms } from './forms.ts';
import {
  type Candidate,
  candidateOf,
  type FormCost,
  type LayerItem,
  paretoFront,
  type Totals,
  withoutWorst,
} from './front.ts';
import { type HeldOut, worstDrop } from './held-out.ts';
import { storedBytes } from './stored-bytes.ts';

/** What a recipe may cost. */
export interface CompressionBudget {
  /** How much worse the model's first metric may become, with the compressed head up to any k. */
  readonly accuracyDropMax: number;
  /** Of all device segments together, as they are stored. */
  readonly bytesMax?: number | undefined;
  /** Of all device segments together on the target, over what they take in float. */
  readonly timeMax?: number | undefined;
}

export interface SearchRequest extends FormsRequest {
  readonly plan: Plan;
  readonly recipe: ModelRecipe;
  readonly heldOut: HeldOut;
  /** Runs the target's segments here, as they will be run there: the recipe that is taken is verified on it. */
  readonly device: Runtime;
  /** Where the target is timed. */
  readonly place: Runtime;
  readonly budget: CompressionBudget;
  readonly now: () => number;
}

/** A point of the front, as it was tried. */
export interface TriedRecipe extends Totals {
  /** Predicted. */
  readonly loss: number;
  /** Of the metric, on held-out samples. */
  readonly drop: number;
}

/** What the report tells of a search. */
export interface SearchRecord {
  readonly float: Totals;
  readonly accuracyDropMax: number;
  /** With the whole chain on the device. */
  readonly front: readonly TriedRecipe[];
  /** With the worst drop of all k, and the time that was measured. */
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
/** What a segment in integers must gain at least: else it costs accuracy for nothing. */
const GAIN_MIN = 1.03;

export async function searchRecipes(request: SearchRequest): Promise<SearchResult> {
  const { plan, budget, journal, models, progress } = request;
  const items = await measureForms(request);
  const floatMs = await journal.once('time of float', async () => (await timeOf(request, {})).float);
  const float = {
    bytes: models.reduce((sum, model) => sum + storedBytes(model), 0),
    timeMs: Math.max(sumOf(floatMs), Number.MIN_VALUE),
  };
  const timeMaxMs = budget.timeMax === undefined ? undefined : budget.timeMax * float.timeMs;
  const candidates = paretoFront(items, float, { bytesMax: budget.bytesMax, timeMaxMs });
  const depth = depthOf(plan);
  const front: { candidate: Candidate; drop: number }[] = [];
  for (const [i, candidate] of candidates.entries()) {
    progress({ stage: 'trying recipes on held-out samples', done: i, total: candidates.length });
    front.push({ candidate, drop: await dropOf(request, request.runtime, items, candidate, [depth]) });
  }
  const reverted: string[] = [];
  const best = front.findLast(({ drop }) => drop <= budget.accuracyDropMax) ?? front[0];
  const timed = await withoutSlow(request, items, best?.candidate ?? inFloat(items, float), float, reverted);
  const { candidate, drop } = await withinBudget(request, items, timed, float, reverted);
  return {
    recipes: recipesOf(request, items, candidate),
    record: {
      ...{ float, accuracyDropMax: budget.accuracyDropMax, reverted },
      front: front.map((point) => triedOf(point.candidate, point.drop)),
      chosen: triedOf(candidate, drop),
      layers: items.map((item, i) => ({ ...item, form: candidate.forms[i]?.form ?? 'float32' })),
    },
  };
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
    const { float: floatMs, compressed } = await timeOf(request, { items, candidate: current });
    for (const [segment, ms] of (compressed ?? []).entries()) {
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

/** The smallest form that computes in float, or float32; what is pinned stays. */
function storedForm({ options }: LayerItem, isCompressed: boolean): FormCost {
  const stored = options.filter(({ timeMs, form }) => timeMs >= 0 && (form === 'float32' || isCompressed));
  const exact = stored.find(({ form }) => form === 'w8') ?? stored.find(({ form }) => form === 'float32');
  return exact ?? (options[0] as FormCost);
}

/** The layer that loses most is put one form back until the metric holds at every k, several at once where much is lost. */
async function withinBudget(
  request: SearchRequest,
  items: readonly LayerItem[],
  candidate: Candidate,
  float: Totals,
  reverted: string[],
): Promise<{ candidate: Candidate; drop: number }> {
  const { accuracyDropMax } = request.budget;
  const depths = Array.from({ length: depthOf(request.plan) }, (_, i) => i + 1);
  let current = candidate;
  for (;;) {
    const drop = await dropOf(request, request.device, items, current, depths);
    if (drop <= accuracyDropMax) return { candidate: current, drop };
    // Half of the predicted loss at a time: the metric of a few hundred samples does not see single layers.
    const lossMax = current.loss / 2;
    let better = withoutWorst(items, current, float);
    while (better && better.loss > lossMax) better = withoutWorst(items, better, float) ?? undefined;
    const next = better ?? withoutWorst(items, current, float);
    if (!next) return { candidate: current, drop };
    for (const [i, form] of next.forms.entries()) {
      if (form === current.forms[i]) continue;
      reverted.push(
        `${items[i]?.layer} from ${current.forms[i]?.form} to ${form.form}: ${drop.toPrecision(2)} was lost`,
      );
    }
    current = next;
  }
}

/** Milliseconds of each segment where the target is timed, in full precision and as a candidate has them, in turn. */
async function timeOf(
  request: SearchRequest,
  { items, candidate }: { items?: readonly LayerItem[]; candidate?: Candidate },
): Promise<{ float: number[]; compressed?: number[] }> {
  const { plan, recipe, place, models, now, progress } = request;
  const places = new Map([
    [
      'float',
      {
        plan,
        sessions: await loadAll(
          place,
          models.map((model) => writeModel(model)),
        ),
      },
    ],
  ]);
  if (items && candidate) {
    places.set('compressed', { plan, sessions: await loadAll(place, await filesOf(request, items, candidate)) });
  }
  const times = await measureTime({ places, sizes: [recipe.size.typical], input: recipe.noise, now, progress });
  await releaseAll([...places.values()].map(({ sessions }) => sessions));
  const msOf = (name: string) => times[name]?.map((cost) => costAt(cost, recipe.size.typical));
  const compressed = msOf('compressed');
  return { float: msOf('float') ?? [], ...(compressed && { compressed }) };
}

async function dropOf(
  request: SearchRequest,
  runtime: Runtime,
  items: readonly LayerItem[],
  candidate: Candidate,
  depths: readonly number[],
): Promise<number> {
  const { journal, heldOut } = request;
  const forms = candidate.forms.map(({ form }) => form).join(' ');
  return journal.once(`drop on ${runtime.name} at ${depths} with ${forms}`, async () => {
    const sessions: Session[] = await loadAll(runtime, await filesOf(request, items, candidate));
    try {
      return await worstDrop(heldOut, sessions, depths);
    } finally {
      await releaseAll([sessions]);
    }
  });
}

async function filesOf(
  request: SearchRequest,
  items: readonly LayerItem[],
  candidate: Candidate,
): Promise<Uint8Array[]> {
  const files: Uint8Array[] = [];
  for (const [segment, recipe] of recipesOf(request, items, candidate).entries()) {
    const compressed = await request.compressors[segment]?.(recipe);
    if (compressed) files.push(writeModel(compressed));
  }
  return files;
}

function recipesOf({ models }: SearchRequest, items: readonly LayerItem[], { forms }: Candidate): SegmentRecipe[] {
  return models.map((_, segment) => {
    const layers = items.flatMap((item, i): [string, LayerForm][] => {
      const form = forms[i]?.form ?? 'float32';
      return item.segment === segment && form !== 'float32' ? [[item.layer, form]] : [];
    });
    return { layers: Object.fromEntries(layers) };
  });
}

function inFloat(items: readonly LayerItem[], float: Totals): Candidate {
  return candidateOf(
    items.map(({ options }) => options.find(({ form }) => form === 'float32') ?? (options[0] as FormCost)),
    float,
  );
}

function triedOf({ bytes, timeMs, loss }: Candidate, drop: number): TriedRecipe {
  return { bytes, timeMs, loss, drop };
}

function sumOf(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
