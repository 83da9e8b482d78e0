import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { calibrateTiers } from '../../../compiler/compress/calibrate.ts';
import type { ChannelMetric } from '../../../compiler/compress/channel-metric.ts';
import { bucketStarts } from '../../../compiler/compress/symbol-counts.ts';
import { activationCodec } from '../../../shared/codec/activation.ts';
import { partBytesMax } from '../../../shared/codec/boundary.ts';
import type { QuantizedTier, TensorSpec, TierBits } from '../../../shared/plan.ts';
import { gaussian, seededRandom } from '../../../shared/random.ts';
import { asFloat32, float32, type Tensor } from '../../../shared/tensor.ts';
import { changed } from '../../shared/changed.ts';
import { orRefusal, tandemError } from '../../shared/tandem-error.ts';

const CHANNELS = 24;
const SPEC: TensorSpec = { name: 'h', dtype: 'float32', shape: [1, CHANNELS, 2, 'width'] };

/** Channels that are mixtures of four sources about means of their own, and a little noise. */
function mixture(width: number, seed: number): Tensor {
  const [mixing, random] = [seededRandom(77), seededRandom(seed)];
  const weights = Array.from({ length: CHANNELS * 4 }, () => gaussian(mixing));
  const data = new Float32Array(CHANNELS * 2 * width);
  for (let j = 0; j < 2 * width; j++) {
    const sources = [4, 2, 1, 0.5].map((scale) => scale * gaussian(random));
    for (let c = 0; c < CHANNELS; c++) {
      const mixed = sources.reduce((sum, source, s) => sum + source * (weights[c * 4 + s] as number), 0);
      data[c * 2 * width + j] = 10 * Math.sin(c) + mixed + 0.02 * gaussian(random);
    }
  }
  return float32([1, CHANNELS, 2, width], data);
}

async function calibrated(components: number, bits: TierBits, specs = [SPEC]): Promise<QuantizedTier[]> {
  const recipe = { bits: [4] as const, bottlenecks: [{ components, bits }] };
  return calibrateTiers(specs, recipe, async function* () {
    for (let seed = 0; seed < 12; seed++) yield specs.map((_, i) => mixture(40, seed + 100 * i));
  });
}

/** Squared error per value over the values' own variance. */
function lost(tier: QuantizedTier, tensor: Tensor): { share: number; bytes: number } {
  const codec = activationCodec(tier, [SPEC]);
  const parts = codec.encode([tensor]);
  const [restored] = codec.decode(parts, [tensor.shape]) as [Tensor];
  const values = asFloat32(tensor);
  const perChannel = values.length / CHANNELS;
  let [error, variance] = [0, 0];
  for (let c = 0; c < CHANNELS; c++) {
    const channel = values.subarray(c * perChannel, (c + 1) * perChannel);
    const mean = channel.reduce((sum, value) => sum + value, 0) / perChannel;
    for (const [i, value] of channel.entries()) {
      error += (value - (restored.data[c * perChannel + i] as number)) ** 2;
      variance += (value - mean) ** 2;
    }
  }
  return { share: error / variance, bytes: (parts[0] as Uint8Array).length };
}

describe('a bottleneck', () => {
  test('is named by its components and bits, and offered where there are twice as many channels', async () => {
    expect((await calibrated(12, 6)).map(({ name, bits }) => [name, bits])).toEqual([
      ['q4', 4],
      ['p12q6', 6],
    ]);
    expect((await calibrated(13, 6)).map(({ name }) => name)).toEqual(['q4']);
    const namesFor = async (channels: number) => {
      const recipe = { bits: [], bottlenecks: [{ channels, components: 4, bits: 5 as const }] };
      const tiers = await calibrateTiers([SPEC], recipe, async function* () {
        yield [mixture(4, 1)];
      });
      return tiers.map(({ name }) => name);
    };
    expect([await namesFor(CHANNELS), await namesFor(CHANNELS * 2)]).toEqual([['p4q5'], []]);
  });

  test('of as many components as there are sources restores all channels, in fewer bytes than they take', async () => {
    const [plain, bottleneck] = (await calibrated(4, 7)) as [QuantizedTier, QuantizedTier];
    const tensor = mixture(40, 99);
    const [a, b] = [lost(plain, tensor), lost(bottleneck, tensor)];
    expect(b.share).toBeLessThan(a.share);
    expect(b.share).toBeLessThan(0.002);
    expect(b.bytes).toBeLessThan(a.bytes / 2);
  });

  test('whose step is asked for as a share has it of what channels deviate from their means, whatever its bits', async () => {
    const samples = Array.from({ length: 12 }, (_, seed) => mixture(20, seed));
    const steps = async (bits: TierBits, stepShare: number) => {
      const tiers = await calibrateTiers(
        [SPEC],
        { bits: [], bottlenecks: [{ components: 4, bits, stepShare }] },
        async function* () {
          for (const sample of samples) yield [sample];
        },
      );
      return tiers[0]?.tensors[0]?.step;
    };
    const variances = Array.from({ length: CHANNELS }, (_, c) => {
      const channel = samples.flatMap((sample) => [...asFloat32(sample).subarray(c * 40, (c + 1) * 40)]);
      const mean = channel.reduce((sum, value) => sum + value, 0) / channel.length;
      return channel.reduce((sum, value) => sum + (value - mean) ** 2, 0) / channel.length;
    });
    const deviation = Math.sqrt(variances.reduce((sum, variance) => sum + variance, 0) / CHANNELS);
    for (const bits of [5, 7] as const) {
      expect(await steps(bits, 0.5)).toBeCloseTo(0.5 * deviation, 4);
      expect(await steps(bits, 0.25)).toBeCloseTo(0.25 * deviation, 4);
    }
  });

  test('keeps errors small that its metric finds large, in about as many bytes', async () => {
    const heavy = (c: number) => c % 2 === 0;
    const errors = async (metric: ChannelMetric | undefined) => {
      const tiers = await calibrateTiers(
        [SPEC],
        { bits: [], bottlenecks: [{ components: 12, bits: 6, stepShare: 1 }] },
        async function* () {
          for (let seed = 0; seed < 12; seed++) yield [mixture(40, seed)];
        },
        () => metric,
      );
      const tensor = mixture(40, 99);
      const codec = activationCodec(tiers[0] as QuantizedTier, [SPEC]);
      const parts = codec.encode([tensor]);
      const [restored] = codec.decode(parts, [tensor.shape]) as [Tensor];
      const sums = { heavy: 0, light: 0 };
      for (const [i, value] of asFloat32(tensor).entries()) {
        sums[heavy(Math.floor(i / 80)) ? 'heavy' : 'light'] += (value - (restored.data[i] as number)) ** 2;
      }
      return { ...sums, bytes: (parts[0] as Uint8Array).length };
    };
    const plain = await errors(undefined);
    const diagonal = (of: (c: number) => number) =>
      Float64Array.from({ length: CHANNELS ** 2 }, (_, i) => (i % (CHANNELS + 1) === 0 ? of(i / (CHANNELS + 1)) : 0));
    const weighted = await errors({
      root: diagonal((c) => (heavy(c) ? 1.4 : 0.14)),
      inverse: diagonal((c) => 1 / (heavy(c) ? 1.4 : 0.14)),
    });
    expect(weighted.heavy).toBeLessThan(0.9 * plain.heavy);
    expect(weighted.bytes).toBeLessThan(1.1 * plain.bytes);
  });

  test('leaves the weakest sources out where it has fewer components', async () => {
    const share = async (components: number) => {
      const tiers = await calibrated(components, 8);
      return lost(tiers[1] as QuantizedTier, mixture(40, 99)).share;
    };
    // Of 16 + 4 + 1 + 0.25, roughly: how the sources mix makes it no more than that.
    expect(await share(1)).toBeGreaterThan(0.05);
    expect(await share(1)).toBeLessThan(0.45);
    expect(await share(2)).toBeLessThan((await share(1)) / 2);
    expect(await share(3)).toBeLessThan((await share(2)) / 2);
  });

  test('beside a tensor with too few channels sends that one as it is, and both come back', async () => {
    const specs: TensorSpec[] = [SPEC, { name: 's', dtype: 'float32', shape: [1, CHANNELS * 2, 'width'] }];
    const tier = (await calibrated(20, 5, specs))[1] as QuantizedTier;
    expect(tier.tensors.map((tensor) => tensor?.map === null)).toEqual([true, false]);
  });

  test('takes more than its nominal bytes for nothing that may come', async () => {
    const [, tier] = (await calibrated(4, 5)) as [QuantizedTier, QuantizedTier];
    const codec = activationCodec(tier, [SPEC]);
    const nominal = (4 * 2 * 40 * 5) / 8;
    for (const scale of [0, 1, 1e3, 1e30, Number.POSITIVE_INFINITY, Number.NaN]) {
      const random = seededRandom(5);
      const data = Float32Array.from({ length: CHANNELS * 80 }, () => scale * gaussian(random));
      const [part] = codec.encode([float32([1, CHANNELS, 2, 40], data)]) as [Uint8Array];
      expect(part.length).toBeLessThanOrEqual(1.1 * nominal);
      const [restored] = codec.decode([part], [[1, CHANNELS, 2, 40]]) as [Tensor];
      expect(asFloat32(restored).every(Number.isFinite)).toBe(true);
    }
  });

  test('whose parts were changed gives a tensor of the right shape or BAD_PAYLOAD', async () => {
    const [, tier] = (await calibrated(4, 5)) as [QuantizedTier, QuantizedTier];
    const codec = activationCodec(tier, [SPEC]);
    const shape = [1, CHANNELS, 2, 40];
    const [part] = codec.encode([mixture(40, 99)]) as [Uint8Array];
    expect(partBytesMax(tier, [shape])).toBe(1 + (4 * 2 * 40 * 5) / 8);
    const changes = fc.array(fc.record({ at: fc.nat(part.length - 1), byte: fc.nat(255) }), { maxLength: 5 });
    fc.assert(
      fc.property(changes, fc.nat(2 * part.length), (changed, length) => {
        const bad = new Uint8Array(length);
        bad.set(part.subarray(0, length));
        for (const { at, byte } of changed) if (at < length) bad[at] = byte;
        const decoded = orRefusal(() => codec.decode([bad], [shape]));
        if (decoded) expect([decoded[0]?.shape, decoded[0]?.data.length]).toEqual([shape, CHANNELS * 80]);
      }),
      { numRuns: 500 },
    );
  });

  test.each([
    ['other channels', 'tensors.0.map.mean', 'AAAAAA=='],
    ['other components', 'tensors.0.map.forth.scales', 'AAAAAA=='],
    ['weights cut short', 'tensors.0.map.forth.rows', 'AAAA'],
    ['a way back that is cut short', 'tensors.0.map.back', { scales: 'AAAAAA==', rows: 'AAAA' }],
    ['a centre elsewhere', 'tensors.0.low', 0],
  ])('whose map has %s is refused with BAD_PLAN', async (_, path, value) => {
    const [, tier] = (await calibrated(4, 5)) as [QuantizedTier, QuantizedTier];
    expect(() => activationCodec(tier, [SPEC])).not.toThrow();
    expect(() => activationCodec(changed(tier, path, value) as QuantizedTier, [SPEC])).toThrow(tandemError('BAD_PLAN'));
    const other = { ...SPEC, shape: [2, CHANNELS, 2, 'width'] };
    expect(() => activationCodec(tier, [other])).toThrow(tandemError('BAD_PLAN'));
  });
});

describe('buckets', () => {
  test('give what is common one to itself, and share out the rest', () => {
    const counts = Float64Array.from({ length: 64 }, (_, symbol) => 1000 * 2 ** -Math.abs(symbol - 32));
    const starts = [...bucketStarts(counts, 16)];
    expect(starts).toHaveLength(16);
    for (const symbol of [30, 31, 32, 33, 34, 35]) expect(starts).toContain(symbol);
    expect(starts[0]).toBe(0);
    expect([...new Set(starts)].sort((a, b) => a - b)).toEqual(starts);
  });

  test('are even where every symbol is alike, seen or not', () => {
    const even = Array.from({ length: 16 }, (_, b) => b * 16);
    expect([...bucketStarts(new Float64Array(256).fill(3), 16)]).toEqual(even);
    expect([...bucketStarts(new Float64Array(256), 16)]).toEqual(even);
  });
});
