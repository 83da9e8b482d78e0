/** Bytes <-> header and payload, without IO. One message is one binary frame as frame-layout.ts has it; its header is one msgpack map. */
import { Packr, Unpackr } from 'msgpackr';
import { TandemError } from '../errors.ts';
import { type Frame, hex, layFrame, takeApart } from './frame-layout.ts';
import { FRAME_BYTES_MAX } from './limits.ts';
import type { Message } from './messages.ts';
import { isPlainMsgpack } from './plain-msgpack.ts';

export type { Frame } from './frame-layout.ts';

// Records would save a few bytes by remembering structures between messages: state that two sides could disagree on.
const packr = new Packr({ useRecords: false });
const unpackr = new Unpackr({ useRecords: false, mapsAsObjects: true, int64AsType: 'number' });

/**
 * @param parts the payload; `message.parts` must list their byte lengths where the message has such a field
 * @throws FRAME_TOO_LARGE
 */
export function encodeFrame(message: Message, parts: readonly Uint8Array[] = []): Uint8Array {
  return layFrame(packr.pack(message), parts);
}

/**
 * @param bytesMax the receiver's own limit
 * @throws FRAME_TOO_LARGE, UNSUPPORTED_VERSION or BAD_FRAME
 */
export function decodeFrame(frame: Uint8Array, bytesMax: number = FRAME_BYTES_MAX): Frame {
  return takeApart(frame, bytesMax, unpackHeader);
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
