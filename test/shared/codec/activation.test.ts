import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { flatTier } from '../../../client/testkit/small-plan.ts';
import { toBase64 } from '../../../shared/base64.ts';
import { type ActivationCodec, activationCodec, codedGeometry } from '../../../shared/codec/activation.ts';
import { bucketCount, stateCount } from '../../../shared/codec/context-model.ts';
import { expandFrequency } from '../../../shared/codec/frequencies.ts';
import { dequantize } from '../../../shared/codec/quantize.ts';
import type { QuantizedTensor, QuantizedTier, TensorSpec, TierBits } from '../../../shared/plan.ts';
import { TIER_BITS } from '../../../shared/plan-schema.ts';
import { gaussian, type Random, randomInt, seededRandom } from '../../../shared/random.ts';
import { asFloat32, elementCount, float32, type Tensor, tensor } from '../../../shared/tensor.ts';
import { orRefusal, tandemError } from '../tandem-error.ts';

/** A coded tensor's tables before they are text. */
interface Tables {
  readonly classes: readonly number[];
  readonly starts: readonly number[];
  readonly first: readonly number[];
  readonly second: readonly number[];
}

type Coding = QuantizedTensor;

/** One tensor with tables of its own: what a tier codes. */
interface Case {
  readonly bits: TierBits;
  readonly coding: Coding;
  readonly tables: Tables;
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

const cases: fc.Arbitrary<Case> = fc
  .record({
    bits: fc.constantFrom(...TIER_BITS),
    channels: fc.integer({ min: 1, max: 5 }),
    rows: fc.integer({ min: 1, max: 4 }),
    columns: fc.integer({ min: 1, max: 17 }),
    isOneRow: fc.boolean(),
    /** Of the values, in units of the range. */
    spread: fc.constantFrom(0, 0.05, 0.3, 3),
    seed: fc.nat(),
  })
  .map(({ bits, channels, rows, columns, isOneRow, spread, seed }) => {
    const random = seededRandom(seed);
    const tables = randomTables(random, bits, isOneRow ? 1 : channels);
    const coding = codingOf(tables, Math.fround(-5 * random()), Math.fround(0.01 + random()));
    const shape = [1, channels, rows, columns];
    const width = coding.step * (2 ** bits - 1);
    const values = Float32Array.from(
      { length: elementCount(shape) },
      () => coding.low + width * (0.5 + spread * gaussian(random)),
    );
    return { bits, coding, tables, shape, values };
  });

function randomTables(random: Random, bits: number, channels: number): Tables {
  const classCount = randomInt(random, 1, channels);
  // Some tables are flat, some steep: codes are exponents, so a small maximum makes them alike.
  const steepness = randomInt(random, 0, 255);
  const codes = (length: number) => Array.from({ length }, () => randomInt(random, 0, steepness));
  const isSplit = bits > 4;
  const starts = new Set([0]);
  while (isSplit && starts.size < bucketCount(bits)) starts.add(randomInt(random, 1, 2 ** bits - 1));
  return {
    classes: Array.from({ length: channels }, (_, c) =>
      c === 0 ? classCount - 1 : randomInt(random, 0, classCount - 1),
    ),
    starts: isSplit ? [...starts].sort((a, b) => a - b) : [],
    first: codes(classCount * stateCount(bits) * bucketCount(bits)),
    second: codes(isSplit ? 2 ** bits : 0),
  };
}

function codingOf(tables: Tables, low: number, step: number): Coding {
  const text = (bytes: readonly number[]) => toBase64(Uint8Array.from(bytes));
  return {
    ...{ low, step, channels: tables.classes.length, map: null },
    ...{ classes: text(tables.classes), starts: text(tables.starts) },
    ...{ first: text(tables.first), second: text(tables.second) },
  };
}

function codecOf({ bits, coding, shape }: Pick<Case, 'bits' | 'coding' | 'shape'>): ActivationCodec {
  const tier: QuantizedTier = { type: 'quantized', name: 'random', bits, tensors: [coding] };
  return activationCodec(tier, [specOf(shape)]);
}

function specOf(shape: readonly number[]): TensorSpec {
  return { name: 'a', dtype: 'float32', shape: [...shape] };
}

function encode(codec: ActivationCodec, shape: readonly number[], values: Float32Array): Uint8Array {
  return codec.encode([float32(shape, values)])[0] as Uint8Array;
}

function decode(codec: ActivationCodec, part: Uint8Array, shape: readonly number[]): Tensor {
  return codec.decode([part], [shape])[0] as Tensor;
}

function bytesMax({ bits, values }: Case): number {
  return 1 + Math.ceil((values.length * bits) / 8);
}

/** The symbols that these tables expect least (or most), each given those before it. */
function symbolsAgainst({ bits, tables, shape, values }: Case, isWorse: (a: number, b: number) => boolean): Uint8Array {
  const { classes, second } = tables;
  const { channels, rows, columns } = codedGeometry(shape, { channels: classes.length, map: null });
  const buckets = bucketCount(bits);
  const starts = bits > 4 ? tables.starts : Array.from({ length: buckets }, (_, b) => b);
  const bucketOf = (symbol: number) => starts.findLastIndex((start) => start <= symbol);
  const share = (codes: readonly number[], i: number) => {
    const counts = codes.map(expandFrequency);
    const sum = counts.reduce((total, count) => total + count, 0);
    return sum > 0 ? (counts[i] as number) / sum : 1 / codes.length;
  };
  const within = Array.from({ length: 2 ** bits }, (_, symbol) => {
    const [start, end] = [starts[bucketOf(symbol)] as number, starts[bucketOf(symbol) + 1] ?? 2 ** bits];
    return bits > 4 ? share(second.slice(start, end), symbol - start) : 1;
  });
  const pickFrom = (context: number) => {
    const codes = tables.first.slice(context * buckets, (context + 1) * buckets);
    const chances = within.map((chance, symbol) => chance * share(codes, bucketOf(symbol)));
    return chances.reduce(
      (picked, chance, symbol) => (isWorse(chance, chances[picked] as number) ? symbol : picked),
      0,
    );
  };
  const symbols: number[] = [];
  for (let channel = 0, i = 0; channel < channels; channel++) {
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++, i++) {
        const neighbours: number[] = [];
        if (column > 0) neighbours.push(bucketOf(symbols[i - 1] as number));
        if (row > 0) neighbours.push(bucketOf(symbols[i - columns] as number));
        const sum = neighbours.reduce((total, bucket) => total + bucket, 0);
        const state = neighbours.length === 0 ? buckets : Math.round(sum / neighbours.length);
        symbols.push(pickFrom((classes[channel] as number) * (buckets + 1) + state));
      }
    }
  }
  expect(symbols).toHaveLength(values.length);
  return Uint8Array.from(symbols);
}

describe('the activation codec', () => {
  test('gives every value back to half a step, clipped to the range', () => {
    fc.assert(
      fc.property(cases, (coded) => {
        const { bits, coding, shape, values } = coded;
        const codec = codecOf(coded);
        const decoded = decode(codec, encode(codec, shape, values), shape);
        expect(decoded.shape).toEqual(shape);
        const high = coding.low + coding.step * (2 ** bits - 1);
        const bound = coding.step / 2 + 2 ** -20 * (Math.abs(coding.low) + Math.abs(high));
        for (const [i, value] of asFloat32(decoded).entries()) {
          const clipped = Math.min(high, Math.max(coding.low, values[i] as number));
          expect(Math.abs(value - clipped)).toBeLessThanOrEqual(bound);
        }
      }),
      { numRuns: 300 },
    );
  });

  test('gives levels back exactly', () => {
    fc.assert(
      fc.property(cases, (coded) => {
        const { shape, values } = coded;
        const codec = codecOf(coded);
        const levels = asFloat32(decode(codec, encode(codec, shape, values), shape));
        expect(decode(codec, encode(codec, shape, levels), shape).data).toEqual(levels);
      }),
    );
  });

  test('never takes more than a byte and the packed symbols', () => {
    fc.assert(
      fc.property(cases, (coded) => {
        const part = encode(codecOf(coded), coded.shape, coded.values);
        expect(part.length).toBeLessThanOrEqual(bytesMax(coded));
      }),
      { numRuns: 300 },
    );
  });

  test('packs plainly what was made to be as unlikely as can be', () => {
    fc.assert(
      fc.property(cases, (coded) => {
        const worst = symbolsAgainst(coded, (a, b) => a <= b);
        const codec = codecOf(coded);
        const part = encode(codec, coded.shape, dequantize(worst, coded.coding));
        expect([part[0], part.length]).toEqual([0, bytesMax(coded)]);
        expect(decode(codec, part, coded.shape).data).toEqual(dequantize(worst, coded.coding));
      }),
    );
  });

  test('makes much less of what its tables expect', () => {
    const shape = [1, 4, 8, 40];
    for (const bits of [4, 8] as const) {
      const random = randomTables(seededRandom(bits), bits, 4);
      // Every context expects one symbol, 2 ** 10 times as often as the others.
      const steep = (_: number, i: number) => (i % 16 === (i >> 4) % 16 ? 176 : 16);
      const starts = random.starts.map((_, b) => b * 16);
      const tables = { ...random, starts, first: random.first.map(steep), second: random.second.map(steep) };
      const coded: Case = {
        ...{ bits, shape, tables, coding: codingOf(tables, -1, 0.5) },
        values: new Float32Array(elementCount(shape)),
      };
      const codec = codecOf(coded);
      const best = dequantize(
        symbolsAgainst(coded, (a, b) => a > b),
        coded.coding,
      );
      const part = encode(codec, shape, best);
      expect(part[0]).toBe(1);
      expect(part.length).toBeLessThan(bytesMax(coded) / 10);
      expect(decode(codec, part, shape).data).toEqual(best);
    }
  });

  test('codes a tensor without elements as the mode alone', () => {
    const coding = codingOf(randomTables(seededRandom(1), 4, 2), -1, 0.5);
    const codec = codecOf({ bits: 4, coding, shape: [1, 2, 0] });
    const part = encode(codec, [1, 2, 0], new Float32Array(0));
    expect(part).toEqual(Uint8Array.of(0));
    expect(decode(codec, part, [1, 2, 0])).toEqual(float32([1, 2, 0], new Float32Array(0)));
  });

  test('packs two 4-bit symbols a byte, the first in the low half', () => {
    const shape = [1, 1, 3];
    const tier = flatTier('q4', 4, [1]);
    const codec = activationCodec(tier, [specOf(shape)]);
    const values = dequantize(Uint8Array.of(1, 2, 3), tier.tensors[0] as Coding);
    expect(encode(codec, shape, values)).toEqual(Uint8Array.of(0x00, 0x21, 0x03));
  });

  test('codes each tensor of a boundary with its own tables, in order', () => {
    const shapes = [
      [1, 2, 3, 5],
      [1, 4, 7],
    ];
    const random = seededRandom(5);
    const codings = [2, 4].map((channels) => codingOf(randomTables(random, 8, channels), -1, 0.25));
    const tier: QuantizedTier = { type: 'quantized', name: 'two', bits: 8, tensors: codings };
    const codec = activationCodec(tier, shapes.map(specOf));
    const tensors = shapes.map((shape, i) => {
      const symbols = Uint8Array.from({ length: elementCount(shape) }, () => randomInt(random, 0, 255));
      return float32(shape, dequantize(symbols, codings[i] as Coding));
    });
    const parts = codec.encode(tensors);
    expect(parts).toHaveLength(2);
    expect(codec.decode(parts, shapes)).toEqual(tensors);
  });
});

describe('parts that the codec did not write', () => {
  test('are a tensor of the right shape or a refusal, whatever bits were flipped', () => {
    const flips = fc.array(fc.record({ at: fc.nat(), mask: fc.integer({ min: 1, max: 255 }) }), { minLength: 1 });
    fc.assert(
      fc.property(cases, flips, (coded, changes) => {
        const codec = codecOf(coded);
        const part = encode(codec, coded.shape, coded.values);
        for (const { at, mask } of changes) part[at % part.length] = (part[at % part.length] as number) ^ mask;
        expectTensorOrRefusal(codec, part, coded);
      }),
      { numRuns: 300 },
    );
  });

  test('are a tensor of the right shape or a refusal where they are plain garbage', () => {
    const garbage = fc.tuple(fc.constantFrom(0, 1, 2), fc.uint8Array({ maxLength: 400 }));
    fc.assert(
      fc.property(cases, garbage, (coded, [mode, body]) => {
        expectTensorOrRefusal(codecOf(coded), Uint8Array.of(mode, ...body), coded);
      }),
      { numRuns: 300 },
    );
  });

  test('are a tensor of the right shape or a refusal where they were cut short', () => {
    fc.assert(
      fc.property(cases, fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (coded, share) => {
        const codec = codecOf(coded);
        const part = encode(codec, coded.shape, coded.values);
        const cut = part.subarray(0, Math.floor(part.length * share));
        if (cut.length === 0 || part[0] === 0) {
          expect(() => decode(codec, cut, coded.shape)).toThrow(tandemError('BAD_PAYLOAD'));
        } else {
          expectTensorOrRefusal(codec, cut, coded);
        }
      }),
    );
  });

  test('are refused where something comes after them', () => {
    fc.assert(
      fc.property(cases, fc.uint8Array({ minLength: 1, maxLength: 9 }), (coded, padding) => {
        const codec = codecOf(coded);
        const part = Uint8Array.of(...encode(codec, coded.shape, coded.values), ...padding);
        expect(() => decode(codec, part, coded.shape)).toThrow(tandemError('BAD_PAYLOAD'));
      }),
    );
  });

  test.each([
    ['of no bytes', Uint8Array.of(), 'an empty part'],
    ['of an unknown mode', Uint8Array.of(2, 0, 0), 'got 2'],
    ['packed one byte short', Uint8Array.of(0), 'expected 1 bytes of packed symbols, got 0'],
    ['range-coded and cut to the mode', Uint8Array.of(1), 'range-coded data, got 0'],
  ])('%s are refused with BAD_PAYLOAD', (_, part, message) => {
    const codec = activationCodec(flatTier('q4', 4, [1]), [specOf([1, 1, 2])]);
    expect(() => decode(codec, part, [1, 1, 2])).toThrow(tandemError('BAD_PAYLOAD', message));
  });

  test('are refused where there are more of them than the tier codes', () => {
    const codec = activationCodec(flatTier('q4', 4, [1]), [specOf([1, 1, 2])]);
    const [part] = codec.encode([float32([1, 1, 2], new Float32Array(2))]) as [Uint8Array];
    const shape = [1, 1, 2];
    expect(() => codec.decode([part, part], [shape, shape])).toThrow(tandemError('BAD_PAYLOAD', 'codes 1 tensors'));
  });

  function expectTensorOrRefusal(codec: ActivationCodec, part: Uint8Array, { shape }: Case): void {
    const decoded = orRefusal(() => decode(codec, part, shape));
    if (!decoded) return;
    expect(decoded.shape).toEqual(shape);
    expect(decoded.data).toHaveLength(elementCount(shape));
    expect(asFloat32(decoded).every(Number.isFinite)).toBe(true);
  }
});

describe('a tier whose tables do not fit', () => {
  const bucketsFrom = (from: number, count: number) => Array.from({ length: count }, (_, b) => from + b);
  const tier = flatTier('q8', 8, [2]);
  const [coding] = tier.tensors as [Coding];
  const text = (...bytes: readonly number[]) => toBase64(Uint8Array.from(bytes));
  const make = (changes: Partial<Coding>, bits: TierBits = 8, shape: TensorSpec['shape'] = [1, 2, 'width']) =>
    activationCodec({ ...tier, bits, tensors: [{ ...coding, ...changes }] }, [{ name: 'a', dtype: 'float32', shape }]);

  test('is refused, and one that does is not', () => {
    expect(() => make({})).not.toThrow();
    expect(() => make({ channels: 1, classes: text(0) })).not.toThrow();
  });

  test.each([
    ['classes for fewer channels', () => make({ classes: text(0) })],
    ['classes for more channels', () => make({ classes: text(0, 0, 0) })],
    ['other channels than the tensor', () => make({}, 8, [1, 3, 'width'])],
    ['channels where the tensor varies', () => make({}, 8, [1, 'width', 2])],
    ['a class without a table', () => make({ classes: text(0, 1) })],
    ['a first table cut short', () => make({ first: coding.first.slice(4) })],
    ['8 bits and no second table', () => make({ second: '' })],
    ['4 bits and a second table', () => make({}, 4)],
    ['no buckets', () => make({ starts: '' })],
    ['buckets that do not begin at 0', () => make({ starts: text(...bucketsFrom(1, 16)) })],
    ['two buckets of one start', () => make({ starts: text(0, ...bucketsFrom(0, 15)) })],
    ['a bucket behind the last symbol', () => make({ starts: text(...bucketsFrom(0, 16)) }, 4)],
  ])('is refused with BAD_PLAN: %s', (_, action) => {
    expect(action).toThrow(tandemError('BAD_PLAN'));
  });
});

test('a tensor that is not float32 is our own mistake', () => {
  const codec = activationCodec(flatTier('q8', 8, [1]), [specOf([1, 1, 2])]);
  expect(() => codec.encode([tensor('int32', [1, 1, 2], new Int32Array(2))])).toThrow(TypeError);
});

test('channels of a tensor that has nothing behind them have one row of one column', () => {
  expect(codedGeometry([1, 16], { channels: 16, map: null })).toEqual({ channels: 16, rows: 1, columns: 1 });
});
