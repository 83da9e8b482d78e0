/**
 * Entropy coding of stored weights, where it pays: int8 codes of few values (6 bits and fewer, or pruned) are cut out of
 * the model's file and range-coded. 8-bit weights are close to noise and left to brotli: coding them gains 0 to 2 % over what
 * is served anyway, against 17 % at 4 bits and 22 % at 3 (ocr-line's five segments).
 */
import { brotliCompressSync, constants } from 'node:zlib';
import { SERVED_BROTLI_LEVEL } from '../../shared/bundle.ts';
import { EXPANSION_MAX, UNPACKED_BYTES_MAX, unpackModel } from '../../shared/codec/weights.ts';
import { type Graph, indexGraph } from '../graph/graph.ts';
import { type RawPlace, rawPlaces } from '../onnx/raw-places.ts';
import { type PackedRun, packedFile } from './packed-file.ts';
import { CODES, type Histogram, roughBits, weightClasses } from './weight-classes.ts';

/** Smaller weights take more bytes to describe than coding them saves. */
const CODES_MIN = 256;
/** What coding must leave of the file at most: else it is no work for a device. */
const SIZE_RATIO_MAX = 0.95;
/** Codes of so few values, 6 bits, take at least a third less where they are kept once they are coded... */
export const FEW_VALUES = 63;
/** ...and may take so much more where they are sent than as brotli has them. What has more values must gain there as well. */
export const SENT_RATIO_MAX = 1.02;
const RUNS_MAX = 65_535;

/** The bytes to store for a model: a packed file where that is worth it, else the model's own. */
export function packModel(model: Uint8Array): { readonly bytes: Uint8Array; readonly isPacked: boolean } {
  const plain = { bytes: model, isPacked: false };
  const runs = payingWeights(model);
  if (runs.length === 0 || runs.length > RUNS_MAX || model.length > UNPACKED_BYTES_MAX) return plain;
  const { classes, tables } = weightClasses(runs.flatMap(({ channels }) => channels));
  let end = 0;
  const classed = runs.map((run): PackedRun => {
    end += run.channels.length;
    return { ...run, classes: classes.slice(end - run.channels.length, end) };
  });
  const bytes = packedFile(model, classed, tables);
  if (model.length > bytes.length * EXPANSION_MAX) return plain;
  if (bytes.length > SIZE_RATIO_MAX * model.length || brotliBytes(bytes) > SENT_RATIO_MAX * brotliBytes(model)) {
    return plain;
  }
  assertSame(unpackModel(bytes), model);
  return { bytes, isPacked: true };
}

/** Bytes that a gateway sends of a file, to a client that takes brotli. */
export function brotliBytes(bytes: Uint8Array): number {
  const params = { [constants.BROTLI_PARAM_QUALITY]: SERVED_BROTLI_LEVEL };
  return Math.min(bytes.length, brotliCompressSync(bytes, { params }).length);
}

interface Weight {
  readonly offset: number;
  readonly codes: Int8Array;
  readonly stride: number;
  readonly channels: readonly Histogram[];
}

/** Those that are worth coding, by a quick look. */
function payingWeights(model: Uint8Array): Weight[] {
  const { graph, places } = rawPlaces(model, 'the segment to pack');
  const codes = places.filter(
    ({ name, bytes }) => graph.initializers.get(name)?.elementType === 'int8' && bytes.length >= CODES_MIN,
  );
  if (codes.length === 0) return [];
  const channelsOf = channelFinder(graph);
  return codes
    .map((place) => weightOf(place, channelsOf(place.name)))
    .filter(({ codes: { buffer, byteOffset, length }, channels }) => {
      const bytes = new Uint8Array(buffer, byteOffset, length);
      const sentRatioMax = new Set(bytes).size <= FEW_VALUES ? SENT_RATIO_MAX : SIZE_RATIO_MAX;
      return roughBits(channels) / 8 < sentRatioMax * brotliBytes(bytes);
    });
}

interface Channels {
  readonly count: number;
  readonly stride: number;
}

const ONE_CHANNEL: Channels = { count: 1, stride: 1 };

/** Which codes share a scale is read off the Mul that follows: storage is Cast -> Mul(scale). */
function channelFinder(graph: Graph): (name: string) => Channels {
  const index = indexGraph(graph);
  return (name) => {
    const shape = graph.initializers.get(name)?.shape ?? [];
    const cast = index.consumers.get(name)?.find(({ op }) => op === 'Cast');
    const product = index.consumers.get(cast?.outputs[0] ?? '')?.find(({ op }) => op === 'Mul');
    const scale = product?.inputs.map((input) => graph.initializers.get(input)).find((found) => found !== undefined);
    if (scale?.shape.length !== shape.length) return ONE_CHANNEL;
    const axis = scale.shape.findIndex((dim) => dim > 1);
    const isPerChannel = axis >= 0 && scale.shape.every((dim, i) => dim === (i === axis ? shape[i] : 1));
    if (!isPerChannel) return ONE_CHANNEL;
    return { count: shape[axis] ?? 1, stride: shape.slice(axis + 1).reduce((a, b) => a * b, 1) };
  };
}

function weightOf({ offset, bytes }: RawPlace, { count, stride }: Channels): Weight {
  const codes = new Int8Array(bytes.buffer, bytes.byteOffset, bytes.length);
  const channels = Array.from({ length: count }, () => new Uint32Array(CODES));
  for (let i = 0; i < codes.length; i++) {
    const channel = channels[Math.floor(i / stride) % count] as Histogram;
    const code = (codes[i] as number) + CODES / 2;
    channel[code] = (channel[code] as number) + 1;
  }
  return { offset, codes, stride, channels };
}

/** The one thing that must never happen quietly is a weight that changed. */
function assertSame(unpacked: Uint8Array, model: Uint8Array): void {
  if (Buffer.compare(unpacked, model) !== 0) throw new Error('a packed model does not unpack to itself');
}
