import fc from 'fast-check';
import { expect, test } from 'vitest';
import { decodeFrame, encodeFrame } from '../../../shared/protocol/frames.ts';
import { encodeJsonFrame } from '../../../shared/protocol/json-frame.ts';
import type { Message } from '../../../shared/protocol/messages.ts';
import { decodeJsonFrame } from '../../../shared/protocol/read-json-frame.ts';

test('says what a frame in msgpack says', () => {
  const anyParts = fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 4 });
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), anyParts, (label, parts) => {
      const message = { type: 'infer', label, parts: parts.map(({ length }) => length) } as unknown as Message;
      expect(decodeJsonFrame(encodeJsonFrame(message, parts))).toEqual(decodeFrame(encodeFrame(message, parts)));
    }),
  );
});

test.each([
  ['msgpack', encodeFrame({ type: 'cancel', id: 1 }), 'no JSON'],
  ['letters beyond ASCII', changed(0xe9), 'no JSON'],
  ['half a header', encodeJsonFrame({ type: 'cancel', id: 1 }).subarray(0, 20), 'does not fit'],
])('refuses %s', (_, frame, said) => {
  expect(() => decodeJsonFrame(frame)).toThrow(
    expect.objectContaining({ code: 'BAD_FRAME', message: expect.stringContaining(said) }),
  );
});

/** A frame with this byte within its header. */
function changed(byte: number): Uint8Array {
  const frame = encodeJsonFrame({ type: 'cancel', id: 1 });
  frame[12] = byte;
  return frame;
}
