/** What a candidate takes on its target and loses on held-out samples, by making its files and running them. */
import type { Plan } from '../../shared/plan.ts';
import type { Runtime } from '../../shared/runtime.ts';
import { costAt } from '../../shared/size.ts';
import { type LayerForm, recipeDigest, type SegmentRecipe, type SegmentStructure } from '../compress/segment-recipe.ts';
import { isIntegerForm } from '../compress/store-weights.ts';
import type { Model } from '../graph/graph.ts';
import { loadAll, releaseAll } from '../measure/sessions.ts';
import { measureTime } from '../measure/time.ts';
import { writeModel } from '../onnx/write.ts';
import type { ModelRecipe } from '../recipe.ts';
import type { FormsRequest } from './forms.ts';
import type { Candidate, LayerItem } from './front.ts';
import { type HeadLoss, type HeldOut, headLoss } from './held-out.ts';

/** What a segment that computes otherwise than in float32 must gain at least: else it costs accuracy for nothing. */
export const GAIN_MIN = 1.03;

export interface TrialsRequest extends FormsRequest {
  /** Runs many samples at once. */
  readonly many: Runtime;
  /** Of the chain's segments in full precision, as the cloud has them. */
  readonly originals: readonly Model[];
  /** What segments do without; none where the chain is whole. */
  readonly structures: readonly SegmentStructure[] | undefined;
  /** What the target's runtime makes of a model before it runs it. */
  readonly optimized: (model: Uint8Array) => Promise<Model>;
  readonly plan: Plan;
  readonly recipe: ModelRecipe;
  /** Whether weights are fitted before they are rounded; what single layers lose is measured without. */
  readonly refit: boolean;
  /** Samples that recipes are chosen by. */
  readonly heldOut: HeldOut;
  /** Where the target is timed. */
  readonly place: Runtime;
  /** Whether segments may compute in float16 there; undefined for targets where they are not to. */
  readonly hasFloat16: boolean | undefined;
  readonly now: () => number;
}

/**
 * Milliseconds of each segment where the target is timed, in turn: in full precision and by recipes, or without any form where
 * there are none.
 */
export async function timeOf(
  request: TrialsRequest,
  tried?: readonly SegmentRecipe[],
): Promise<{ float: number[]; compressed: number[] }> {
  const { plan, recipe, place, models, originals, now, progress } = request;
  const load = async (files: readonly Uint8Array[]) => ({ plan, sessions: await loadAll(place, files) });
  const bytesOf = (all: readonly Model[]) => all.map((model) => writeModel(model));
  // Other weights of the same forms take the same time.
  const files = tried
    ? await filesOf(
        request,
        tried.map((recipe) => ({ ...recipe, refit: undefined })),
      )
    : bytesOf(models);
  const places = new Map([
    ['float', await load(bytesOf(originals))],
    ['compressed', await load(files)],
  ]);
  const times = await measureTime({ places, sizes: [recipe.size.typical], input: recipe.noise, now, progress });
  await releaseAll([...places.values()].map(({ sessions }) => sessions));
  const msOf = (name: string) => (times[name] ?? []).map((cost) => costAt(cost, recipe.size.typical));
  return { float: msOf('float'), compressed: msOf('compressed') };
}

export async function lostBy(
  request: TrialsRequest,
  runtime: Runtime,
  recipes: readonly SegmentRecipe[],
  depths: readonly number[],
  heldOut: HeldOut = request.heldOut,
): Promise<HeadLoss> {
  const { journal } = request;
  const digests = recipes.map(recipeDigest).join(' ');
  const samples = heldOut === request.heldOut ? 'those it is chosen by' : `${heldOut.samples.length} others`;
  return journal.once(`loss on ${samples}, ${runtime.name} at ${depths} with ${digests}`, async () => {
    const sessions = await loadAll(runtime, await filesOf(request, recipes));
    try {
      return await headLoss(heldOut, sessions, depths);
    } finally {
      await releaseAll([sessions]);
    }
  });
}

async function filesOf({ compressors }: TrialsRequest, recipes: readonly SegmentRecipe[]): Promise<Uint8Array[]> {
  const files: Uint8Array[] = [];
  for (const [segment, recipe] of recipes.entries()) {
    const compressed = await compressors[segment]?.(recipe);
    if (compressed) files.push(writeModel(compressed));
  }
  return files;
}

export function recipesOf(
  { models, structures, equalized, refit }: Pick<TrialsRequest, 'models' | 'structures' | 'equalized' | 'refit'>,
  items: readonly LayerItem[],
  { forms }: Candidate,
): SegmentRecipe[] {
  return models.map((_, segment) => {
    const layers = items.flatMap((item, i): [string, LayerForm][] => {
      const form = forms[i]?.form ?? 'float32';
      return item.segment === segment && form !== 'float32' ? [[item.layer, form]] : [];
    });
    const structure = structures?.[segment];
    return {
      layers: Object.fromEntries(layers),
      ...(refit && layers.some(([, form]) => isIntegerForm(form)) && { refit }),
      ...(equalized[segment] && layers.some(([, form]) => form === 'int8') && { equalized: true }),
      ...(structure && { structure }),
    };
  });
}
