/**
 * Weights of few values, each layer fitted before it is rounded: towards what the original makes of the samples, from what the
 * rounded layers before it make of them (least squares as in reconstruct.ts, then GPTQ). What rounding costs does not pile up
 * so, and fewer bits do for the same answers.
 */
import { elementCount } from '../../shared/tensor.ts';
import type { Graph } from '../graph/graph.ts';
import { type Layer, rowCount } from './layers.ts';
import { reconstruct } from './reconstruct.ts';
import type { SegmentData } from './segment-data.ts';
import {
  codesKey,
  ELEMENTS_MIN,
  type IntegerForm,
  type MadeCodes,
  quantizeGroup,
  readersOf,
  storedIntegers,
  type WeightForm,
} from './store-weights.ts';

export interface Refitted {
  /** Names of the layers that were fitted. */
  readonly layers: ReadonlySet<string>;
  /** Of those that were rounded as well, for `storeWeights`. */
  readonly codes: MadeCodes;
}

/**
 * Rewrites weights and biases in place, also of layers behind those that are rounded. Weights that several layers read,
 * those of very wide layers and those that `readWeights` cannot read stay.
 * @param data the segment that `graph` is a copy of
 * @param forms by the layer's name
 */
export async function refitWeights(
  data: SegmentData,
  graph: Graph,
  forms: ReadonlyMap<string, WeightForm>,
): Promise<Refitted> {
  const codes: MadeCodes = new Map();
  const shared = new Set(
    [...readersOf(graph).values()].filter((all) => all.length > 1).flatMap((all) => all.map(({ name }) => name)),
  );
  /** Of the layer that is being fitted, by group. */
  let parts: ReturnType<typeof quantizeGroup>[] = [];
  const formOf = (layer: Layer): IntegerForm | undefined => {
    const form = forms.get(layer.name);
    return form === 'float16' || elementCount(layer.shape) < ELEMENTS_MIN ? undefined : form;
  };
  const layers = await reconstruct(data, {
    graph,
    keptOutputs: () => undefined,
    isForced: (layer) => forms.has(layer),
    isFixed: (layer) => shared.has(layer),
    rounded(layer, group, rows, moments) {
      const form = formOf(layer);
      if (!form) return rows;
      const part = quantizeGroup(rows, form, moments);
      parts = [...(group > 0 ? parts : []), part];
      return Float32Array.from(
        part.codes,
        (code, i) => code * (part.scales[Math.floor(i / moments.columns)] as number),
      );
    },
    settled(layer) {
      const form = formOf(layer);
      if (!form) return;
      const rows = new Int8Array(elementCount(layer.shape));
      const scales = new Float32Array(rowCount(layer));
      for (const [group, part] of parts.entries()) {
        rows.set(part.codes, group * part.codes.length);
        scales.set(part.scales, group * part.scales.length);
      }
      codes.set(codesKey(layer.weight, form), storedIntegers(layer, { codes: rows, scales }));
    },
  });
  return { layers: new Set(layers), codes };
}
