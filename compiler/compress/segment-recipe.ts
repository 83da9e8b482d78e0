/** How one segment is compressed for one target: a form for every layer. Plain data, so that it can be kept and compared. */
import { TandemError } from '../../shared/errors.ts';
import { sha256 } from '../bundle.ts';
import type { Form } from './layer-forms.ts';

/**
 * `float32`: as it is. `float16`, `w8` to `w3`: the weight is stored in so many bits and computed with in float32. `sparse`: in 6
 * bits, and half of its values 0. `nbits4`: 4 bits, unpacked by the kernel (MatMulNBits). `int8`: weight and activations in 8 bits, computed in integers.
 */
export const LAYER_FORMS = ['float32', 'float16', 'w8', 'w6', 'w5', 'w4', 'w3', 'sparse', 'nbits4', 'int8'] as const;
export type LayerForm = (typeof LAYER_FORMS)[number];

export interface SegmentRecipe {
  /** By layer, which is known by its output's name. Layers that are not named stay float32. */
  readonly layers: Readonly<Record<string, LayerForm>>;
  /** Whether ranges are evened out between layers first. */
  readonly equalized?: boolean | undefined;
  /** Whether weights are fitted to what the rounded ones before them make (refit-weights.ts), before they are rounded. */
  readonly refit?: boolean | undefined;
  /** Whether it computes in float16 (to-float16.ts). */
  readonly half?: boolean | undefined;
  /** What it does without; layers are then those that are left. */
  readonly structure?: SegmentStructure | undefined;
}

/** Channels that are pruned, and layers that are split into factors: `StructureChoice` as plain data. */
export interface SegmentStructure {
  /** Share of the segment's multiply-accumulates that stay. */
  readonly macsShare: number;
  readonly removed: readonly number[];
  readonly factors: Readonly<Record<string, Form>>;
}

/** Raised whenever the same recipe gives another file: what was measured of the old one says nothing of the new one. */
export const COMPRESSION_VERSION = 1;

/** The same for the same file, but for what rounding of another machine's floats may turn. */
export function recipeDigest({ structure, equalized, refit, half, ...recipe }: SegmentRecipe): string {
  const layers = Object.entries(recipe.layers)
    .filter(([, form]) => form !== 'float32')
    .sort(([a], [b]) => (a < b ? -1 : 1));
  const marks = [...(equalized ? ['equalized'] : []), ...(refit ? ['refit'] : []), ...(half ? ['half'] : [])];
  return sha256(JSON.stringify([COMPRESSION_VERSION, layers, structure ?? null, ...marks]));
}

/** For people: `int8 x 3, w4 x 10`. */
export function recipeText({ layers, structure, equalized, refit, half }: SegmentRecipe): string {
  const counts = new Map<LayerForm, number>();
  for (const form of Object.values(layers)) counts.set(form, (counts.get(form) ?? 0) + 1);
  const forms = LAYER_FORMS.filter((form) => form !== 'float32' && counts.has(form));
  const said = forms.map((form) => `${form} x ${counts.get(form)}`);
  if (structure && structure.macsShare < 1) said.unshift(`${Math.round(structure.macsShare * 100)} % of the work`);
  if (equalized) said.push('equalized');
  if (refit) said.push('fitted');
  if (half) said.push('computed in float16');
  return said.join(', ') || 'float32';
}

/** Names of layers that an error gives as examples. */
const LAYERS_TOLD = 8;

/** What a user wants of layers: the last one that matches a layer's name decides. */
export interface Pin {
  /** A layer's name; `*` stands for any characters. */
  readonly match: string;
  readonly form: LayerForm;
}

/** The form that is wanted of a layer, or undefined. */
export function pinnedForm(pins: readonly Pin[], layer: string): LayerForm | undefined {
  return pins.findLast(({ match }) => matches(match, layer))?.form;
}

/** Throws BAD_CONFIG for a pin that no layer matches: it would hold of nothing. */
export function assertPinned(pins: readonly Pin[], layers: readonly string[]): void {
  const idle = pins.find(({ match }) => !layers.some((layer) => matches(match, layer)));
  if (idle === undefined) return;
  const told = layers.length > LAYERS_TOLD ? [...layers.slice(0, LAYERS_TOLD), '...'] : layers;
  throw new TandemError(
    'BAD_CONFIG',
    `compression.pins: no layer's output matches ${idle.match}: expected one of ${told.join(', ') || 'none'}`,
  );
}

function matches(pattern: string, name: string): boolean {
  const parts = pattern.split('*').map((part) => part.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&'));
  return new RegExp(`^${parts.join('.*')}$`, 's').test(name);
}
