/**
 * Weight-only storage: large float weights become integers of 8 to 3 bits, one scale an output channel, which the graph
 * multiplies back as Cast -> Mul, or float16 behind a Cast. onnxruntime folds both when it loads the model, so inference
 * runs at float speed from a small file: codes of few bits are held as int8 and packed where files are. DequantizeLinear
 * would say the same, but is folded only under an option (research: measured 2x slower on node without it), and float
 * speed is what this recipe promises.
 */
import { elementCount, type Tensor } from '../../shared/tensor.ts';
import { constantOf, floatConstant, freshNames, type Graph, int, makeNode, type Node } from '../graph/graph.ts';
import type { Moments } from '../linalg/moments.ts';
import { FLOAT16_MAX, float16Bits, float16Values } from './float16.ts';
import { errorCosts, gptq } from './gptq.ts';
import type { LayerGrams } from './layer-grams.ts';
import { type Layer, layersOf, rowCount, storedLayersOf, weightOfRows, weightRows } from './layers.ts';
import { leastImportant, pruneSmallest } from './prune-weights.ts';
import { chooseGrid, columnImportance, roundRows } from './quantize-rows.ts';
import type { LayerForm } from './segment-recipe.ts';

/** The weakest first. */
export const WEIGHT_FORMS = ['w3', 'w4', 'sparse', 'w5', 'w6', 'w8', 'float16'] as const;
export type WeightForm = (typeof WEIGHT_FORMS)[number];
export type IntegerForm = Exclude<WeightForm, 'float16'>;

/** Codes go from minus to plus this. */
export const LEVELS = { w3: 3, w4: 7, w5: 15, w6: 31, sparse: 31, w8: 127 } as const;

/** Whether weights become codes of few values, and nothing else changes. */
export function isIntegerForm(form: LayerForm): form is IntegerForm {
  return Object.hasOwn(LEVELS, form);
}

/** Of the weights that `sparse` keeps no more than the others. */
const ZEROS_SHARE = 0.5;

/** Weights with fewer elements stay float: the two nodes around them would cost more than they save. */
export const ELEMENTS_MIN = 256;

/** Codes that were made before, by weight and form: of the same weights on the same samples they are the same. */
export type MadeCodes = Map<string, StoredIntegers>;

/**
 * Rewrites weights in place. Of layers that share a weight the strongest form holds, and float32 if one of them is not
 * named. In float16 no weight is stored that has values beyond its range.
 * @param forms by the layer's name; other layers keep their weights
 * @param grams layers that have some are rounded by GPTQ; the others, and those that share a weight but not its layout, to
 *   the nearest code
 * @param made is taken where it has what is wanted, and added to
 * @returns by the weight's name the values that it has now, of all that were stored
 */
export function storeWeights(
  graph: Graph,
  forms: ReadonlyMap<string, WeightForm>,
  grams: LayerGrams = new Map(),
  made: MadeCodes = new Map(),
): ReadonlyMap<string, Float32Array> {
  const makers: Node[] = [];
  const stored = new Map<string, Float32Array>();
  const fresh = freshNames(graph);
  for (const [name, readers] of readersOf(graph)) {
    const form = strongest(readers.map((layer) => forms.get(layer.name)));
    const weight = floatConstant(graph, name);
    if (!form || !weight || elementCount(weight.shape) < ELEMENTS_MIN) continue;
    if (form === 'float16') {
      if (!weight.data.every((value) => Math.abs(value) <= FLOAT16_MAX)) continue;
      const bits = float16Bits(weight.data);
      const halfName = replaceConstant(graph, name, fresh(`${name}.float16`), {
        ...weight,
        dtype: 'float16',
        data: bits,
      });
      makers.push(makeNode('Cast', [halfName], [name], { to: int(1) }));
      stored.set(name, float16Values(bits));
      continue;
    }
    const key = codesKey(name, form);
    const { codes, scales, scaleShape } = made.get(key) ?? integersOf(form, weight, readers, grams);
    made.set(key, { codes, scales, scaleShape });
    const codesName = replaceConstant(graph, name, fresh(`${name}.int8`), { ...weight, dtype: 'int8', data: codes });
    const scaleName = fresh(`${name}.scale`);
    const castName = fresh(`${name}.cast`);
    graph.initializers.set(scaleName, constantOf({ dtype: 'float32', shape: scaleShape, data: scales }));
    makers.push(
      makeNode('Cast', [codesName], [castName], { to: int(1) }),
      makeNode('Mul', [castName, scaleName], [name]),
    );
    const channelOf = channelsAlong(weight.shape, (readers[0] as Layer).axis);
    stored.set(
      name,
      Float32Array.from(codes, (code, i) => code * (scales[channelOf(i)] as number)),
    );
  }
  graph.nodes = [...makers, ...graph.nodes];
  return stored;
}

/** All weights of Conv, MatMul and Gemm in 8 bits, rounded. Gives how many. */
export function storeInt8(graph: Graph): number {
  const layers = layersOf(graph).filter(({ kind }) => kind !== 'conv-transpose');
  return storeWeights(graph, new Map(layers.map(({ name }) => [name, 'w8']))).size;
}

export function codesKey(weight: string, form: WeightForm): string {
  return JSON.stringify([weight, form]);
}

export function readersOf(graph: Graph): Map<string, Layer[]> {
  const readers = new Map<string, Layer[]>();
  for (const layer of storedLayersOf(graph)) readers.set(layer.weight, [...(readers.get(layer.weight) ?? []), layer]);
  return readers;
}

function strongest(forms: readonly (WeightForm | undefined)[]): WeightForm | undefined {
  if (forms.includes(undefined)) return undefined;
  return WEIGHT_FORMS[Math.max(...forms.map((form) => WEIGHT_FORMS.indexOf(form as WeightForm)))];
}

function replaceConstant(graph: Graph, old: string, name: string, value: Tensor): string {
  graph.initializers.delete(old);
  graph.initializers.set(name, constantOf(value));
  return name;
}

export interface StoredIntegers {
  /** In the weight's own layout. */
  readonly codes: Int8Array;
  readonly scales: Float32Array;
  /** Broadcasts against the weight. */
  readonly scaleShape: number[];
}

function integersOf(
  form: IntegerForm,
  weight: { readonly shape: readonly number[]; readonly data: Float32Array },
  readers: readonly Layer[],
  grams: LayerGrams,
): StoredIntegers {
  const layer = readers[0] as Layer;
  const moments = sharedMoments(readers, grams);
  // What is measured and committed of 8 bits without data is of exactly these.
  if (form === 'w8' && !moments) return quantizePerChannel(weight, layer.axis);
  const { codes, scales } = quantizeLayer(layer, weight.data, form, moments);
  return storedIntegers(layer, { codes, scales });
}

/** Codes by rows, and a scale a row. */
interface RowCodes {
  readonly codes: Int8Array;
  readonly scales: Float32Array;
}

function quantizeLayer(layer: Layer, weight: Float32Array, form: IntegerForm, moments?: readonly Gram[]): RowCodes {
  const rows = weightRows(layer, weight);
  const columns = rows.length / rowCount(layer);
  const levels = LEVELS[form];
  if (!moments) {
    const left = form === 'sparse' ? pruneSmallest(rows, ZEROS_SHARE) : rows;
    const grid = chooseGrid(left, { columns, levels });
    return { codes: roundRows(left, grid), scales: grid.scales };
  }
  const codes = new Int8Array(rows.length);
  const scales = new Float32Array(rowCount(layer));
  const perGroup = rowCount(layer) / moments.length;
  for (const [group, moment] of moments.entries()) {
    const first = group * perGroup;
    const own = rows.subarray(first * columns, (first + perGroup) * columns);
    const made = quantizeGroup(own, form, moment);
    scales.set(made.scales, first);
    codes.set(made.codes, first * columns);
  }
  return { codes, scales };
}

/** @param rows of one group, [rows, columns] */
export function quantizeGroup(rows: Float32Array, form: IntegerForm, { columns, gram }: Gram): RowCodes {
  const grid = chooseGrid(rows, { columns, levels: LEVELS[form] }, columnImportance(gram, columns));
  const gone = form === 'sparse' ? leastImportant(rows, columns, errorCosts(gram, columns), ZEROS_SHARE) : undefined;
  return { codes: gptq(rows, gram, grid, gone), scales: grid.scales };
}

/** Codes by rows -> as they are stored. */
export function storedIntegers(layer: Layer, { codes, scales }: RowCodes): StoredIntegers {
  const scaleShape = layer.shape.map((_, i) => (i === layer.axis ? rowCount(layer) : 1));
  return { codes: Int8Array.from(weightOfRows(layer, Float32Array.from(codes))), scales, scaleShape };
}

type Gram = Pick<Moments, 'columns' | 'gram'>;

/** Of all readers of a weight together; undefined where one has none, or reads the weight another way. */
function sharedMoments(readers: readonly Layer[], grams: LayerGrams): readonly Gram[] | undefined {
  const [layer] = readers;
  const all = readers.map(({ name }) => grams.get(name));
  const first = all[0];
  if (!layer || !first || readers.length === 1) return first;
  const isAlike = (other: Layer) =>
    (other.kind === 'conv') === (layer.kind === 'conv') && other.axis === layer.axis && other.groups === layer.groups;
  if (!readers.every(isAlike) || all.includes(undefined)) return undefined;
  return first.map(({ columns }, group) => {
    const gram = new Float64Array(columns * columns);
    for (const moments of all) {
      const more = moments?.[group]?.gram ?? [];
      for (let i = 0; i < more.length; i++) gram[i] = (gram[i] as number) + (more[i] as number);
    }
    return { columns, gram };
  });
}

function channelsAlong(shape: readonly number[], axis: number): (i: number) => number {
  const stride = elementCount(shape.slice(axis + 1));
  const channels = shape[axis] ?? 1;
  return (i) => Math.floor(i / stride) % channels;
}

/** Symmetric, round to nearest, codes in [-127, 127], of which each channel uses all. */
export function quantizePerChannel(
  { shape, data }: { readonly shape: readonly number[]; readonly data: Float32Array },
  axis: number,
): StoredIntegers {
  const channels = shape[axis] ?? 1;
  const channelOf = channelsAlong(shape, axis);
  const scales = new Float32Array(channels);
  for (let i = 0; i < data.length; i++) {
    const c = channelOf(i);
    scales[c] = Math.max(scales[c] as number, Math.abs(data[i] as number) / 127);
  }
  const codes = new Int8Array(data.length);
  for (let i = 0; i < data.length; i++) {
    const scale = scales[channelOf(i)] as number;
    // Clamped: the scale of very small weights is not exact any more.
    const code = scale === 0 ? 0 : Math.round((data[i] as number) / scale);
    codes[i] = Math.min(127, Math.max(-127, code));
  }
  return { codes, scales, scaleShape: shape.map((_, i) => (i === axis ? channels : 1)) };
}
