/**
 * Bytes <-> header and payload, without IO. One message is one binary frame:
 *
 *   0   u8   0x54 ("T")
 *   1   u8   protocol version
 *   2   u16  0; receivers ignore it, and what the padding holds
 *   4   u32  header bytes H, little-endian
 *   8        header: one msgpack map
 *            zeros up to a multiple of 8
 *            payload: the parts that header.parts lists, each but the last followed by zeros up to a multiple of 8
 *
 * Parts begin at multiples of 8 so that a receiver may view them as any typed array without copying.
 */
import { TandemError } from '../errors.ts';
import { aligned, MAGIC, PREFIX_BYTES } from './encode-frame.ts';
import { FRAME_BYTES_MAX, HEADER_BYTES_MAX, PARTS_MAX, PROTOCOL_VERSION } from './limits.ts';
import { unpack } from './plain-msgpack.ts';

export { encodeFrame } from './encode-frame.ts';

/** A frame taken apart. The header is not yet validated; the parts are views of the frame. */
export interface Frame {
  readonly header: unknown;
  readonly parts: readonly Uint8Array[];
}

/**
 * @param bytesMax the receiver's own limit
 * @throws FRAME_TOO_LARGE, UNSUPPORTED_VERSION or BAD_FRAME
 */
export function decodeFrame(frame: Uint8Array, bytesMax: number = FRAME_BYTES_MAX): Frame {
  if (frame.length > bytesMax) {
    throw new TandemError('FRAME_TOO_LARGE', `a frame takes up to ${bytesMax} bytes, this one has ${frame.length}`);
  }
  if (frame.length < PREFIX_BYTES || frame[0] !== MAGIC) {
    throw new TandemError('BAD_FRAME', `expected a Tandem frame, got ${frame.length} bytes beginning ${hex(frame)}`);
  }
  if (frame[1] !== PROTOCOL_VERSION) {
    throw new TandemError('UNSUPPORTED_VERSION', `expected protocol version ${PROTOCOL_VERSION}, got ${frame[1]}`);
  }
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  const headerBytes = view.getUint32(4, true);
  if (headerBytes > HEADER_BYTES_MAX || PREFIX_BYTES + headerBytes > frame.length) {
    throw new TandemError('BAD_FRAME', `a header of ${headerBytes} bytes does not fit a frame of ${frame.length}`);
  }
  const header = unpackHeader(frame.subarray(PREFIX_BYTES, PREFIX_BYTES + headerBytes));
  return { header, parts: sliceParts(frame, aligned(PREFIX_BYTES + headerBytes), partLengths(header)) };
}

function unpackHeader(bytes: Uint8Array): unknown {
  try {
    return unpack(bytes);
  } catch (cause) {
    const what = `${bytes.length} bytes from ${hex(bytes)}`;
    throw new TandemError('BAD_FRAME', `the header is no msgpack of plain values: ${what}`, { cause });
  }
}

function partLengths(header: unknown): number[] {
  const lengths = typeof header === 'object' && header !== null && 'parts' in header ? header.parts : [];
  const areLengths =
    Array.isArray(lengths) &&
    lengths.length <= PARTS_MAX &&
    lengths.every((length) => Number.isInteger(length) && length >= 0);
  if (!areLengths) throw new TandemError('BAD_FRAME', `expected up to ${PARTS_MAX} part lengths in the header`);
  return lengths;
}

function sliceParts(frame: Uint8Array, payloadStart: number, lengths: readonly number[]): Uint8Array[] {
  let end = payloadStart;
  const parts = lengths.map((length, i) => {
    const start = i === 0 ? payloadStart : aligned(end);
    end = start + length;
    return frame.subarray(start, end);
  });
  if (end !== frame.length) {
    throw new TandemError('BAD_FRAME', `the header announces a frame of ${end} bytes, it has ${frame.length}`);
  }
  return parts;
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes.subarray(0, 4), (byte) => byte.toString(16).padStart(2, '0')).join(' ');
}
