/**
 * A decoder that is trained by gradient: a network of two hidden layers from what a place of the boundary and its neighbours
 * hold, what the closed form told around it, and how the boundary is as a whole, to what the closed form missed in the cell. It
 * is trained for the likeness that is reported, not for squared error, which makes a pale picture of what is uncertain; and it
 * begins with telling nothing, so that on held-out samples it is never worse than what it corrects.
 */
import { seededRandom } from '../../shared/random.ts';
import { float32, type Tensors } from '../../shared/tensor.ts';
import type { Score } from './attack.ts';
import { type FeatureBasis, type FeatureMap, featureMap, fitBasis, viewOfCells } from './features.ts';
import { type Level, withLevel } from './levels.ts';
import type { Matrices, Matrix } from './matrices.ts';
import { type Network, newAdam, newParameters, type Parameters } from './network.ts';
import type { Plane } from './plane.ts';
import { likenessTo } from './similarity.ts';

/** One sample as the closed form leaves it. */
export interface Untrained {
  readonly boundary: Tensors;
  /** What it told, by equations that the sample had no part in, without its level. */
  readonly told: Plane;
  readonly level: Level;
}

export interface TrainingSample extends Untrained {
  /** With its level: what was there. */
  readonly view: Plane;
}

/** What decoders of one boundary share: whoever attacks the next defence begins with what attacked the first. */
export interface Trained {
  readonly basis: FeatureBasis;
  readonly parameters: Parameters;
}

export interface TrainedAttackOptions {
  readonly network: Network;
  /** Of the boundary, without what was told. */
  readonly basis: FeatureBasis;
  /** undefined for the first. */
  readonly start: Trained | undefined;
  readonly seed: number;
  /** Of the first; others take `SHARE_AFTER` of them. */
  readonly steps: number;
  /** Of what is told of the held-out samples, with their levels, that the step to stop at is chosen by. */
  readonly score: Score;
}

export interface TrainedAttack {
  readonly trained: Trained;
  /** With their levels. */
  readonly heldOut: readonly Plane[];
  reconstruct(sample: Untrained): Promise<Plane>;
}

const WIDTHS = [128, 64] as const;
export const NETWORK_LAYERS = WIDTHS.length + 1;
/** Of one step; places are taken together with their neighbours, as likeness is of those. */
const PLACES = 256;
const PIXELS = 49_152;
const RATE = 1e-3;
const WARM_UP_STEPS = 20;
const DECAY = 0.01;
const SHARE_AFTER = 0.3;
/** How often held-out samples are looked at. */
const CHECKS = 4;
const PLACES_AT_ONCE = 4096;
/** Where what the closed form told lies among what is looked at. */
export const TOLD = { name: 'told', rowAxis: 2, columnAxis: 3 } as const;

/** @param training at least one, of as many places a row of cells as all others */
export async function trainedAttack(
  matrices: Matrices,
  training: readonly TrainingSample[],
  heldOut: readonly TrainingSample[],
  { network, basis, start, seed, steps, score }: TrainedAttackOptions,
): Promise<TrainedAttack> {
  const [first] = training as [TrainingSample, ...TrainingSample[]];
  const own = await featureMap(matrices, basis, first.boundary);
  const [height, width] = [first.told.rows / own.rows, first.told.columns / own.columns];
  const withTold = ({ boundary, told }: Untrained) => ({ ...boundary, [TOLD.name]: cellsOf(told, height, width) });
  const around = start?.basis ?? (await fitAround(matrices, basis, training.map(withTold)));
  const mapOf = (sample: Untrained) => featureMap(matrices, around, withTold(sample));
  const random = seededRandom(seed);
  const columns = around.columns + (await mapOf(first)).overall.length;
  const parameters = (start?.parameters ?? newParameters([columns, ...WIDTHS, height * width], random)).map(copied);
  const tell = async (known: Parameters, sample: Untrained, map: FeatureMap): Promise<Plane> => {
    const cells = { rows: map.rows * map.columns, columns: height * width };
    const data = new Float32Array(cells.rows * cells.columns);
    for (let from = 0; from < cells.rows; from += PLACES_AT_ONCE) {
      const count = Math.min(PLACES_AT_ONCE, cells.rows - from);
      const places = Array.from({ length: count }, (_, i) => from + i);
      data.set((await network.tell(known, inputsOf([{ map, places }]))).data, from * cells.columns);
    }
    return corrected(sample, viewOfCells({ ...cells, data }, map, height));
  };
  const judged: { sample: TrainingSample; map: FeatureMap }[] = [];
  for (const sample of heldOut) judged.push({ sample, map: await mapOf(sample) });
  const judge = async () => {
    const planes: Plane[] = [];
    for (const { sample, map } of judged) planes.push(await tell(parameters, sample, map));
    return { planes, score: score(planes), parameters: parameters.map(copied) };
  };
  let best = await judge();
  const maps: FeatureMap[] = [];
  for (const sample of training) maps.push(await mapOf(sample));
  const adam = newAdam(parameters, DECAY);
  const together = Math.max(1, Math.min(PLACES, Math.floor(PIXELS / (height * width))));
  const total = Math.max(1, Math.round(steps * (start ? SHARE_AFTER : 1)));
  for (let step = 1; step <= total; step++) {
    const crops: Crop[] = [];
    for (let places = 0; places < together; places += crops.at(-1)?.places.length ?? together) {
      const i = Math.floor(random() * training.length);
      crops.push(cropOf(training[i] as TrainingSample, maps[i] as FeatureMap, [height, width], together, random));
    }
    const gradients = await network.learn(parameters, inputsOf(crops), (told) => gradientOf(crops, told, height));
    const rate = RATE * Math.min(1, step / WARM_UP_STEPS) * 0.5 * (1 + Math.cos((Math.PI * step) / total));
    adam.step(gradients, rate);
    if (step % Math.ceil(total / CHECKS) !== 0 && step !== total) continue;
    const now = await judge();
    if (now.score > best.score) best = now;
  }
  return {
    trained: { basis: around, parameters: best.parameters },
    heldOut: best.planes,
    reconstruct: async (sample) => tell(best.parameters, sample, await mapOf(sample)),
  };
}

/** Some neighbouring places of a sample. */
interface Crop {
  readonly map: FeatureMap;
  readonly places: readonly number[];
  readonly rows: number;
  readonly columns: number;
  readonly told: Plane;
  readonly level: Level;
  readonly view: Plane;
}

/** As square as it can be. */
function cropOf(
  sample: TrainingSample,
  map: FeatureMap,
  [height, width]: readonly [number, number],
  places: number,
  random: () => number,
): Crop {
  const square = Math.floor(Math.sqrt((places * width) / height));
  const rows = Math.min(map.rows, Math.max(1, square, Math.ceil(places / map.columns)));
  const columns = Math.min(map.columns, Math.max(1, Math.floor(places / rows)));
  const top = Math.floor(random() * (map.rows - rows + 1));
  const left = Math.floor(random() * (map.columns - columns + 1));
  const chosen = Array.from({ length: rows * columns }, (_, i) => {
    return (top + Math.floor(i / columns)) * map.columns + left + (i % columns);
  });
  const part = (plane: Plane) => cropped(plane, top * height, left * width, rows * height, columns * width);
  return { map, places: chosen, rows, columns, told: part(sample.told), level: sample.level, view: part(sample.view) };
}

function cropped(plane: Plane, top: number, left: number, rows: number, columns: number): Plane {
  const data = new Float32Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    const from = (top + row) * plane.columns + left;
    data.set(plane.data.subarray(from, from + columns), row * columns);
  }
  return { rows, columns, data };
}

/** Of how unlike what was there the crops are, by what the network told of their places, one crop after the other. */
function gradientOf(crops: readonly Crop[], told: Matrix, height: number): Float32Array {
  const gradient = new Float32Array(told.data.length);
  const width = told.columns / height;
  let from = 0;
  for (const crop of crops) {
    const { length } = crop.places;
    const data = told.data.subarray(from * told.columns, (from + length) * told.columns);
    const shown = corrected(crop, viewOfCells({ rows: length, columns: told.columns, data }, crop, height));
    const scale = (-crop.level.deviation * length) / told.rows;
    const likeness = likenessTo(crop.view)(shown);
    for (let place = 0; place < length; place++) {
      const [top, left] = [Math.floor(place / crop.columns) * height, (place % crop.columns) * width];
      const to = (from + place) * told.columns;
      for (let i = 0; i < told.columns; i++) {
        const at = (top + Math.floor(i / width)) * shown.columns + left + (i % width);
        gradient[to + i] = scale * (likeness.gradient[at] as number);
      }
    }
    from += length;
  }
  return gradient;
}

function corrected({ told, level }: Pick<Untrained, 'told' | 'level'>, correction: Plane): Plane {
  const data = told.data.map((value, i) => value + (correction.data[i] as number));
  return withLevel({ ...told, data }, level);
}

/** What is known of places, and of the whole that each is of. */
function inputsOf(crops: readonly { readonly map: FeatureMap; readonly places: readonly number[] }[]): Matrix {
  const parts = crops.map(({ map, places }) => ({ local: map.at(places), overall: map.overall }));
  const rows = parts.reduce((sum, { local }) => sum + local.rows, 0);
  const columns = (parts[0]?.local.columns ?? 0) + (parts[0]?.overall.length ?? 0);
  const data = new Float32Array(rows * columns);
  let to = 0;
  for (const { local, overall } of parts) {
    for (let row = 0; row < local.rows; row++) {
      data.set(local.data.subarray(row * local.columns, (row + 1) * local.columns), to);
      data.set(overall, to + local.columns);
      to += columns;
    }
  }
  return { rows, columns, data };
}

function fitAround(
  matrices: Matrices,
  { tensors }: FeatureBasis,
  boundaries: readonly Tensors[],
): Promise<FeatureBasis> {
  return fitBasis(matrices, [...tensors.map(({ placed }) => placed), TOLD], boundaries);
}

/** Pixels of each cell as channels of its place. */
function cellsOf({ rows, columns, data }: Plane, height: number, width: number): Tensors[string] {
  const [down, across] = [rows / height, columns / width];
  const values = new Float32Array(data.length);
  for (let i = 0; i < data.length; i++) {
    const [row, column] = [Math.floor(i / columns), i % columns];
    const channel = (row % height) * width + (column % width);
    values[(channel * down + Math.floor(row / height)) * across + Math.floor(column / width)] = data[i] as number;
  }
  return float32([1, height * width, down, across], values);
}

function copied(matrix: Matrix): Matrix {
  return { ...matrix, data: matrix.data.slice() };
}
