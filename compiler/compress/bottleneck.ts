/**
 * A bottleneck in closed form: the principal components of a boundary's channels, as their metric measures them, all in
 * steps of one size. That is reverse water-filling (Cover and Thomas, "Elements of Information Theory", 10.3.3): every
 * component is known to the same error, and one that varies less than a step is almost always 0 and costs almost nothing.
 */
import { toBase64 } from '../../shared/base64.ts';
import { type Components, wayForth } from '../../shared/codec/channel-map.ts';
import { centreOf, quantizeCentred } from '../../shared/codec/quantize.ts';
import type { QuantizerCoding } from '../../shared/codec/tensor-quantizer.ts';
import { symmetricEigen } from '../linalg/eigen.ts';
import type { Bottleneck } from '../recipe.ts';
import { type ChannelMetric, times } from './channel-metric.ts';
import { type ChannelStatistics, someColumns } from './channel-statistics.ts';
import { entropy } from './symbol-counts.ts';

/** Of all components of calibration samples, those that may lie beyond the last level. */
const BEYOND_SHARE = 2e-5;
const ROUNDINGS = [0.5, 0.45, 0.4, 0.35, 0.3];
/**
 * What a bit is worth in squared steps: where a finer step would cost as many bits as it saves error, at high rates (Gish and
 * Pierce, "Asymptotically efficient quantizing", 1968: D = step^2 / 12, and a bit less of rate doubles the step).
 */
const BIT_WORTH = Math.LN2 / 6;

/** The map of one tensor: its parts as the plan carries them, and what they stand for. */
export interface BottleneckMap {
  readonly channels: number;
  readonly components: number;
  /** Of channels from their means, by the metric: the root mean square over all channels and samples. */
  readonly deviation: number;
  /** [channel][column] -> [component][column], as precise as the plan has it. */
  toComponents(values: Float32Array): Components;
  readonly parts: Omit<NonNullable<QuantizerCoding['map']>, 'rounding'>;
}

/** @param metric of the channels; without one all errors are alike */
export function bottleneckMap(
  statistics: ChannelStatistics,
  components: number,
  metric: ChannelMetric | undefined,
): BottleneckMap {
  const { channels } = statistics;
  const plain = statistics.covariance();
  const covariance = metric ? times(metric.root, times(plain, metric.root, channels), channels) : plain;
  const directions = symmetricEigen(covariance, channels).vectors.subarray(0, components * channels);
  let variance = 0;
  for (let c = 0; c < channels; c++) variance += covariance[c * channels + c] as number;
  const forth = asInt8(metric ? times(directions, metric.root, channels) : directions, channels);
  const back = metric && asInt8(times(directions, metric.inverse, channels), channels);
  const mean = Float32Array.from(statistics.means());
  return {
    ...{ channels, components, deviation: Math.sqrt(Math.max(0, variance) / channels) },
    toComponents: wayForth({
      ...{ channels, components, mean: Float64Array.from(mean) },
      ...{ rows: forth.values, back: back?.values ?? forth.values },
    }),
    parts: { mean: toBase64(littleEndian(mean)), forth: forth.parts, back: back?.parts ?? null },
  };
}

/** As precise as the plan has it: codes of a scale a row. */
function asInt8(rows: Float64Array, channels: number) {
  const scales = new Float32Array(rows.length / channels);
  const codes = new Int8Array(rows.length);
  for (const i of scales.keys()) {
    const row = rows.subarray(i * channels, (i + 1) * channels);
    const scale = Math.fround(row.reduce((most, value) => Math.max(most, Math.abs(value)), 0) / 127);
    scales[i] = scale;
    for (const [c, value] of row.entries()) codes[i * channels + c] = Math.round(value / scale);
  }
  return {
    values: Float64Array.from(codes, (code, i) => code * (scales[Math.floor(i / channels)] as number)),
    parts: { scales: toBase64(littleEndian(scales)), rows: toBase64(new Uint8Array(codes.buffer)) },
  };
}

/** Some of a sample's columns as components, [component][column]. */
export function sampleComponents(values: Float32Array, { channels, toComponents }: BottleneckMap): Components {
  return toComponents(someColumns(values, channels));
}

/**
 * The step that is asked for, or else the one with which the bits reach as far as components do, and the rounding that is
 * best at it.
 * @param seen `sampleComponents` of calibration samples
 */
export function bottleneckCoding(
  map: BottleneckMap,
  { bits, stepShare }: Pick<Bottleneck, 'bits' | 'stepShare'>,
  seen: readonly Components[],
): QuantizerCoding {
  const centre = centreOf(bits);
  const asked = stepShare === undefined ? reachOf(seen) / (centre - 1) : stepShare * map.deviation;
  // Nothing varies: any step does.
  const step = Math.fround(asked > 1e-30 ? asked : 1);
  const costs = ROUNDINGS.map((rounding) => costOf(seen, map.components, { step, bits, rounding }));
  const rounding = ROUNDINGS[costs.indexOf(Math.min(...costs))] ?? 0.5;
  return { low: -centre * step, step, channels: map.components, map: { rounding, ...map.parts } };
}

/** The magnitude that all but a few components keep within. */
function reachOf(seen: readonly Components[]): number {
  const magnitudes = Float64Array.from(seen.flatMap((values) => [...values]))
    .map(Math.abs)
    .sort();
  return magnitudes[Math.max(0, Math.ceil(magnitudes.length * (1 - BEYOND_SHARE)) - 1)] ?? 0;
}

interface Rounding {
  readonly step: number;
  readonly bits: number;
  readonly rounding: number;
}

/** Squared error in steps, and bits at what they are worth. */
function costOf(seen: readonly Components[], components: number, { step, bits, rounding }: Rounding): number {
  const levels = 2 ** bits;
  const counts = new Float64Array(components * levels);
  let error = 0;
  for (const values of seen) {
    const columns = values.length / components;
    const symbols = quantizeCentred(values, step, bits, rounding);
    for (const [i, symbol] of symbols.entries()) {
      error += ((values[i] as number) / step - (symbol - centreOf(bits))) ** 2;
      const at = Math.floor(i / columns) * levels + symbol;
      counts[at] = (counts[at] as number) + 1;
    }
  }
  let rate = 0;
  for (let i = 0; i < components; i++) {
    const ofComponent = counts.subarray(i * levels, (i + 1) * levels);
    rate += entropy(ofComponent) * ofComponent.reduce((a, b) => a + b, 0);
  }
  return error + BIT_WORTH * rate;
}

function littleEndian(values: Float32Array): Uint8Array {
  const bytes = new Uint8Array(4 * values.length);
  const view = new DataView(bytes.buffer);
  for (const [i, value] of values.entries()) view.setFloat32(4 * i, value, true);
  return bytes;
}
