/** Writes the packed model files that shared/codec/weights.ts reads: the same layout, the other way round. */

import { FREQUENCY_TOTAL, RangeEncoder } from '../../shared/codec/range-coder.ts';
import { PACKED_MAGIC } from '../../shared/codec/weights.ts';
import { joined } from '../../shared/joined.ts';
import { CODES, type Histogram } from './weight-classes.ts';

/** A weight that is cut out of the file. */
export interface PackedRun {
  /** Where in the file it begins, in bytes. */
  readonly offset: number;
  readonly codes: Int8Array;
  /** Neighbouring codes of one channel. */
  readonly stride: number;
  /** Table of each channel. */
  readonly classes: Uint8Array;
}

/** Bytes that the coder may write beyond one a code. */
const CODER_SLACK_BYTES = 16;

/**
 * @param runs in the file's order, not overlapping
 * @param tables counts of each code; where a class's count is 0 it must not occur
 */
export function packedFile(model: Uint8Array, runs: readonly PackedRun[], tables: readonly Histogram[]): Uint8Array {
  const scaled = tables.map(scaledFrequencies);
  const skeleton: Uint8Array[] = [];
  const heads: Uint8Array[] = [];
  let end = 0;
  for (const { offset, codes, stride, classes } of runs) {
    skeleton.push(model.subarray(end, offset));
    heads.push(uint32s(offset - end, codes.length, stride, classes.length), classes);
    end = offset + codes.length;
  }
  skeleton.push(model.subarray(end));
  const skeletonBytes = skeleton.reduce((total, { length }) => total + length, 0);
  return joined([
    Uint8Array.from(PACKED_MAGIC),
    uint32s(model.length, skeletonBytes),
    Uint8Array.of(tables.length),
    ...scaled.map(tableBytes),
    uint16s(runs.length),
    ...heads,
    ...skeleton,
    encoded(runs, scaled),
  ]);
}

function encoded(runs: readonly PackedRun[], tables: readonly Uint16Array[]): Uint8Array {
  const starts = tables.map((table) => {
    let start = 0;
    return Uint16Array.from(table, (frequency) => {
      start += frequency;
      return start - frequency;
    });
  });
  const encoder = new RangeEncoder(runs.reduce((total, { codes }) => total + 2 * codes.length, CODER_SLACK_BYTES));
  for (const { codes, stride, classes } of runs) {
    for (let i = 0; i < codes.length; i++) {
      const table = classes[Math.floor(i / stride) % classes.length] as number;
      const code = (codes[i] as number) + CODES / 2;
      encoder.encode(starts[table]?.[code] as number, tables[table]?.[code] as number);
    }
  }
  return encoder.finish();
}

/** To a sum of FREQUENCY_TOTAL; what occurs has 1 at least. */
function scaledFrequencies(counts: Histogram): Uint16Array {
  const total = counts.reduce((a, b) => a + b, 0);
  const spread = FREQUENCY_TOTAL - CODES;
  const scaled = Uint16Array.from(counts, (count) => (count === 0 ? 0 : 1 + Math.floor((count * spread) / total)));
  // What rounding left over goes to the most frequent code.
  const most = counts.indexOf(Math.max(...counts));
  scaled[most] = (scaled[most] as number) + FREQUENCY_TOTAL - scaled.reduce((a, b) => a + b, 0);
  return scaled;
}

function tableBytes(frequencies: Uint16Array): Uint8Array {
  const first = frequencies.findIndex((frequency) => frequency > 0);
  const last = frequencies.findLastIndex((frequency) => frequency > 0);
  const head = Uint8Array.of((first - CODES / 2) & 255, last - first);
  return joined([head, uint16s(...frequencies.subarray(first, last + 1))]);
}

function uint16s(...values: number[]): Uint8Array {
  const bytes = new Uint8Array(2 * values.length);
  const view = new DataView(bytes.buffer);
  for (const [i, value] of values.entries()) view.setUint16(2 * i, value, true);
  return bytes;
}

function uint32s(...values: number[]): Uint8Array {
  const bytes = new Uint8Array(4 * values.length);
  const view = new DataView(bytes.buffer);
  for (const [i, value] of values.entries()) view.setUint32(4 * i, value, true);
  return bytes;
}
