/**
 * What was calibrated and measured for a model, apart from its weights: committed beside a model's recipe so that
 * nobody has to repeat it. It holds for exactly one source file, one recipe and one set of segments.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as v from 'valibot';
import { parseAs } from '../../shared/parse.ts';
import type { Plan, PlanMeasured, Tier } from '../../shared/plan.ts';
import { RECORD_FILE, sha256 } from '../bundle.ts';
import { COMPRESSION_VERSION, LAYER_FORMS, recipeDigest, type SegmentRecipe } from '../compress/segment-recipe.ts';
import type { CompressedChain } from '../compress-chain.ts';
import type { KeptPicture } from '../privacy/reconstructions.ts';
import type { ModelRecipe } from '../recipe.ts';
import type { SearchRecord } from '../search/search-recipes.ts';

export interface MeasuredRecord {
  readonly source: string;
  readonly recipe: string;
  readonly planId: string;
  /** `COMPRESSION_VERSION`: another one makes other files of the same recipes. */
  readonly compression: number;
  /** How what was asked of compression differs from the default; undefined where it does not. */
  readonly asked?: string | undefined;
  /** How each device segment is compressed, by target. */
  readonly recipes: Readonly<Record<string, readonly SegmentRecipe[]>>;
  /** How that was found, by target. */
  readonly searches: Readonly<Record<string, SearchRecord>>;
  /** Tiers of boundaries 0..K. */
  readonly tiers: readonly (readonly Tier[])[];
  readonly measured: PlanMeasured;
  /** Some of the reconstructions that `measured.leakage` is of, for the report. */
  readonly leakagePictures?: readonly KeptPicture[];
}

/** The parts that are not checked again as parts of the plan they go into. */
const RecordSchema = v.looseObject({
  source: v.string(),
  recipe: v.string(),
  planId: v.string(),
  compression: v.number(),
  asked: v.optional(v.string()),
  recipes: v.record(
    v.string(),
    v.array(
      v.object({
        layers: v.record(v.string(), v.picklist(LAYER_FORMS)),
        equalized: v.optional(v.boolean()),
        refit: v.optional(v.boolean()),
        half: v.optional(v.boolean()),
        structure: v.optional(v.looseObject({})),
      }),
    ),
  ),
  searches: v.record(v.string(), v.looseObject({})),
  tiers: v.array(v.array(v.looseObject({ name: v.string() }))),
  measured: v.looseObject({}),
});

/** The committed record if it belongs to this source and recipe, else undefined. Throws BAD_CONFIG for a broken one. */
export function matchingRecord(recipe: ModelRecipe, sourceSha256: string): MeasuredRecord | undefined {
  if (recipe.committed === undefined) return undefined;
  const record = parseAs(RecordSchema, recipe.committed, 'BAD_CONFIG', `the measurements of ${recipe.name}`);
  const fits =
    record.source === sourceSha256 &&
    record.recipe === recipeSha256(recipe) &&
    record.compression === COMPRESSION_VERSION;
  return fits ? (record as unknown as MeasuredRecord) : undefined;
}

/**
 * What an earlier run left in the folder that is compiled to, if it was for this source, recipe and samples. A file that
 * cannot be read is none.
 */
export async function keptRecord(
  outDir: string,
  recipe: ModelRecipe,
  sourceSha256: string,
  { samples, seed }: { readonly samples: number; readonly seed: number },
): Promise<MeasuredRecord | undefined> {
  try {
    const committed: unknown = JSON.parse(await readFile(join(outDir, RECORD_FILE), 'utf8'));
    const record = matchingRecord({ ...recipe, committed }, sourceSha256);
    return record?.measured.samples === samples && record.measured.seed === seed ? record : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Whether a plan made with the record's tiers and recipes came out as the one that was measured. Device segments are told by
 * their recipes: codes that were fitted to samples may differ in a few places from those of another machine, whose floats are
 * rounded otherwise.
 */
export function isMeasurementOf(record: MeasuredRecord, plan: Plan): boolean {
  if (record.planId !== plan.id) return false;
  return targetsOf(plan).every((target) => {
    const measured = record.recipes[target];
    return plan.segments.every(({ targets }, i) => {
      const recipe = measured?.[i];
      return recipe !== undefined && targets[target]?.recipeSha256 === recipeDigest(recipe);
    });
  });
}

export function measuredRecord(
  plan: Plan,
  recipe: ModelRecipe,
  compressed: CompressedChain,
  measured: PlanMeasured,
  pictures: readonly KeptPicture[] = [],
): MeasuredRecord {
  const searches = [...compressed].flatMap(([target, { search }]) => (search ? [[target, search] as const] : []));
  return {
    source: plan.model.sha256,
    recipe: recipeSha256(recipe),
    planId: plan.id,
    compression: COMPRESSION_VERSION,
    recipes: Object.fromEntries([...compressed].map(([target, { recipes }]) => [target, recipes])),
    searches: Object.fromEntries(searches),
    tiers: plan.boundaries.map(({ tiers }) => tiers),
    measured,
    ...(pictures.length > 0 && { leakagePictures: pictures }),
  };
}

function targetsOf(plan: Plan): string[] {
  return Object.keys(plan.segments[0]?.targets ?? {});
}

/** Everything in a recipe that what is measured depends on. */
export function recipeSha256({
  outputs,
  cuts,
  size,
  preprocess,
  pictures,
  bits,
  bottlenecks,
  raw,
  fixed,
  samplesKey,
}: ModelRecipe): string {
  const always = { outputs, cuts, size, preprocess, pictures, bits, bottlenecks };
  return sha256(JSON.stringify({ ...always, ...(raw && { raw }), fixed, samplesKey }));
}
