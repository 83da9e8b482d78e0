/** Layers that were to be computed in integers and that the runtime computes otherwise after all: those gain nothing for their loss. */
import { fusionOf } from '../compress/fused.ts';
import { writeModel } from '../onnx/write.ts';
import { type Candidate, candidateOf, type LayerItem, storedForm, type Totals } from './front.ts';
import { recipesOf, type TrialsRequest } from './trials.ts';

/**
 * The candidate with such layers stored instead. What one of them handed on in codes its neighbours now get as float32, so it is
 * looked at until nothing more goes.
 * @param reverted what went and why is added
 */
export async function withoutUnfused(
  request: Pick<TrialsRequest, 'compressors' | 'models' | 'structures' | 'equalized' | 'optimized'>,
  items: readonly LayerItem[],
  candidate: Candidate,
  bare: Totals,
  reverted: string[],
): Promise<Candidate> {
  const forms = [...candidate.forms];
  for (let isStable = false; !isStable; ) {
    isStable = true;
    const current = candidateOf(forms, bare);
    for (const [segment, recipe] of recipesOf({ ...request, refit: false }, items, current).entries()) {
      const compressed = await request.compressors[segment]?.(recipe);
      if (!compressed || compressed.quantized.length === 0) continue;
      const { graph } = await request.optimized(writeModel(compressed));
      for (const fusion of fusionOf(graph, compressed.quantized)) {
        if (fusion.type !== 'float') continue;
        const i = items.findIndex((item) => item.segment === segment && item.layer === fusion.name);
        const item = items[i];
        const stored = item && storedForm(item, true);
        if (!stored || stored === forms[i]) continue;
        forms[i] = stored;
        reverted.push(`${fusion.name} in integers: ${fusion.reason}`);
        isStable = false;
      }
    }
  }
  return candidateOf(forms, bare);
}
