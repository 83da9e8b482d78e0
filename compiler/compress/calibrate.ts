/**
 * The static tables of the quantized tiers, from calibration samples: the range that loses least in the mean square,
 * classes of channels that behave alike, and symbol counts by context. Samples are streamed three times; memory
 * does not grow with their number.
 */
import { geometryOf } from '../../shared/codec/activation.ts';
import { compactFrequency, countSymbols, NEIGHBOUR_STATES, NIBBLES } from '../../shared/codec/context-model.ts';
import { type QuantizerRange, quantize } from '../../shared/codec/quantize.ts';
import type { QuantizedTier, TensorSpec } from '../../shared/plan.ts';
import { asFloat32, type Tensor } from '../../shared/tensor.ts';

/** Channel classes of a tensor: more gain under 1 % on real boundaries and only make the plan larger. */
const CLASSES_MAX = 8;
/** Values of each tensor that go into the histogram, per sample. */
const VALUES_PER_SAMPLE = 4096;
const HISTOGRAM_BINS = 2048;
/** Candidate clips are these shares of the observed minimum and maximum. */
const CLIP_STEPS = 25;

/** Tensors of one boundary in its order, one array a sample; may be asked for again. */
export type BoundarySamples = () => AsyncIterable<readonly Tensor[]>;

export async function calibrateTiers(
  specs: readonly TensorSpec[],
  bits: readonly (4 | 8)[],
  samples: BoundarySamples,
): Promise<QuantizedTier[]> {
  const values: number[][] = specs.map(() => []);
  const isFloat = specs.map(({ dtype }) => dtype === 'float32');
  const floats = (tensors: readonly Tensor[]) => [...tensors.entries()].filter(([i]) => isFloat[i]);
  for await (const tensors of samples()) {
    for (const [i, tensor] of floats(tensors)) {
      const data = asFloat32(tensor);
      const stride = Math.max(1, Math.floor(data.length / VALUES_PER_SAMPLE));
      for (let j = 0; j < data.length; j += stride) (values[i] as number[]).push(data[j] as number);
    }
  }
  const tiers = bits.map((width) => ({
    bits: width,
    // What is no float32 travels as it is.
    tensors: specs.map((spec, i) =>
      isFloat[i] ? new TensorCalibration(spec, width, clipRange(values[i] as number[], width)) : null,
    ),
  }));
  for await (const tensors of samples()) {
    for (const tier of tiers) for (const [i, tensor] of floats(tensors)) tier.tensors[i]?.count(tensor);
  }
  // Classes need whole-channel counts first, contexts need classes: a third pass over the samples.
  for (const tier of tiers) for (const tensor of tier.tensors) tensor?.fixClasses();
  for await (const tensors of samples()) {
    for (const tier of tiers) for (const [i, tensor] of floats(tensors)) tier.tensors[i]?.countContexts(tensor);
  }
  return tiers.map((tier) => ({
    type: 'quantized',
    name: `q${tier.bits}`,
    bits: tier.bits,
    tensors: tier.tensors.map((tensor) => tensor?.result() ?? null),
  }));
}

/** The range whose quantization error over `values` is least in the mean square. It always holds 0. */
export function clipRange(values: readonly number[], bits: number): QuantizerRange {
  let min = 0;
  let max = 0;
  for (const value of values) {
    min = Math.min(min, value);
    max = Math.max(max, value);
  }
  const levels = 2 ** bits - 1;
  const width = max - min;
  // Nothing, or next to nothing: float32 could not hold the step.
  if (width < 1e-30) return { low: 0, step: Math.fround(1 / levels) };
  const counts = new Float64Array(HISTOGRAM_BINS);
  for (const value of values) {
    const bin = Math.min(HISTOGRAM_BINS - 1, Math.floor(((value - min) / width) * HISTOGRAM_BINS));
    counts[bin] = (counts[bin] as number) + 1;
  }
  let best: QuantizerRange = { low: min, step: width / levels };
  let bestError = Number.POSITIVE_INFINITY;
  for (let a = 1; a <= CLIP_STEPS; a++) {
    for (let b = 1; b <= CLIP_STEPS; b++) {
      const low = (min * a) / CLIP_STEPS;
      const step = ((max * b) / CLIP_STEPS - low) / levels;
      const error = squaredError(counts, { min, width }, { low, step }, levels);
      if (error < bestError) [best, bestError] = [{ low, step }, error];
    }
  }
  // Plans are JSON and hashed: float32 precision says all there is to say.
  return { low: Math.fround(best.low), step: Math.fround(best.step) };
}

function squaredError(
  counts: Float64Array,
  histogram: { min: number; width: number },
  { low, step }: QuantizerRange,
  levels: number,
): number {
  let error = 0;
  for (let bin = 0; bin < counts.length; bin++) {
    const count = counts[bin] as number;
    if (count === 0) continue;
    const value = histogram.min + ((bin + 0.5) / counts.length) * histogram.width;
    const level = Math.min(levels, Math.max(0, Math.round((value - low) / step)));
    error += count * (low + level * step - value) ** 2;
  }
  return error;
}

/** Counts for one tensor at one width. */
class TensorCalibration {
  private readonly range: QuantizerRange;
  private readonly bits: number;
  private readonly channels: number;
  private readonly shift: number;
  /** [channel][first nibble], then [context][first nibble] and [first nibble][second nibble]. */
  private readonly byChannel: Float64Array;
  private classes: Uint8Array;
  private readonly first: Float64Array;
  private readonly second: Float64Array;

  constructor(spec: TensorSpec, bits: number, range: QuantizerRange) {
    const channels = spec.shape[1];
    this.channels = spec.shape.length >= 3 && typeof channels === 'number' ? channels : 1;
    this.bits = bits;
    this.range = range;
    this.shift = bits > 4 ? 4 : 0;
    this.byChannel = new Float64Array(this.channels * NIBBLES);
    this.classes = new Uint8Array(this.channels);
    this.first = new Float64Array(CLASSES_MAX * NEIGHBOUR_STATES * NIBBLES);
    this.second = new Float64Array(bits > 4 ? NIBBLES * NIBBLES : 0);
  }

  count(tensor: Tensor): void {
    const symbols = quantize(asFloat32(tensor), this.range, this.bits);
    const perChannel = symbols.length / this.channels;
    for (let i = 0; i < symbols.length; i++) {
      increment(this.byChannel, Math.floor(i / perChannel) * NIBBLES + ((symbols[i] as number) >> this.shift));
    }
  }

  /** Channels sorted by entropy, in classes of equal size. */
  fixClasses(): void {
    const entropies = Array.from({ length: this.channels }, (_, c) =>
      entropy(this.byChannel.subarray(c * NIBBLES, (c + 1) * NIBBLES)),
    );
    const classes = Math.min(CLASSES_MAX, this.channels);
    const order = [...entropies.keys()].sort((a, b) => (entropies[a] as number) - (entropies[b] as number));
    for (const [rank, channel] of order.entries()) {
      this.classes[channel] = Math.floor((rank * classes) / this.channels);
    }
  }

  countContexts(tensor: Tensor): void {
    const symbols = quantize(asFloat32(tensor), this.range, this.bits);
    const geometry = geometryOf(tensor.shape, this.channels);
    countSymbols(symbols, geometry, this.classes, this.shift, (context, symbol) => {
      increment(this.first, context * NIBBLES + (symbol >> this.shift));
      if (this.shift > 0) increment(this.second, symbol);
    });
  }

  result(): NonNullable<QuantizedTier['tensors'][number]> {
    const classCount = Math.max(...this.classes) + 1;
    return {
      ...this.range,
      channels: this.channels,
      classes: [...this.classes],
      first: compactCounts(this.first.subarray(0, classCount * NEIGHBOUR_STATES * NIBBLES)),
      second: compactCounts(this.second),
    };
  }
}

function increment(counts: Float64Array, index: number): void {
  counts[index] = (counts[index] as number) + 1;
}

/** Bits a symbol of a source with these counts. */
function entropy(counts: Float64Array): number {
  const total = counts.reduce((a, b) => a + b, 0);
  return counts.reduce((sum, count) => (count > 0 ? sum - (count / total) * Math.log2(count / total) : sum), 0);
}

/** Each context's counts, scaled down together where they pass what the 8-bit form can say. */
function compactCounts(counts: Float64Array): number[] {
  const codes: number[] = [];
  for (let at = 0; at < counts.length; at += NIBBLES) {
    const context = counts.subarray(at, at + NIBBLES);
    const scale = Math.min(1, 2 ** 18 / Math.max(1, ...context));
    for (const count of context) codes.push(compactFrequency(count * scale));
  }
  return codes;
}
