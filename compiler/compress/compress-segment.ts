/** A segment and a recipe -> the compressed segment. What is learnt from samples is learnt once, for all recipes. */
import { cloneGraph, type Graph, type Model } from '../graph/graph.ts';
import { verifyGraph } from '../graph/verify.ts';
import { calibrateRanges, type ValueRange } from './activation-ranges.ts';
import { correctBiases } from './bias-correction.ts';
import { equalizedModel } from './equalize.ts';
import { integerGroups, quantizable, valuesToCalibrate } from './integer-groups.ts';
import { integerKind } from './integer-nodes.ts';
import { type LayerGrams, rowsToRound, splitGrams } from './layer-grams.ts';
import { layersOf, storedLayersOf } from './layers.ts';
import { toMatMulNBits } from './matmul-nbits.ts';
import { type QuantizedNode, quantizedModel } from './quantize-nodes.ts';
import { refitWeights } from './refit-weights.ts';
import { saturatingLayers } from './saturation.ts';
import type { SegmentData } from './segment-data.ts';
import { type LayerForm, recipeDigest, type SegmentRecipe } from './segment-recipe.ts';
import { isIntegerForm, type MadeCodes, storeWeights, WEIGHT_FORMS, type WeightForm } from './store-weights.ts';
import { toFloat16 } from './to-float16.ts';

/** Compresses one segment in any way that is asked for. */
export type SegmentCompressor = (recipe: SegmentRecipe) => Promise<CompressedSegment>;

export interface CompressedSegment extends Model {
  /** Nodes that were put into integers, for whoever wants to know what the runtime made of them. */
  readonly quantized: readonly QuantizedNode[];
}

/** Every so many samples one is kept apart: a bias is corrected only where that helps on those. */
const HELD_OUT_EVERY = 4;

export interface CompressorOptions {
  /** How many there are in the segment's data; 0 where they are noise: weights are then rounded to the nearest. */
  readonly samples: number;
  /** Whether the target may be an x64 CPU without VNNI, which adds products of 8 bits in int16. */
  readonly mayLackVnni: boolean;
}

export function segmentCompressor(data: SegmentData, options: CompressorOptions): SegmentCompressor {
  const plain = compressorOf(data, options);
  const evened = once(() => compressorOf({ ...data, model: equalizedModel(data.model) ?? data.model }, options));
  let latest: { readonly digest: string; readonly segment: Promise<CompressedSegment> } | undefined;
  return (recipe) => {
    const digest = recipeDigest(recipe);
    if (latest?.digest === digest) return latest.segment;
    const segment = (recipe.equalized ? evened() : plain)(recipe);
    // One is made several times in a row, and fitting takes its time; of those that are tried once nothing is left.
    latest = recipe.refit ? { digest, segment } : undefined;
    return segment;
  };
}

function compressorOf(data: SegmentData, { samples, mayLackVnni }: CompressorOptions): SegmentCompressor {
  const { graph } = data.model;
  const layers = storedLayersOf(graph);
  // Clipping rare large values costs answers on networks that were measured (bench/peers).
  const ranges = once(() => calibrateRanges(data, everyRange(graph), 'min-max'));
  const saturating = once(async () => layersThatSaturate(data, await ranges()));
  const made: MadeCodes = new Map();
  const grams = once(() => gramsOf(data, samples));
  return async (recipe) => {
    const named = (wanted: (form: LayerForm) => boolean) =>
      new Set(layers.map(({ name }) => name).filter((name) => wanted(recipe.layers[name] ?? 'float32')));
    let model: Model = { ...data.model, graph: cloneGraph(graph), opsets: new Map(data.model.opsets) };
    let quantized: readonly QuantizedNode[] = [];
    const forms = new Map([...named(isWeightForm)].map((name) => [name, recipe.layers[name] as WeightForm]));
    const refitted = recipe.refit && samples > 0 ? await refitWeights(data, model.graph, forms) : undefined;
    const integers = named((form) => form === 'int8');
    if (integers.size > 0) {
      const narrow = mayLackVnni ? await saturating() : new Set<string>();
      ({ model, quantized } = quantizedModel(model, {
        ...{ nodes: integerNodes(graph, integers), ranges: await ranges(), granularity: 'channel' },
        weightBitsOf: ({ name }) => (narrow.has(name) ? 7 : 8),
      }));
    }
    const fitting = samples > 0 ? named(isFitted) : new Set<string>();
    for (const name of refitted?.layers ?? []) if (recipe.layers[name] !== 'nbits4') fitting.delete(name);
    // Of few layers where the others were fitted already.
    const known = fitting.size === 0 ? undefined : refitted ? gramsOf(data, samples, fitting) : grams();
    // Only of the layers that are rounded now: a file depends on its recipe alone, not on what was tried before.
    const [fitted, heldOut] = ((await known) ?? []).map(
      (all) => new Map([...all].filter(([name]) => fitting.has(name))),
    );
    const blocks = named((form) => form === 'nbits4');
    if (blocks.size > 0) toMatMulNBits(model, blocks, fitted);
    const stored = storeWeights(model.graph, forms, fitted, refitted?.codes ?? made);
    if (fitted && heldOut) correctBiases(model.graph, graph, stored, fitted, heldOut);
    if (recipe.half) await toFloat16(model, data.literal);
    verifyGraph(model.graph, 'after compressing');
    return { ...model, quantized };
  };
}

function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}

/** Those whose sums leave int16 on samples: a bound alone would take a bit from nearly every layer. */
async function layersThatSaturate(data: SegmentData, ranges: ReadonlyMap<string, ValueRange>): Promise<Set<string>> {
  const tried = await saturatingLayers(data, ranges, 'channel');
  return new Set(tried.filter(({ share }) => share > 0).map(({ layer }) => layer.name));
}

/** To samples. */
function isFitted(form: LayerForm): boolean {
  return isIntegerForm(form) || form === 'nbits4';
}

function isWeightForm(form: LayerForm): form is WeightForm {
  return (WEIGHT_FORMS as readonly LayerForm[]).includes(form);
}

/** @param names of layers; default: all */
async function gramsOf(
  data: SegmentData,
  samples: number,
  names?: ReadonlySet<string>,
): Promise<readonly [fitted: LayerGrams, heldOut: LayerGrams]> {
  const layers = layersOf(data.model.graph).filter(({ name }) => names?.has(name) ?? true);
  const apart = Math.ceil(samples / HELD_OUT_EVERY);
  const parts = [rowsToRound(samples - apart), rowsToRound(apart)];
  const partOf = (sample: number) => (sample % HELD_OUT_EVERY === 0 ? 1 : 0);
  const [fitted, heldOut] = await splitGrams(data, layers, parts, partOf);
  return [fitted as LayerGrams, heldOut as LayerGrams];
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
