/** A frame whose header is JSON, as it came: json-frame.ts writes them. */
import { TandemError } from '../errors.ts';
import { readAsciiJson } from './ascii-json.ts';
import { type Frame, takeApart } from './frame-layout.ts';
import { FRAME_BYTES_MAX } from './limits.ts';

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
