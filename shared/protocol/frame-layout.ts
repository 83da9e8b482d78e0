/**
 * How a header and its parts lie in a frame, whatever the header is written in:
 *
 *   0   u8   0x54 ("T")
 *   1   u8   protocol version
 *   2   u16  0; receivers ignore it, and what the padding holds
 *   4   u32  header bytes H, little-endian
 *   8        header
 *            zeros up to a multiple of 8
 *            payload: the parts that header.parts lists, each but the last followed by zeros up to a multiple of 8
 *
 * Parts begin at multiples of 8 so that a receiver may view them as any typed array without copying.
 */
import { TandemError } from '../errors.ts';
import { FRAME_BYTES_MAX, HEADER_BYTES_MAX, PARTS_MAX, PROTOCOL_VERSION } from './limits.ts';

const MAGIC = 0x54;
const PREFIX_BYTES = 8;
const ALIGNMENT = 8;

/** A frame taken apart. The header is not yet validated; the parts are views of the frame. */
export interface Frame {
  readonly header: unknown;
  readonly parts: readonly Uint8Array[];
}

/** @throws FRAME_TOO_LARGE */
export function layFrame(header: Uint8Array, parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  let length = aligned(PREFIX_BYTES + header.length);
  const starts = parts.map((part, i) => {
    const start = length;
    length += i === parts.length - 1 ? part.length : aligned(part.length);
    return start;
  });
  if (length > FRAME_BYTES_MAX || header.length > HEADER_BYTES_MAX) {
    throw new TandemError(
      'FRAME_TOO_LARGE',
      `a frame takes up to ${FRAME_BYTES_MAX} bytes, ${HEADER_BYTES_MAX} of them header; this one has ${length}, ` +
        `${header.length} of them header`,
    );
  }
  const frame = new Uint8Array(length);
  frame[0] = MAGIC;
  frame[1] = PROTOCOL_VERSION;
  new DataView(frame.buffer).setUint32(4, header.length, true);
  frame.set(header, PREFIX_BYTES);
  for (let i = 0; i < parts.length; i++) frame.set(parts[i] as Uint8Array, starts[i]);
  return frame;
}

function aligned(length: number): number {
  return Math.ceil(length / ALIGNMENT) * ALIGNMENT;
}

/**
 * @param bytesMax the receiver's own limit
 * @param readHeader throws BAD_FRAME
 * @throws FRAME_TOO_LARGE, UNSUPPORTED_VERSION or BAD_FRAME
 */
export function takeApart(frame: Uint8Array, bytesMax: number, readHeader: (bytes: Uint8Array) => unknown): Frame {
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
  const header = readHeader(frame.subarray(PREFIX_BYTES, PREFIX_BYTES + headerBytes));
  return { header, parts: sliceParts(frame, aligned(PREFIX_BYTES + headerBytes), partLengths(header)) };
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

/** How bytes begin, for messages. */
export function hex(bytes: Uint8Array): string {
  return Array.from(bytes.subarray(0, 4), (byte) => byte.toString(16).padStart(2, '0')).join(' ');
}
