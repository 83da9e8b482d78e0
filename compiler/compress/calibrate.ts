/**
 * The static tables of the quantized tiers, from calibration samples: the range that loses least in the mean square, or the
 * components that tell most and the step they are told in; classes of channels that behave alike; and symbol counts by
 * context. Samples are streamed three times; memory hardly grows with their number.
 */
import { codedGeometry } from '../../shared/codec/activation.ts';
import type { Components } from '../../shared/codec/channel-map.ts';
import { quantizeCentred } from '../../shared/codec/quantize.ts';
import { type QuantizerCoding, type TensorQuantizer, tensorQuantizer } from '../../shared/codec/tensor-quantizer.ts';
import type { QuantizedTensor, QuantizedTier, TensorSpec, TierBits } from '../../shared/plan.ts';
import { asFloat32, type Tensor } from '../../shared/tensor.ts';
import type { Bottleneck } from '../recipe.ts';
import { type BottleneckMap, bottleneckCoding, bottleneckMap, sampleComponents } from './bottleneck.ts';
import type { ChannelMetric } from './channel-metric.ts';
import { ChannelStatistics } from './channel-statistics.ts';
import { clipRange } from './clip-range.ts';
import { SymbolCounts } from './symbol-counts.ts';

/** Values of each tensor that go into the histogram, per sample. */
const VALUES_PER_SAMPLE = 4096;
/** A map is carried by the plan: it must save more than a few channels. */
const CHANNELS_PER_COMPONENT_MIN = 2;

/** Tensors of one boundary in its order, one array a sample; may be asked for again. */
export type BoundarySamples = () => AsyncIterable<readonly Tensor[]>;

/** Of a boundary tensor's channels, as `channelMetric` has them; undefined where nothing is known. */
export type ChannelMetrics = (tensor: string, channels: number) => ChannelMetric | undefined;

/** What is offered where, before anything is known of the values. */
interface TierDraft {
  readonly name: string;
  readonly bits: TierBits;
  readonly bottleneck: Bottleneck | null;
}

/**
 * @param bits of the tiers that send values as they are, q8 to q2
 * @param bottlenecks offered where some tensor has at least twice as many channels; the others are sent as they are
 * @param metrics of the channels that bottlenecks are made of; without one all errors are alike
 * @returns none where a value was infinite, as masks are, or no number: no step reaches that
 */
export async function calibrateTiers(
  specs: readonly TensorSpec[],
  { bits, bottlenecks }: { readonly bits: readonly TierBits[]; readonly bottlenecks: readonly Bottleneck[] },
  samples: BoundarySamples,
  metrics: ChannelMetrics = () => undefined,
): Promise<QuantizedTier[]> {
  const drafts: TierDraft[] = [
    ...bits.map((width) => ({ name: `q${width}`, bits: width, bottleneck: null })),
    ...bottlenecks
      .filter((one) => specs.some((spec) => isReducible(spec, one)))
      .map((one) => ({ name: `p${one.components}q${one.bits}`, bits: one.bits, bottleneck: one })),
  ];
  const tensors = specs.map((spec) => new TensorCalibration(spec, drafts, metrics));
  const each = async (see: (calibration: TensorCalibration, tensor: Tensor) => void) => {
    for await (const sample of samples())
      for (const [i, calibration] of tensors.entries()) see(calibration, sample[i] as Tensor);
  };
  await each((calibration, tensor) => calibration.look(tensor));
  if (tensors.some(({ isBoundless }) => isBoundless)) return [];
  for (const calibration of tensors) calibration.fixRanges();
  await each((calibration, tensor) => calibration.count(tensor));
  // Contexts need classes, classes need whole-channel counts: a third pass over the samples.
  for (const calibration of tensors) calibration.fixClasses();
  await each((calibration, tensor) => calibration.countContexts(tensor));
  return drafts.map(({ name, bits: width }, t) => ({
    ...{ type: 'quantized', name, bits: width },
    tensors: tensors.map((calibration) => calibration.result(t)),
  }));
}

/** Whether a tensor has channels to make so few components of. */
function isReducible({ dtype, shape: [batch, channels, ...rest] }: TensorSpec, asked: Bottleneck): boolean {
  if (dtype !== 'float32' || batch !== 1 || typeof channels !== 'number' || rest.length === 0) return false;
  return (asked.channels ?? channels) === channels && channels >= asked.components * CHANNELS_PER_COMPONENT_MIN;
}

/** One tensor at one tier. */
interface Coded {
  readonly coding: QuantizerCoding;
  readonly quantizer: TensorQuantizer;
  readonly counts: SymbolCounts;
}

/** One tensor of a boundary at all tiers. What is no float32 travels as it is. */
class TensorCalibration {
  /** Whether a value is infinite or no number, as far as it was looked at. */
  isBoundless = false;
  private readonly spec: TensorSpec;
  private readonly drafts: readonly TierDraft[];
  private readonly channels: number;
  private readonly values: number[] = [];
  private readonly statistics: ChannelStatistics | null;
  private readonly metric: ChannelMetric | undefined;
  /** By number of components. */
  private readonly maps = new Map<number, BottleneckMap>();
  private readonly components = new Map<number, Components[]>();
  private readonly coded = new Map<number, Coded>();

  constructor(spec: TensorSpec, drafts: readonly TierDraft[], metrics: ChannelMetrics) {
    const [, channels, ...rest] = spec.shape;
    this.spec = spec;
    this.drafts = drafts;
    this.channels = rest.length > 0 && typeof channels === 'number' ? channels : 1;
    const isReduced = drafts.some(({ bottleneck }) => bottleneck !== null && isReducible(spec, bottleneck));
    this.statistics = isReduced ? new ChannelStatistics(this.channels) : null;
    this.metric = isReduced ? metrics(spec.name, this.channels) : undefined;
  }

  look(tensor: Tensor): void {
    if (!this.isFloat) return;
    const data = asFloat32(tensor);
    this.isBoundless ||= !data.every(Number.isFinite);
    const stride = Math.max(1, Math.floor(data.length / VALUES_PER_SAMPLE));
    for (let j = 0; j < data.length; j += stride) this.values.push(data[j] as number);
    this.statistics?.add(data);
  }

  fixRanges(): void {
    if (!this.isFloat) return;
    for (const [t, { bits, bottleneck }] of this.drafts.entries()) {
      if (bottleneck !== null && isReducible(this.spec, bottleneck)) {
        const { components } = bottleneck;
        this.maps.set(components, this.maps.get(components) ?? this.mapOf(components));
        this.components.set(components, []);
        continue;
      }
      this.code(t, bits, { ...clipRange(this.values, bits), channels: this.channels, map: null });
    }
  }

  /** Whole channels: of tiers of values all symbols, of bottlenecks some columns, which their step is still to be found from. */
  count(tensor: Tensor): void {
    if (!this.isFloat) return;
    const data = asFloat32(tensor);
    for (const { quantizer, counts } of this.coded.values()) counts.count(quantizer(data));
    for (const [components, map] of this.maps) this.components.get(components)?.push(sampleComponents(data, map));
  }

  fixClasses(): void {
    for (const [t, { bits, bottleneck }] of this.drafts.entries()) {
      if (bottleneck === null || !isReducible(this.spec, bottleneck)) continue;
      const { components } = bottleneck;
      const map = this.maps.get(components) as BottleneckMap;
      const seen = this.components.get(components) ?? [];
      const { coding, counts } = this.code(t, bits, bottleneckCoding(map, bottleneck, seen));
      for (const values of seen) counts.count(centred(values, coding, bits));
    }
    for (const { counts } of this.coded.values()) counts.fix();
  }

  countContexts(tensor: Tensor): void {
    if (!this.isFloat) return;
    for (const { coding, quantizer, counts } of this.coded.values()) {
      counts.countContexts(quantizer(asFloat32(tensor)), codedGeometry(tensor.shape, coding));
    }
  }

  /** null for what travels as it is. */
  result(tier: number): QuantizedTensor | null {
    const coded = this.coded.get(tier);
    if (!coded) return null;
    const { low, step, map } = coded.coding;
    return { low, step, map, ...coded.counts.tables() };
  }

  private get isFloat(): boolean {
    return this.spec.dtype === 'float32';
  }

  private mapOf(components: number): BottleneckMap {
    return bottleneckMap(this.statistics as ChannelStatistics, components, this.metric);
  }

  private code(tier: number, bits: number, coding: QuantizerCoding): Coded {
    const quantizer = tensorQuantizer(coding, bits, this.spec);
    const coded = { coding, quantizer, counts: new SymbolCounts(coding.channels, bits) };
    this.coded.set(tier, coded);
    return coded;
  }
}

function centred(values: Components, { step, map }: QuantizerCoding, bits: number): Uint8Array {
  return quantizeCentred(values, step, bits, map?.rounding ?? 0.5);
}
