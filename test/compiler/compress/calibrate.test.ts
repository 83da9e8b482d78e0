import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { smallPlan } from '../../../client/testkit/small-plan.ts';
import { calibrateTiers } from '../../../compiler/compress/calibrate.ts';
import { clipRange } from '../../../compiler/compress/clip-range.ts';
import type { Bottleneck } from '../../../compiler/recipe.ts';
import { fromBase64 } from '../../../shared/base64.ts';
import { activationCodec } from '../../../shared/codec/activation.ts';
import { dequantize, quantize } from '../../../shared/codec/quantize.ts';
import type { QuantizedTier, TensorSpec } from '../../../shared/plan.ts';
import { parsePlan } from '../../../shared/plan-schema.ts';
import { gaussian, seededRandom } from '../../../shared/random.ts';
import { float32, type Tensor } from '../../../shared/tensor.ts';

function highOf({ low, step }: { low: number; step: number }, bits: number): number {
  return low + step * (2 ** bits - 1);
}

describe('the range of a quantizer', () => {
  const random = seededRandom(3);
  const even = Array.from({ length: 20_000 }, () => random() * 6 - 2);

  test.each([4, 8])('is all of what evenly spread values take, at %i bits', (bits) => {
    const range = clipRange(even, bits);
    // Half a step less at either end is still all: that is as far as rounding reaches.
    expect(range.low).toBeLessThan(-2 + range.step);
    expect(highOf(range, bits)).toBeGreaterThan(4 - range.step);
    expect(range.low).toBeGreaterThanOrEqual(-2);
    expect(highOf(range, bits)).toBeLessThanOrEqual(4.001);
  });

  test('cuts off a lone value that would cost all others their resolution', () => {
    const range = clipRange([...even, 100], 4);
    expect(highOf(range, 4)).toBeLessThan(30);
    expect(highOf(range, 4)).toBeGreaterThan(3);
  });

  test('loses less than the full range does', () => {
    const values = Float32Array.from({ length: 20_000 }, () => gaussian(random) ** 3);
    const error = (range: { low: number; step: number }) => {
      const restored = dequantize(quantize(values, range, 4), range);
      return values.reduce((sum, value, i) => sum + (value - (restored[i] as number)) ** 2, 0);
    };
    const [min, max] = [Math.min(...values), Math.max(...values)];
    expect(error(clipRange([...values], 4))).toBeLessThan(error({ low: min, step: (max - min) / 15 }) / 2);
  });

  test('holds 0, has a step, and is of float32 numbers, whatever the values', () => {
    const values = fc.array(fc.integer({ min: -1e6, max: 1e6 }), { maxLength: 50 });
    fc.assert(
      fc.property(values, fc.constantFrom(4, 8), (list, bits) => {
        const range = clipRange(
          list.map((value) => value / 1000),
          bits,
        );
        expect(range.low).toBeLessThanOrEqual(0);
        expect(highOf(range, bits)).toBeGreaterThanOrEqual(range.low * 1e-6);
        expect(range.step).toBeGreaterThan(0);
        expect([Math.fround(range.low), Math.fround(range.step)]).toEqual([range.low, range.step]);
      }),
      { numRuns: 50 },
    );
  });

  test('has a step where values are as small as float32 goes', () => {
    expect(clipRange([2e-45], 8).step).toBeGreaterThan(0);
  });
});

const SPEC: TensorSpec = { name: 'h', dtype: 'float32', shape: [1, 6, 2, 'width'] };

/** Channels that have little in common: two constant, two that drift a little, two of loud noise. */
function boundary(width: number, seed: number): Tensor {
  const random = seededRandom(seed);
  const data = new Float32Array(6 * 2 * width);
  for (let c = 0; c < 6; c++) {
    let level = 0;
    for (let i = 0; i < 2 * width; i++) {
      level = 0.95 * level + 0.1 * gaussian(random);
      data[c * 2 * width + i] = [0.5, level, 2 * gaussian(random)][c % 3] as number;
    }
  }
  return float32([1, 6, 2, width], data);
}

function calibrate(
  specs: readonly TensorSpec[],
  tensors: readonly (readonly Tensor[])[],
  bottlenecks: readonly Bottleneck[] = [],
): Promise<QuantizedTier[]> {
  return calibrateTiers(specs, { bits: [8, 4], bottlenecks }, async function* () {
    yield* tensors;
  });
}

const calibrated = () =>
  calibrate(
    [SPEC],
    Array.from({ length: 12 }, (_, seed) => [boundary(64, seed)]),
  );

/** Bytes that these symbols take where nothing is known but how often each comes. */
function orderZeroBytes(symbols: Uint8Array): number {
  const counts = new Map<number, number>();
  for (const symbol of symbols) counts.set(symbol, (counts.get(symbol) ?? 0) + 1);
  const bits = [...counts.values()].map((count) => -count * Math.log2(count / symbols.length));
  return bits.reduce((a, b) => a + b, 0) / 8;
}

describe('calibrating tiers', () => {
  test('gives one a width, which a plan may carry', async () => {
    const tiers = await calibrated();
    expect(tiers.map(({ name, bits, tensors }) => [name, bits, tensors.length])).toEqual([
      ['q8', 8, 1],
      ['q4', 4, 1],
    ]);
    const plan = smallPlan();
    const boundaries = plan.boundaries.map((b, k) => (k === 1 ? { tensors: [{ ...SPEC }], tiers } : b));
    const carried = parsePlan(JSON.parse(JSON.stringify({ ...plan, boundaries })), 'plan');
    expect(carried.boundaries[1]?.tiers).toEqual(tiers);
  });

  test('makes codecs that bring back what lies in their range to half a step', async () => {
    const tensor = boundary(32, 99);
    for (const tier of await calibrated()) {
      const codec = activationCodec(tier, [SPEC]);
      const [restored] = codec.decode(codec.encode([tensor]), [tensor.shape]);
      const { low, step } = tier.tensors[0] as NonNullable<QuantizedTier['tensors'][number]>;
      for (const [i, value] of (tensor.data as Float32Array).entries()) {
        if (value < low || value > highOf({ low, step }, tier.bits)) continue;
        expect(Math.abs((restored?.data[i] as number) - value)).toBeLessThanOrEqual(step * 0.5001);
      }
    }
  });

  test('makes codecs that need fewer bytes than the symbols alone tell: channels and neighbours count', async () => {
    const tensor = boundary(64, 99);
    for (const tier of await calibrated()) {
      const [part] = activationCodec(tier, [SPEC]).encode([tensor]);
      const [coding] = tier.tensors;
      const symbols = quantize(
        tensor.data as Float32Array,
        coding as NonNullable<QuantizedTier['tensors'][number]>,
        tier.bits,
      );
      expect(part?.length).toBeLessThan(orderZeroBytes(symbols) * 0.9);
    }
  });

  test('puts channels that behave alike in one class', async () => {
    for (const tier of await calibrated()) {
      const classes = fromBase64(tier.tensors[0]?.classes ?? '');
      expect(classes).toHaveLength(6);
      // By entropy: the constant channels first, the noisy ones last.
      const [constant, drifting, noisy] = [0, 1, 2].map((c) =>
        Math.max(classes[c] as number, classes[c + 3] as number),
      );
      expect(constant).toBeLessThan(drifting as number);
      expect(drifting).toBeLessThan(noisy as number);
    }
  });

  test('codes each tensor of a boundary, and those without channels in one row', async () => {
    const specs: TensorSpec[] = [
      SPEC,
      { name: 'flat', dtype: 'float32', shape: [1, 8] },
      { name: 'time', dtype: 'float32', shape: [1, 'width', 3] },
    ];
    const sample = [
      boundary(8, 1),
      float32([1, 8], new Float32Array(8).fill(2)),
      float32([1, 8, 3], new Float32Array(24)),
    ];
    for (const tier of await calibrate(specs, [sample])) {
      expect(tier.tensors.map((tensor) => tensor?.channels)).toEqual([6, 1, 1]);
      const codec = activationCodec(tier, specs);
      const restored = codec.decode(
        codec.encode(sample),
        sample.map(({ shape }) => shape),
      );
      expect(restored[1]?.data[0]).toBeCloseTo(2, 5);
      expect(restored[2]?.data).toEqual(new Float32Array(24));
    }
  });

  test('gives the same tables for the same samples', async () => {
    expect(await calibrated()).toEqual(await calibrated());
  });
});
