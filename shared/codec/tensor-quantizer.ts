/** One float32 tensor <-> the symbols that a tier codes: its values themselves, or their components, in steps. */
import { fromBase64 } from '../base64.ts';
import { TandemError } from '../errors.ts';
import type { QuantizedTensor, TensorSpec } from '../plan.ts';
import { type ChannelMap, preparedMap } from './channel-map.ts';
import { centreOf, dequantize, quantize, quantizeCentred } from './quantize.ts';

export interface TensorQuantizer {
  quantize(values: Float32Array): Uint8Array;
  dequantize(symbols: Uint8Array): Float32Array;
}

/** What of a coded tensor is about its levels. */
export type QuantizerCoding = Pick<QuantizedTensor, 'low' | 'step' | 'channels' | 'map'>;

/** Throws BAD_PLAN where the map does not fit the tensor. */
export function tensorQuantizer(coding: QuantizerCoding, bits: number, spec: TensorSpec): TensorQuantizer {
  const { low, step, map } = coding;
  if (map === null) {
    return {
      quantize: (values) => quantize(values, coding, bits),
      dequantize: (symbols) => dequantize(symbols, coding),
    };
  }
  const channelMap = preparedMap(channelMapOf(map, coding.channels, spec));
  const centre = centreOf(bits);
  if (low !== -centre * step) {
    throw new TandemError(
      'BAD_PLAN',
      `components of ${spec.name} lie around 0: expected low ${-centre * step}, got ${low}`,
    );
  }
  return {
    quantize: (values) => quantizeCentred(channelMap.toComponents(values), step, bits, map.rounding),
    dequantize: (symbols) => channelMap.fromComponents(symbols, centre, step),
  };
}

/** Of a channel; and the most is one over it. What is divided by it stays a number. */
const WEIGHT_MIN = 1e-6;

function channelMapOf(map: NonNullable<QuantizedTensor['map']>, components: number, spec: TensorSpec): ChannelMap {
  const [mean, weights, scales] = [floatsOf(map.mean), floatsOf(map.weights), floatsOf(map.scales)];
  const bytes = fromBase64(map.rows);
  const codes = new Int8Array(bytes.buffer, bytes.byteOffset, bytes.length);
  const channels = mean.length;
  const fits = weights.length === channels && scales.length === components && codes.length === components * channels;
  if (!fits || spec.shape[0] !== 1 || spec.shape[1] !== channels || components > channels) {
    throw new TandemError(
      'BAD_PLAN',
      `a map of ${channels} channels, ${weights.length} weights, ${codes.length} codes and ${scales.length} scales ` +
        `makes no ${components} components of ${spec.name}, [${spec.shape}]`,
    );
  }
  const isWeight = (value: number) => value > WEIGHT_MIN && value < 1 / WEIGHT_MIN;
  if (![...mean, ...scales].every(Number.isFinite) || !weights.every(isWeight)) {
    throw new TandemError('BAD_PLAN', `the map of ${spec.name} has means, weights or scales that are no such numbers`);
  }
  const rows = Float64Array.from(codes, (code, i) => code * (scales[Math.floor(i / channels)] as number));
  return { channels, components, mean, weights, rows };
}

/** Of little-endian float32; a stray end is no number. */
function floatsOf(text: string): Float64Array {
  const bytes = fromBase64(text);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return Float64Array.from({ length: Math.floor(bytes.length / 4) }, (_, i) => view.getFloat32(4 * i, true));
}
