/** How a model is to be compiled, as one JSON document: what the command's options say, and profiles of users besides. */
import * as v from 'valibot';
import { integer, parseAs, text } from '../shared/parse.ts';
import type { Profile } from './cut/choose.ts';

const share = v.pipe(v.number(), v.minValue(0), v.maxValue(1));
const positive = v.pipe(v.number(), v.finite(), v.gtValue(0));
const described = <S extends v.GenericSchema>(schema: S, description: string) =>
  v.pipe(schema, v.description(description));

const ProfileSchema = v.strictObject({
  name: text(),
  weight: described(positive, 'How many users are like this, against the other profiles'),
  deviceFactor: described(positive, 'Time of a segment on this device over its time where it was measured'),
  roundTripMs: described(v.pipe(v.number(), v.finite(), v.minValue(0)), 'Milliseconds'),
  uplinkMbps: described(positive, 'Megabits a second'),
  headShareMin: described(
    v.optional(share, 0),
    "Share of the device's work that has to come before whatever leaves it: privacy that wants features, not inputs",
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
  targets: described(v.optional(v.array(v.picklist(['wasm', 'node']))), 'Where the device runs its segments'),
  samples: described(v.optional(text(1024)), 'A .npz file or a folder of samples, relative to this file'),
  dims: described(v.optional(v.record(text(), integer(1))), 'Sizes of symbolic dimensions'),
  shapes: described(v.optional(v.record(text(), v.array(integer(1)))), 'Whole shapes of inputs'),
  fix: described(v.optional(v.record(text(), v.pipe(v.number(), v.finite()))), 'Inputs that always have one value'),
  float: described(v.optional(v.boolean()), 'Store device segments in full precision'),
  count: described(v.optional(integer(1, 1_000_000)), 'Samples that accuracy is measured on'),
  seed: described(v.optional(integer(0, 2 ** 32 - 1)), 'Of calibration and test samples'),
});

export type CompileConfig = Omit<v.InferOutput<typeof CompileConfigSchema>, 'profiles'> & {
  readonly profiles?: readonly Profile[] | undefined;
};

/** Throws BAD_CONFIG saying which field, what was expected and what came. */
export function parseCompileConfig(value: unknown, what: string): CompileConfig {
  return parseAs(CompileConfigSchema, value, 'BAD_CONFIG', what);
}
