/** A segment and a recipe -> the compressed segment. What is learnt from samples is learnt once, for all recipes. */
import { cloneGraph, type Graph, type Model } from '../graph/graph.ts';
import { verifyGraph } from '../graph/verify.ts';
import { calibrateRanges, type ValueRange } from './activation-ranges.ts';
import { integerGroups, quantizable, valuesToCalibrate } from './integer-groups.ts';
import { integerKind } from './integer-nodes.ts';
import { type LayerGrams, layerGrams } from './layer-grams.ts';
import { layersOf } from './layers.ts';
import { quantizedModel } from './quantize-nodes.ts';
import type { SegmentData } from './segment-data.ts';
import type { LayerForm, SegmentRecipe } from './segment-recipe.ts';
import { storeWeights, WEIGHT_FORMS, type WeightForm } from './store-weights.ts';

/** Compresses one segment in any way that is asked for. */
export type SegmentCompressor = (recipe: SegmentRecipe) => Promise<Model>;

/** @param samples how many there are in `data` */
export function segmentCompressor(data: SegmentData, samples: number): SegmentCompressor {
  let ranges: Promise<ReadonlyMap<string, ValueRange>> | undefined;
  let grams: Promise<LayerGrams> | undefined;
  return async (recipe) => {
    const { graph } = data.model;
    const named = (wanted: (form: LayerForm) => boolean) =>
      layersOf(graph).filter(({ name }) => wanted(recipe.layers[name] ?? 'float32'));
    const integers = new Set(named((form) => form === 'int8').map(({ name }) => name));
    let model: Model = { ...data.model, graph: cloneGraph(graph) };
    if (integers.size > 0) {
      ranges ??= calibrateRanges(data, everyRange(graph), 'mse');
      model = quantizedModel(model, {
        ...{ nodes: integerNodes(graph, integers), ranges: await ranges, granularity: 'channel' },
      }).model;
    }
    // Rounding 8 bits to the nearest loses next to nothing, and needs no samples.
    if (named((form) => FEW_BITS.has(form)).length > 0) grams ??= layerGrams(data, layersOf(graph), samples);
    const forms = new Map<string, WeightForm>(
      named(isWeightForm).map(({ name }) => [name, recipe.layers[name] as WeightForm]),
    );
    const known = [...((await grams) ?? [])].filter(([name]) => FEW_BITS.has(recipe.layers[name] ?? 'float32'));
    storeWeights(model.graph, forms, new Map(known));
    verifyGraph(model.graph, 'after compressing');
    return model;
  };
}

const FEW_BITS: ReadonlySet<LayerForm> = new Set(['w4', 'w3', 'nbits4']);

function isWeightForm(form: LayerForm): form is WeightForm {
  return (WEIGHT_FORMS as readonly LayerForm[]).includes(form);
}

/** Of every value that some choice of layers needs. */
function everyRange(graph: Graph): string[] {
  const all = quantizable(graph);
  const alone = [...all].flatMap((name) => valuesToCalibrate(graph, new Set([name])));
  return [...new Set([...valuesToCalibrate(graph, all), ...alone])];
}

/** The layers, and what lies between two of them. */
export function integerNodes(graph: Graph, layers: ReadonlySet<string>): Set<string> {
  let nodes = quantizable(graph);
  for (let size = -1; size !== nodes.size; ) {
    size = nodes.size;
    const { groups } = integerGroups(graph, nodes);
    const made = new Set(groups.flatMap(({ outputs }) => outputs));
    const read = new Set(groups.flatMap(({ data }) => data));
    const kept = groups.filter(({ name, node, data, outputs }) =>
      integerKind(node) === 'layer'
        ? layers.has(name)
        : data.some((input) => made.has(input)) && outputs.some((output) => read.has(output)),
    );
    nodes = new Set(kept.map(({ name }) => name));
  }
  return nodes;
}
