import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type PackedRun, packedFile } from '../../../compiler/compress/packed-file.ts';
import { CODES } from '../../../compiler/compress/weight-classes.ts';
import { EXPANSION_MAX, UNPACKED_BYTES_MAX, unpackModel } from '../../../shared/codec/weights.ts';
import { TandemError } from '../../../shared/errors.ts';
import { tinyModelBytes } from '../../helpers/tiny-model.ts';
import { tandemError } from '../tandem-error.ts';

/** Bytes "ab", then four codes -2 in two channels of one table, then "c"; every line a field. */
const GOLDEN = [
  '00 54 57 01', // magic, version
  '07 00 00 00', // bytes of the model
  '03 00 00 00', // bytes of the skeleton
  '01', // tables
  'fe 00 00 40', // from code -2, 0 further ones: 16,384
  '01 00', // runs
  '02 00 00 00', // gap
  '04 00 00 00', // length
  '01 00 00 00', // stride
  '02 00 00 00 00 00', // channels, their tables
  '61 62 63', // skeleton
  '00 00 00 00', // one code that is certain takes nothing but the coder's end
];

const hex = (lines: readonly string[]) => Uint8Array.from(Buffer.from(lines.join('').replaceAll(' ', ''), 'hex'));
/** The golden file with another line. */
const changed = (line: number, to: string) => hex(GOLDEN.with(line, to));

describe('unpacking a model', () => {
  test('reads the layout that PROTOCOL.md gives', () => {
    expect(Buffer.from(unpackModel(hex(GOLDEN))).toString('hex')).toBe('6162fefefefe63');
  });

  test.each([
    ['an ONNX model', tinyModelBytes()],
    ['an empty file', new Uint8Array()],
    ['another file that begins with a zero', Uint8Array.of(0, 0x54, 0x58, 1)],
  ])('gives back %s as it is', (_, bytes) => {
    expect(unpackModel(bytes)).toBe(bytes);
  });

  test('gives any bytes back, bit for bit, wherever weights are cut out of them', () => {
    fc.assert(
      fc.property(files(), ({ model, runs, tables }) => {
        const packed = packedFile(model, runs, tables);
        // Not a file of ours, but one whose place in memory is not its own: what a download is.
        const moved = new Uint8Array(packed.length + 3);
        moved.set(packed, 3);
        fc.pre(model.length <= EXPANSION_MAX * packed.length);
        expect(Buffer.compare(unpackModel(moved.subarray(3)), model)).toBe(0);
      }),
      { numRuns: 200 },
    );
  });

  test('refuses a file that ends anywhere before its end', () => {
    const packed = packedFile(...small());
    expect(unpackModel(packed)).toEqual(small()[0]);
    for (let length = 3; length < packed.length; length++) {
      const reading = () => unpackModel(packed.slice(0, length));
      expect(reading, `${length} of ${packed.length} bytes`).toThrow(tandemError('BAD_BUNDLE'));
    }
  });

  test('refuses a file with bytes behind its end', () => {
    const longer = Uint8Array.from([...packedFile(...small()), 0]);
    expect(() => unpackModel(longer)).toThrow(tandemError('BAD_BUNDLE', 'end elsewhere'));
  });

  test.each([
    ['another version', 0, '00 54 57 02', 'expected version 1, got 2'],
    ['more bytes than its parts have', 1, '08 00 00 00', 'expected parts of 8 bytes, got 7'],
    ['fewer bytes than its parts have', 1, '06 00 00 00', 'expected parts of 6 bytes, got 7'],
    ['a model of 4 GB', 1, 'ff ff ff ff', 'expected a model of up to'],
    ['a skeleton of 4 GB', 2, 'ff ff ff ff', 'expected parts of 7 bytes'],
    ['too many tables', 3, '11', 'expected up to 16 tables, got 17'],
    ['no table', 3, '00', ''],
    ['frequencies that sum to too little', 4, 'fe 00 ff 3f', 'sum to 16384, got 16383'],
    ['frequencies that sum to too much', 4, 'fe 00 01 40', 'sum to 16384, got 16385'],
    ['65,535 runs', 5, 'ff ff', ''],
    ['a gap beyond the skeleton', 6, '04 00 00 00', 'got 7, 4 of 3 between weights'],
    ['a gap of 4 GB', 6, 'ff ff ff ff', 'of 3 between weights'],
    ['a run of 4 GB', 7, 'ff ff ff ff', ''],
    ['an empty run', 7, '00 00 00 00', 'got 0 codes'],
    ['a run that its channels do not divide', 7, '03 00 00 00', 'got 3 codes'],
    ['a stride of nothing', 8, '00 00 00 00', '2 channels of 0 codes'],
    ['a stride of 4 GB', 8, 'ff ff ff ff', 'got 4 codes'],
    ['no channels', 9, '00 00 00 00', 'of 0 channels'],
    ['4 G channels', 9, 'ff ff ff ff 00 00', 'expected 4294967295 more bytes'],
    ['a table that it does not have', 9, '02 00 00 00 00 01', 'expected one of 1 tables, got table 1'],
    ['no coded bytes', 11, '', 'end elsewhere'],
  ])('refuses a file with %s', (_, line, to, message) => {
    expect(() => unpackModel(changed(line, to))).toThrow(tandemError('BAD_BUNDLE', message));
  });

  test('takes a model of up to 64 times the file, and none beyond the limit however large the file is', () => {
    const size = hex(GOLDEN).length;
    const claim = (bytes: number) => {
      const file = changed(1, '').slice(4);
      const head = Uint8Array.from([0, 0x54, 0x57, 1, 0, 0, 0, 0]);
      new DataView(head.buffer).setUint32(4, bytes, true);
      return () => unpackModel(Uint8Array.from([...head, ...file]));
    };
    expect(claim(EXPANSION_MAX * size)).toThrow(tandemError('BAD_BUNDLE', 'expected parts of'));
    expect(claim(EXPANSION_MAX * size + 1)).toThrow(
      tandemError('BAD_BUNDLE', `up to ${EXPANSION_MAX * size} bytes, got ${EXPANSION_MAX * size + 1}`),
    );
    const large = new Uint8Array(UNPACKED_BYTES_MAX / EXPANSION_MAX + 1);
    large.set([0, 0x54, 0x57, 1, 1, 0, 0, 0x10]);
    expect(() => unpackModel(large)).toThrow(tandemError('BAD_BUNDLE', `up to ${UNPACKED_BYTES_MAX} bytes`));
  });

  test('makes of a broken file either a coded error or a model no larger than it may be', () => {
    const packed = packedFile(...small());
    const places = fc.array(fc.tuple(fc.nat(packed.length - 1), fc.integer({ min: 1, max: 255 })), { minLength: 1 });
    const outcomes = { refused: 0, read: 0 };
    fc.assert(
      fc.property(places, (flips) => {
        const broken = packed.slice();
        for (const [at, bits] of flips) broken[at] = (broken[at] as number) ^ bits;
        try {
          expect(unpackModel(broken).length).toBeLessThanOrEqual(EXPANSION_MAX * broken.length);
          outcomes.read++;
        } catch (error) {
          if (!(error instanceof TandemError)) throw error;
          expect(error.code).toBe('BAD_BUNDLE');
          outcomes.refused++;
        }
      }),
      { numRuns: 2000, seed: 1 },
    );
    // Both kinds were met.
    expect(Math.min(outcomes.refused, outcomes.read)).toBeGreaterThan(50);
  });
});

type Packed = Parameters<typeof packedFile>;

/** Two weights between three pieces of text. */
function small(): [Uint8Array, PackedRun[], Uint32Array[]] {
  const codes = Int8Array.from({ length: 96 }, (_, i) => ((i * i * 7) % 15) - 7);
  const few = Int8Array.from({ length: 30 }, (_, i) => (i % 7 === 0 ? 1 : 0));
  const model = Uint8Array.from([1, 2, 3, ...codes, 4, ...few, 5, 6].map((value) => value & 255));
  const runs = [
    { offset: 3, codes, stride: 4, classes: Uint8Array.of(0, 1, 0, 1) },
    { offset: 100, codes: few, stride: 1, classes: Uint8Array.of(1) },
  ];
  return [model, runs, tablesOf(runs)];
}

/** Counted in a way of its own, a channel at a time. */
function tablesOf(runs: readonly PackedRun[]): Uint32Array[] {
  const count = Math.max(0, ...runs.flatMap(({ classes }) => [...classes])) + 1;
  const tables = Array.from({ length: count }, () => new Uint32Array(CODES));
  for (const { codes, stride, classes } of runs) {
    const outer = codes.length / (stride * classes.length);
    for (let o = 0; o < outer; o++) {
      for (const [channel, table] of classes.entries()) {
        const from = (o * classes.length + channel) * stride;
        for (const code of codes.subarray(from, from + stride)) {
          const counts = tables[table] as Uint32Array;
          counts[code + CODES / 2] = (counts[code + CODES / 2] as number) + 1;
        }
      }
    }
  }
  // A table that no channel took still sums to something.
  for (const table of tables) if (table.every((n) => n === 0)) table[CODES / 2] = 1;
  return tables;
}

function files(): fc.Arbitrary<{ model: Packed[0]; runs: Packed[1]; tables: Packed[2] }> {
  const run = fc
    .record({
      gap: fc.uint8Array({ maxLength: 20 }),
      outer: fc.integer({ min: 1, max: 3 }),
      stride: fc.integer({ min: 1, max: 9 }),
      classes: fc.uint8Array({ minLength: 1, maxLength: 6, max: 3 }),
      levels: fc.constantFrom(0, 1, 3, 7, 127),
      seed: fc.integer(),
    })
    .chain(({ gap, outer, stride, classes, levels }) => {
      const length = outer * stride * classes.length;
      const codes = fc.int8Array({
        minLength: length,
        maxLength: length,
        min: levels === 127 ? -128 : -levels,
        max: levels,
      });
      return codes.map((values) => ({ gap, stride, classes, codes: values }));
    });
  return fc.tuple(fc.array(run, { maxLength: 4 }), fc.uint8Array({ maxLength: 20 })).map(([parts, rest]) => {
    const bytes: number[] = [];
    const runs = parts.map(({ gap, stride, classes, codes }) => {
      bytes.push(...gap);
      const offset = bytes.length;
      bytes.push(...new Uint8Array(codes.buffer, codes.byteOffset, codes.length));
      return { offset, codes, stride, classes };
    });
    return { model: Uint8Array.from([...bytes, ...rest]), runs, tables: tablesOf(runs) };
  });
}
