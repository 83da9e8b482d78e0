/**
 * Which segments have their ranges evened out before they go into integers: those whose end comes closer to full precision by
 * it, with every layer in integers that is faster so.
 */
import type { SegmentCompressor } from '../compress/compress-segment.ts';
import { equalizedModel } from '../compress/equalize.ts';
import type { LayerForm } from '../compress/segment-recipe.ts';
import { writeModel } from '../onnx/write.ts';
import { withTaps } from '../prepare.ts';
import type { FormsRequest } from './forms.ts';
import { lossOf } from './losses.ts';

type EqualizationRequest = Pick<
  FormsRequest,
  'models' | 'compressors' | 'reference' | 'runtime' | 'journal' | 'progress'
> & {
  /** Layers of a segment that are faster in integers. */
  readonly worthIntegers: (segment: number) => readonly string[];
};

/** @returns by segment */
export async function searchEqualization(request: EqualizationRequest): Promise<boolean[]> {
  const { models, compressors, reference, runtime, journal, progress, worthIntegers } = request;
  const chosen: boolean[] = [];
  for (const [k, model] of models.entries()) {
    progress({ stage: 'evening ranges out', done: k, total: models.length });
    const worth = worthIntegers(k);
    if (worth.length === 0 || !equalizedModel(model)) {
      chosen.push(false);
      continue;
    }
    const layers = Object.fromEntries(worth.map((name) => [name, 'int8' as LayerForm]));
    const lossWith = async (equalized: boolean) => {
      const compressed = await (compressors[k] as SegmentCompressor)({ layers, equalized });
      const isLast = k === models.length - 1;
      const session = await runtime.load(writeModel(isLast ? withTaps(compressed, reference.ends) : compressed));
      return lossOf(reference, k, session).finally(() => session.release());
    };
    chosen.push(await journal.once(`equalized ${k}`, async () => (await lossWith(true)) < (await lossWith(false))));
  }
  return chosen;
}
