/**
 * Which segments have their ranges evened out before they go into integers: those whose end comes closer to full precision by
 * it, with every layer in integers.
 */
import type { SegmentCompressor } from '../compress/compress-segment.ts';
import { equalize } from '../compress/equalize.ts';
import { layersOf } from '../compress/layers.ts';
import type { LayerForm } from '../compress/segment-recipe.ts';
import { cloneGraph, type Model } from '../graph/graph.ts';
import { writeModel } from '../onnx/write.ts';
import { withTaps } from '../prepare.ts';
import type { FormsRequest } from './forms.ts';
import { lossOf } from './losses.ts';

/** The model, evened out; undefined where there is no pair of layers to do that between. */
export function equalizedModel(model: Model): Model | undefined {
  const graph = cloneGraph(model.graph);
  return equalize(graph) > 0 ? { ...model, graph } : undefined;
}

/**
 * @param compressorsOf of such models as those of the request
 * @returns by segment
 */
export async function searchEqualization(
  {
    models,
    reference,
    runtime,
    journal,
    progress,
  }: Pick<FormsRequest, 'models' | 'reference' | 'runtime' | 'journal' | 'progress'>,
  compressorsOf: (models: readonly Model[]) => readonly SegmentCompressor[],
): Promise<boolean[]> {
  const equal = models.map(equalizedModel);
  const [plain, evened] = [compressorsOf(models), compressorsOf(models.map((model, k) => equal[k] ?? model))];
  const chosen: boolean[] = [];
  for (const [k, model] of models.entries()) {
    progress({ stage: 'evening ranges out', done: k, total: models.length });
    if (!equal[k]) {
      chosen.push(false);
      continue;
    }
    const layers = Object.fromEntries(layersOf(model.graph).map(({ name }) => [name, 'int8' as LayerForm]));
    const lossWith = async (compressor: SegmentCompressor | undefined) => {
      const compressed = await compressor?.({ layers });
      if (!compressed) return Number.POSITIVE_INFINITY;
      const isLast = k === models.length - 1;
      const session = await runtime.load(writeModel(isLast ? withTaps(compressed, reference.ends) : compressed));
      return lossOf(reference, k, session).finally(() => session.release());
    };
    chosen.push(
      await journal.once(`equalized ${k}`, async () => (await lossWith(evened[k])) < (await lossWith(plain[k]))),
    );
  }
  return chosen;
}
