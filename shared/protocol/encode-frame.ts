/** Header and payload -> one frame; frames.ts says what it looks like, and reads it. A file apart: a page's hello needs no more. */
import { TandemError } from '../errors.ts';
import { FRAME_BYTES_MAX, HEADER_BYTES_MAX, PROTOCOL_VERSION } from './limits.ts';
import type { Message } from './messages.ts';
import { pack } from './pack.ts';

export const MAGIC = 0x54;
export const PREFIX_BYTES = 8;
const ALIGNMENT = 8;

/**
 * @param parts the payload; `message.parts` must list their byte lengths where the message has such a field
 * @throws FRAME_TOO_LARGE
 */
export function encodeFrame(message: Message, parts: readonly Uint8Array[] = []): Uint8Array {
  const header = pack(message);
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

/** Up to the place where the next part may begin. */
export function aligned(length: number): number {
  return Math.ceil(length / ALIGNMENT) * ALIGNMENT;
}
