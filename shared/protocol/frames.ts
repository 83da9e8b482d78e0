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
import { Packr, Unpackr } from 'msgpackr';
import { TandemError } from '../errors.ts';
import { FRAME_BYTES_MAX, HEADER_BYTES_MAX, PARTS_MAX, PROTOCOL_VERSION } from './limits.ts';
import type { Message } from './messages.ts';
import { isPlainMsgpack } from './plain-msgpack.ts';

const MAGIC = 0x54;
const PREFIX_BYTES = 8;
const ALIGNMENT = 8;

/** A frame taken apart. The header is not yet validated; the parts are views of the frame. */
export interface Frame {
  readonly header: unknown;
  readonly parts: readonly Uint8Array[];
}

// Records would save a few bytes by remembering structures between messages: state that two sides could disagree on.
const packr = new Packr({ useRecords: false });
const unpackr = new Unpackr({ useRecords: false, mapsAsObjects: true, int64AsType: 'number' });

/**
 * @param parts the payload; `message.parts` must list their byte lengths where the message has such a field
 * @throws FRAME_TOO_LARGE
 */
export function encodeFrame(message: Message, parts: readonly Uint8Array[] = []): Uint8Array {
  const header = packr.pack(message);
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
  for (const [i, part] of parts.entries()) frame.set(part, starts[i] as number);
  return frame;
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
  const fail = (cause?: unknown) =>
    new TandemError('BAD_FRAME', `the header is no msgpack of plain values: ${bytes.length} bytes from ${hex(bytes)}`, {
      cause,
    });
  if (!isPlainMsgpack(bytes)) throw fail();
  try {
    return unpackr.unpack(bytes);
  } catch (error) {
    throw fail(error);
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

function aligned(length: number): number {
  return Math.ceil(length / ALIGNMENT) * ALIGNMENT;
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes.subarray(0, 4), (byte) => byte.toString(16).padStart(2, '0')).join(' ');
}
