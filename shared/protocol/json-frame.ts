/** Frames whose header is JSON, by HTTP: a page can write and read them before it has msgpack. */
import { TandemError } from '../errors.ts';
import { readAsciiJson, writeAsciiJson } from './ascii-json.ts';
import { type Frame, layFrame, takeApart } from './frame-layout.ts';
import { FRAME_BYTES_MAX } from './limits.ts';
import type { Message } from './messages.ts';

/** As `encodeFrame`. Throws FRAME_TOO_LARGE. */
export function encodeJsonFrame(message: Message, parts: readonly Uint8Array[] = []): Uint8Array<ArrayBuffer> {
  return layFrame(writeAsciiJson(message), parts);
}

/** As `decodeFrame`. Throws FRAME_TOO_LARGE, UNSUPPORTED_VERSION or BAD_FRAME. */
export function decodeJsonFrame(frame: Uint8Array, bytesMax: number = FRAME_BYTES_MAX): Frame {
  return takeApart(frame, bytesMax, (header) => {
    try {
      return readAsciiJson(header);
    } catch (error) {
      throw new TandemError('BAD_FRAME', `the header is no JSON in ASCII: ${(error as Error).message}`, {
        cause: error,
      });
    }
  });
}
