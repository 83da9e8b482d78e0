/** One float32 tensor <-> the symbols that a tier codes: its values themselves, or their components, in steps. */
import { fromBase64 } from '../base64.ts';
import { TandemError } from '../errors.ts';
import type { QuantizedTensor, TensorSpec } from '../plan.ts';
import { type ChannelMap, wayBack, wayForth } from './channel-map.ts';
import { centreOf, dequantize, quantize, quantizeCentred } from './quantize.ts';

/** What of a coded tensor is about its levels. */
export type QuantizerCoding = Pick<QuantizedTensor, 'low' | 'step' | 'channels' | 'map'>;

export type TensorQuantizer = (values: Float32Array) => Uint8Array;

/** Throws BAD_PLAN where the map does not fit the tensor. */
export function tensorQuantizer(coding: QuantizerCoding, bits: number, spec: TensorSpec): TensorQuantizer {
  const { step, map } = coding;
  if (map === null) return (values) => quantize(values, coding, bits);
  const toComponents = wayForth(channelMapOf(map, coding, bits, spec));
  return (values) => quantizeCentred(toComponents(values), step, bits, map.rounding);
}

/** The way back. Throws likewise. */
export function tensorDequantizer(
  coding: QuantizerCoding,
  bits: number,
  spec: TensorSpec,
): (symbols: Uint8Array) => Float32Array {
  const { step, map } = coding;
  if (map === null) return (symbols) => dequantize(symbols, coding);
  const fromComponents = wayBack(channelMapOf(map, coding, bits, spec));
  return (symbols) => fromComponents(symbols, centreOf(bits), step);
}

function channelMapOf(
  map: NonNullable<QuantizedTensor['map']>,
  { low, step, channels: components }: QuantizerCoding,
  bits: number,
  spec: TensorSpec,
): ChannelMap {
  const lowest = -centreOf(bits) * step;
  if (low !== lowest) {
    throw new TandemError('BAD_PLAN', `components of ${spec.name} lie around 0: expected low ${lowest}, got ${low}`);
  }
  const mean = floatsOf(map.mean);
  const channels = mean.length;
  if (spec.shape[0] !== 1 || spec.shape[1] !== channels || components > channels || !mean.every(Number.isFinite)) {
    throw new TandemError(
      'BAD_PLAN',
      `a map of ${channels} channels about means that are numbers was expected to make ${components} components of ` +
        `${spec.name}, [${spec.shape}]`,
    );
  }
  const rows = rowsOf(map.forth, components, channels, spec);
  return { channels, components, mean, rows, back: map.back ? rowsOf(map.back, components, channels, spec) : rows };
}

type MapRows = NonNullable<QuantizedTensor['map']>['forth'];

function rowsOf(map: MapRows, components: number, channels: number, { name }: TensorSpec): Float64Array {
  const [scales, bytes] = [floatsOf(map.scales), fromBase64(map.rows)];
  if (scales.length !== components || bytes.length !== components * channels || !scales.every(Number.isFinite)) {
    throw new TandemError(
      'BAD_PLAN',
      `the map of ${name} was expected to have ${components} scales that are numbers and ${components} x ${channels} ` +
        `weights, got ${scales.length} and ${bytes.length}`,
    );
  }
  const weights = new Int8Array(bytes.buffer, bytes.byteOffset, bytes.length);
  return Float64Array.from(weights, (weight, i) => weight * (scales[Math.floor(i / channels)] as number));
}

/** Of little-endian float32; a stray end is no number. */
function floatsOf(text: string): Float64Array {
  const bytes = fromBase64(text);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return Float64Array.from({ length: Math.floor(bytes.length / 4) }, (_, i) => view.getFloat32(4 * i, true));
}
