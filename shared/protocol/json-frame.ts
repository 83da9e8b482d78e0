/** Frames whose header is JSON, by HTTP: a page can write them before it has msgpack. */
import { writeAsciiJson } from './ascii-json.ts';
import { layFrame } from './frame-layout.ts';
import type { Message } from './messages.ts';

/** As `encodeFrame`. Throws FRAME_TOO_LARGE. */
export function encodeJsonFrame(message: Message, parts: readonly Uint8Array[] = []): Uint8Array<ArrayBuffer> {
  return layFrame(writeAsciiJson(message), parts);
}
