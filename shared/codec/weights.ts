/**
 * Packed model files: an ONNX file with the bytes of its quantized weights range-coded. Unpacking gives the very file
 * back, bit for bit, and knows nothing of ONNX: weights are runs of int8 codes cut out of a file. What a code's
 * frequencies are depends on its channel's class; all tables are static and in the file (PROTOCOL.md has its layout).
 * There is no checksum: whoever reads a file of a plan has checked its SHA-256, and unpacking rounds nothing.
 */
import { TandemError } from '../errors.ts';
import { lookup } from './frequencies.ts';
import { FREQUENCY_TOTAL, RangeDecoder } from './range-coder.ts';

/** No protobuf message begins with a zero byte: it would be the tag of field 0. The last byte is the version. */
export const PACKED_MAGIC = [0x00, 0x54, 0x57, 0x01] as const;
/** Frequency tables of one file. */
export const TABLES_MAX = 16;
/** Bytes of the model that a packed file may hold. */
export const UNPACKED_BYTES_MAX = 256 * 1024 * 1024;
/** How many times its own size a file may unpack to: what a few bytes can claim stays small, in memory and in time. */
export const EXPANSION_MAX = 64;

/** Codes of one weight that lie together: outermost something, then channels, then `stride` codes of each. */
interface Run {
  /** Bytes of the skeleton that come before it, after the run before. */
  readonly gap: number;
  readonly length: number;
  /** Neighbouring codes of one channel. */
  readonly stride: number;
  /** Table of each channel. */
  readonly classes: Uint8Array;
}

/** Cumulative frequencies of the codes from `first` on, and where decoding looks them up. */
interface Table {
  readonly first: number;
  readonly cumulated: Uint16Array;
  readonly entries: Uint8Array;
}

/**
 * The model that a device segment's file holds: the file itself where it is not packed.
 * @throws BAD_BUNDLE for a packed file that is broken, too large, or of another version
 */
export function unpackModel(file: Uint8Array): Uint8Array {
  const [zero, t, w, version] = PACKED_MAGIC;
  if (file[0] !== zero || file[1] !== t || file[2] !== w) return file;
  if (file[3] !== version) throw broken(`expected version ${version}, got ${file[3] ?? 'nothing'}`);
  const reader = readerOf(file, PACKED_MAGIC.length);
  const modelBytes = reader.uint32();
  const bytesMax = Math.min(UNPACKED_BYTES_MAX, EXPANSION_MAX * file.length);
  if (modelBytes > bytesMax) throw broken(`expected a model of up to ${bytesMax} bytes, got ${modelBytes}`);
  const skeletonBytes = reader.uint32();
  const tables = readTables(reader);
  const runs = readRuns(reader, tables.length);
  const gaps = sum(runs, (run) => run.gap);
  const parts = skeletonBytes + sum(runs, (run) => run.length);
  if (gaps > skeletonBytes || parts !== modelBytes) {
    throw broken(`expected parts of ${modelBytes} bytes, got ${parts}, ${gaps} of ${skeletonBytes} between weights`);
  }
  const skeleton = reader.bytes(skeletonBytes);
  const decoder = new RangeDecoder(reader.bytes(reader.left()));
  const model = new Uint8Array(modelBytes);
  let [taken, end] = [0, 0];
  for (const run of runs) {
    model.set(skeleton.subarray(taken, taken + run.gap), end);
    taken += run.gap;
    end += run.gap;
    decodeRun(model.subarray(end, end + run.length), run, tables, decoder);
    end += run.length;
  }
  model.set(skeleton.subarray(taken), end);
  if (!decoder.isAtEnd) throw broken('its coded weights end elsewhere than the file');
  return model;
}

function decodeRun(codes: Uint8Array, { stride, classes }: Run, tables: readonly Table[], decoder: RangeDecoder): void {
  for (let i = 0, channel = 0; i < codes.length; channel = (channel + 1) % classes.length) {
    const table = tables[classes[channel] as number] as Table;
    decodeCodes(codes, i, i + stride, table, decoder);
    i += stride;
  }
}

function decodeCodes(codes: Uint8Array, from: number, to: number, table: Table, decoder: RangeDecoder): void {
  const { first, cumulated, entries } = table;
  // Codes count on from -1, which is 255, to 0: what is written keeps its low byte.
  for (let i = from; i < to; i++) codes[i] = first + decoder.decode(cumulated, 0, entries, 0);
}

function readTables(reader: Reader): Table[] {
  const count = reader.uint8();
  if (count > TABLES_MAX) throw broken(`expected up to ${TABLES_MAX} tables, got ${count}`);
  return Array.from({ length: count }, () => readTable(reader));
}

function readTable(reader: Reader): Table {
  const first = reader.uint8();
  const cumulated = new Uint16Array(2 + reader.uint8());
  let total = 0;
  for (let symbol = 1; symbol < cumulated.length; symbol++) {
    total += reader.uint16();
    cumulated[symbol] = total;
  }
  if (total !== FREQUENCY_TOTAL) throw broken(`expected frequencies that sum to ${FREQUENCY_TOTAL}, got ${total}`);
  return { first, cumulated, entries: lookup(cumulated) };
}

function readRuns(reader: Reader, tableCount: number): Run[] {
  return Array.from({ length: reader.uint16() }, () => {
    const [gap, length, stride, channels] = [reader.uint32(), reader.uint32(), reader.uint32(), reader.uint32()];
    const classes = reader.bytes(channels);
    if (length === 0 || length % (stride * channels) !== 0) {
      throw broken(`expected a weight of ${channels} channels of ${stride} codes, got ${length} codes`);
    }
    const wrong = classes.find((table) => table >= tableCount);
    if (wrong !== undefined) throw broken(`expected one of ${tableCount} tables, got table ${wrong}`);
    return { gap, length, stride, classes };
  });
}

type Reader = ReturnType<typeof readerOf>;

/** Little-endian numbers and bytes in their order; BAD_BUNDLE at the end of the file. */
function readerOf(file: Uint8Array, from: number) {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  let end = from;
  const take = (bytes: number) => {
    if (bytes > file.length - end) throw broken(`expected ${bytes} more bytes, got ${file.length - end}`);
    end += bytes;
    return end - bytes;
  };
  return {
    uint8: () => view.getUint8(take(1)),
    uint16: () => view.getUint16(take(2), true),
    uint32: () => view.getUint32(take(4), true),
    bytes(count: number) {
      const at = take(count);
      return file.subarray(at, at + count);
    },
    left: () => file.length - end,
  };
}

function sum<T>(values: readonly T[], of: (value: T) => number): number {
  return values.reduce((total, value) => total + of(value), 0);
}

function broken(why: string): TandemError {
  return new TandemError('BAD_BUNDLE', `a packed model is broken: ${why}`);
}
