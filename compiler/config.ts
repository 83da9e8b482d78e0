/** How a model is to be compiled, as one JSON document: what the command's options say, and profiles of users besides. */
import * as v from 'valibot';
import { TandemError } from '../shared/errors.ts';
import { integer, like, type Place, parseAs, share, text } from '../shared/parse.ts';
import { TIER_BITS } from '../shared/plan-schema.ts';
import { LAYER_FORMS } from './compress/segment-recipe.ts';
import type { Profile } from './cut/choose.ts';
import type { Bottleneck, ModelRecipe } from './recipe.ts';
import type { GivenTolerances } from './tolerances.ts';

const positive = v.pipe(v.number(), v.finite(), v.gtValue(0));
const described = <S extends v.GenericSchema>(schema: S, description: string) =>
  v.pipe(schema, v.description(description));

const ProfileSchema = v.strictObject({
  name: text(),
  weight: described(positive, 'How many users are like this, against the other profiles'),
  deviceFactor: described(positive, 'Time of a segment on this device over its time where it was measured'),
  roundTripMs: described(v.pipe(v.number(), v.finite(), v.minValue(0)), 'Milliseconds'),
  uplinkMbps: described(positive, 'Megabits a second'),
  memoryMaxMb: described(v.optional(positive), 'What the device can spare for weights and activations, in megabytes'),
  headShareMin: described(
    v.optional(share, 0),
    "Share of the device's work that has to come before whatever leaves it: privacy that wants features, not inputs",
  ),
});

const error = v.pipe(v.number(), v.finite(), v.minValue(0));
const TolerancesSchema = v.strictObject({
  accuracyDropMax: described(
    v.optional(error),
    "How much worse the model's first metric may become by what a boundary is sent with, when cuts are chosen",
  ),
  floatErrorMax: described(v.optional(error), 'Of the chain in full precision: norm of the difference over norm'),
  floatLargestErrorMax: described(v.optional(error), 'The same for a single value, over the largest of its tensor'),
  compressedErrorGrowthMax: described(v.optional(error), 'Of compressed boundaries, over what the plan says'),
  compressedErrorMax: described(v.optional(error), 'Of compressed boundaries where the plan was never measured'),
  answersChangedMax: described(v.optional(share), 'Share of answers that may change with the compressed head'),
});

const CompressionSchema = v.strictObject({
  accuracyDropMax: described(
    v.optional(error),
    "How much worse the model's first metric may become with the compressed head, up to any boundary",
  ),
  answersChangedMax: described(v.optional(share), 'Share of answers that may change with the compressed head'),
  macsShare: described(
    v.optional(v.pipe(share, v.gtValue(0))),
    'Share of the multiply-accumulates to come down to, by pruning channels and splitting layers, where accuracy allows',
  ),
  fit: described(
    v.optional(v.boolean()),
    'Whether weights are fitted to samples before they are rounded: smaller files for the same answers, after a longer search',
  ),
  bytesMax: described(v.optional(integer(1)), 'Of all device segments together, as they are stored'),
  timeMax: described(v.optional(positive), 'Of all device segments together, over what they take in full precision'),
  pins: described(
    v.optional(v.array(v.strictObject({ match: text(1024), form: v.picklist(LAYER_FORMS) }))),
    "Forms that layers are to have: `match` is the name of a layer's output, or a pattern with *; the last that matches decides",
  ),
});

/** Also the source of docs/compile.schema.json, for editors. */
export const CompileConfigSchema = v.strictObject({
  $schema: v.optional(v.string()),
  cuts: described(
    v.optional(
      v.union([integer(1, 63), v.pipe(v.array(v.pipe(v.array(text(1024)), v.minLength(1))), v.maxLength(63))]),
    ),
    'Names of the tensors at each boundary, shallow to deep; or how many boundaries to choose by measuring',
  ),
  tensorsMax: described(v.optional(integer(1, 4), 2), 'Tensors of a chosen boundary at most'),
  profiles: described(v.optional(v.pipe(v.array(ProfileSchema), v.minLength(1))), 'Whom cuts are chosen for'),
  targets: described(v.optional(v.array(v.picklist(['wasm', 'webgpu', 'node']))), 'Where the device runs its segments'),
  tiers: described(
    v.optional(v.pipe(v.array(like(/^(raw|q[2-8]|p[1-9]\d{0,3}q[2-8])$/)), v.minLength(1))),
    'How boundaries can be sent: in 8 to 2 bits (q8), as principal components (p128q6: 128 of them in 6 bits), or as they ' +
      'are (raw); pictures besides where the model takes them',
  ),
  metric: described(v.optional(text()), "Which of the model's metrics budgets are in"),
  tolerances: described(v.optional(TolerancesSchema), 'How far things may be from what they should be'),
  samples: described(v.optional(text(1024)), 'A .npz file or a folder of samples, relative to this file'),
  dims: described(v.optional(v.record(text(), integer(1))), 'Sizes of symbolic dimensions'),
  shapes: described(v.optional(v.record(text(), v.array(integer(1)))), 'Whole shapes of inputs'),
  fix: described(v.optional(v.record(text(), v.pipe(v.number(), v.finite()))), 'Inputs that always have one value'),
  float: described(v.optional(v.boolean()), 'Store device segments in full precision'),
  compression: described(v.optional(CompressionSchema), 'What compressing device segments may cost'),
  leakage: described(
    v.optional(v.boolean()),
    'Measure what each boundary gives away of the input: minutes; else it is as it was measured before, if it was',
  ),
  count: described(v.optional(integer(1, 1_000_000)), 'Samples that accuracy is measured on'),
  seed: described(v.optional(integer(0, 2 ** 32 - 1)), 'Of calibration and test samples'),
});

export type CompileConfig = Omit<v.InferOutput<typeof CompileConfigSchema>, 'profiles' | 'tolerances'> & {
  readonly profiles?: readonly Profile[] | undefined;
  readonly tolerances?: GivenTolerances | undefined;
};

/**
 * @param what names the file, or places in it
 * @throws BAD_CONFIG saying which field, what was expected and what came
 */
export function parseCompileConfig(value: unknown, what: string | Place): CompileConfig {
  return parseAs(CompileConfigSchema, value, 'BAD_CONFIG', what);
}

/** The recipe with the tiers that are asked for and the metric that is, first. Throws BAD_CONFIG for one that it has not. */
export function configuredRecipe(recipe: ModelRecipe, { tiers, metric }: CompileConfig): ModelRecipe {
  const first = recipe.metrics.filter(({ name }) => name === metric);
  if (metric !== undefined && first.length === 0) {
    const known = recipe.metrics.map(({ name }) => name).join(', ');
    throw new TandemError('BAD_CONFIG', `metric: expected one that ${recipe.name} has (${known}), got ${metric}`);
  }
  return {
    ...recipe,
    metrics: [...first, ...recipe.metrics.filter(({ name }) => name !== metric)],
    ...(tiers && {
      raw: tiers.includes('raw'),
      bits: TIER_BITS.filter((bits) => tiers.includes(`q${bits}`)),
      bottlenecks: tiers.flatMap(bottleneckOf),
    }),
  };
}

function bottleneckOf(tier: string): Bottleneck[] {
  const [, components, width] = /^p(\d+)q(\d)$/.exec(tier) ?? [];
  const bits = TIER_BITS.find((known) => known === Number(width));
  return bits === undefined ? [] : [{ components: Number(components), bits }];
}
