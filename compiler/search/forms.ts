/** What each form of each layer saves and costs: bytes by storing it, loss by running the chain with it, time as it was measured. */
import type { Runtime } from '../../shared/runtime.ts';
import type { SegmentCompressor } from '../compress/compress-segment.ts';
import { storedLayersOf } from '../compress/layers.ts';
import { type LayerForm, type Pin, pinnedForm } from '../compress/segment-recipe.ts';
import { LEVELS } from '../compress/store-weights.ts';
import type { Model } from '../graph/graph.ts';
import { writeModel } from '../onnx/write.ts';
import { withTaps } from '../prepare.ts';
import type { Progress } from '../progress.ts';
import type { FormCost, LayerItem } from './front.ts';
import type { Journal } from './journal.ts';
import { lossOf, type Reference } from './losses.ts';
import { storedBytes } from './stored-bytes.ts';

export interface FormsRequest {
  /** Of the chain's segments, in full precision; where channels were pruned, of what is left. */
  readonly models: readonly Model[];
  readonly compressors: readonly SegmentCompressor[];
  /** By segment: whether ranges are evened out in it before layers go into integers. */
  readonly equalized: readonly boolean[];
  readonly reference: Reference;
  /** Runs compressed segments for their loss: what they compute hardly depends on who does. */
  readonly runtime: Runtime;
  /** Milliseconds that a layer takes less in a form, by segment, layer and form; 0 where it is not said. */
  readonly savedMs: (segment: number, layer: string, form: LayerForm) => number;
  readonly forms: readonly LayerForm[];
  readonly pins: readonly Pin[];
  readonly journal: Journal;
  readonly progress: Progress;
}

/** Forms that compute otherwise than float32 does: worth their loss only where they are faster. */
export const COMPUTING: ReadonlySet<LayerForm> = new Set(['int8', 'nbits4']);

/** Of forms that only round, with float16 as if its codes were even: an error of rounding falls with the square of it. */
const { sparse: _prunes, ...ROUNDING } = LEVELS;
const LEVELS_OF = new Map<LayerForm, number>(Object.entries({ ...ROUNDING, float16: 1024 }) as [LayerForm, number][]);
/** Of these the loss is measured where both are tried, of the others of that kind it follows: one alone is off by what rounding happens to hit. */
const ROUNDED: readonly LayerForm[] = ['w6', 'w4'];

export async function measureForms(request: FormsRequest): Promise<LayerItem[]> {
  const { models, journal, progress, pins, forms, savedMs } = request;
  const layers = models.flatMap(({ graph }, segment) =>
    storedLayersOf(graph).map(({ name }) => ({ segment, layer: name })),
  );
  const items: LayerItem[] = [];
  for (const [i, { segment, layer }] of layers.entries()) {
    progress({ stage: 'what each form of each layer costs', done: i, total: layers.length });
    const pinned = pinnedForm(pins, layer);
    const worth = forms.filter((form) => !COMPUTING.has(form) || savedMs(segment, layer, form) > 0);
    const asked = pinned ? [pinned] : worth;
    const follows = ROUNDED.every((form) => asked.includes(form));
    const measured: FormCost[] = [];
    for (const form of asked) {
      const isMeasured = !follows || !LEVELS_OF.has(form) || ROUNDED.includes(form);
      measured.push(
        await journal.once(`form ${segment} ${layer} ${form}`, () =>
          measureForm(request, segment, layer, form, isMeasured),
        ),
      );
    }
    const options = follows ? withRounding(measured) : measured;
    // A weight that is too small to store is what it was.
    const changing = options.filter(({ form, bytes, loss }) => form === 'float32' || bytes !== 0 || loss > 0);
    items.push({ segment, layer, options: pinned ? options : changing });
  }
  return items;
}

/** The losses of rounding from what two of them lose. */
function withRounding(measured: readonly FormCost[]): FormCost[] {
  const noise = measured
    .filter(({ form }) => ROUNDED.includes(form))
    .map(({ form, loss }) => loss * (LEVELS_OF.get(form) ?? 1) ** 2);
  const mean = noise.reduce((sum, one) => sum + one, 0) / noise.length;
  return measured.map((cost) => {
    const levels = LEVELS_OF.get(cost.form);
    return levels === undefined ? cost : { ...cost, loss: mean / levels ** 2 };
  });
}

async function measureForm(
  { models, compressors, equalized, reference, runtime, savedMs, journal }: FormsRequest,
  segment: number,
  layer: string,
  form: LayerForm,
  isMeasured: boolean,
): Promise<FormCost> {
  if (form === 'float32') return { form, bytes: 0, timeMs: 0, loss: 0 };
  const float = models[segment] as Model;
  const model = await (compressors[segment] as SegmentCompressor)({
    layers: { [layer]: form },
    equalized: form === 'int8' && equalized[segment],
  });
  const bytes = storedBytes(model) - storedBytes(float);
  const cost = { form, bytes, timeMs: -savedMs(segment, layer, form) };
  if (!isMeasured) return { ...cost, loss: 0 };
  // What pruning lost is lost already, in whatever form.
  const before = await journal.once(`loss ${segment}`, () => lossOfModel(float));
  return { ...cost, loss: Math.max(0, (await lossOfModel(model)) - before) };

  async function lossOfModel(one: Model): Promise<number> {
    const isLast = segment === models.length - 1;
    const session = await runtime.load(writeModel(isLast ? withTaps(one, reference.ends) : one));
    try {
      return await lossOf(reference, segment, session);
    } finally {
      await session.release();
    }
  }
}
