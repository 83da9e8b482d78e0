import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeFrame, encodeFrame, type Frame } from '../../../shared/protocol/frames.ts';
import { FRAME_BYTES_MAX, HEADER_BYTES_MAX, PARTS_MAX } from '../../../shared/protocol/limits.ts';
import type { MessageOf } from '../../../shared/protocol/messages.ts';
import { orRefusal, tandemError } from '../tandem-error.ts';

const PING: MessageOf<'ping'> = { type: 'ping', id: 7, usage: [] };
/** 8 bytes of prefix, then {type: "ping", id: 7, usage: []} in 24 bytes of msgpack. */
const PING_HEX = `
  54 02 0000 18000000
  de0003 a474797065 a470696e67 a26964 07 a57573616765 90`;

const INFER: MessageOf<'infer'> = {
  type: 'infer',
  id: 1,
  plan: 'ab'.repeat(32),
  k: 2,
  tier: 'q8',
  label: 'public',
  noise: [],
  retain: true,
  deadlineMs: 1000,
  trace: null,
  shapes: [[1, 4]],
  parts: [3, 2],
};

function bytesOf(hex: string): Uint8Array {
  return Uint8Array.from(Buffer.from(hex.replace(/\s/g, ''), 'hex'));
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

/** A frame around a header that is given in hex, with what comes behind it. */
function frameAround(headerHex: string, payloadHex = ''): Uint8Array {
  const header = bytesOf(headerHex);
  const padding = new Uint8Array((8 - (header.length % 8)) % 8);
  const prefix = new Uint8Array(8);
  prefix.set([0x54, 0x02]);
  new DataView(prefix.buffer).setUint32(4, header.length, true);
  return Uint8Array.of(...prefix, ...header, ...padding, ...bytesOf(payloadHex));
}

const infers = fc
  .record({
    id: fc.integer({ min: 1, max: 2 ** 32 - 1 }),
    label: fc.string({ minLength: 1, maxLength: 64 }),
    trace: fc.option(fc.string({ unit: 'binary', minLength: 1, maxLength: 128 })),
    shapes: fc.array(fc.array(fc.nat(2 ** 31 - 1), { maxLength: 8 }), { maxLength: PARTS_MAX }),
    payload: fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: PARTS_MAX }),
  })
  .map(({ payload, ...fields }) => {
    const message: MessageOf<'infer'> = { ...INFER, ...fields, parts: payload.map((part) => part.length) };
    return { message, payload };
  });

describe('the bytes of a frame', () => {
  test('of a ping are those of the protocol', () => {
    expect(hexOf(encodeFrame(PING))).toBe(hexOf(bytesOf(PING_HEX)));
    expect(decodeFrame(bytesOf(PING_HEX))).toEqual({ header: PING, parts: [] });
  });

  test('of an infer have its parts at multiples of 8, with nothing behind the last', () => {
    const golden = `
      54 02 0000 a9000000
      de000c
      a474797065 a5696e666572
      a26964 01
      a4706c616e d940 ${'6162'.repeat(32)}
      a16b 02
      a474696572 a27138
      a56c6162656c a67075626c6963
      a56e6f697365 90
      a672657461696e c3
      aa646561646c696e654d73 cd03e8
      a57472616365 c0
      a6736861706573 91 92 01 04
      a57061727473 92 03 02
      00000000000000
      a1a2a3 0000000000
      b1b2`;
    const parts = [bytesOf('a1a2a3'), bytesOf('b1b2')];
    expect(hexOf(encodeFrame(INFER, parts))).toBe(hexOf(bytesOf(golden)));
    expect(decodeFrame(bytesOf(golden))).toEqual({ header: INFER, parts });
  });

  test('give header and parts back', () => {
    fc.assert(
      fc.property(infers, ({ message, payload }) => {
        const frame = encodeFrame(message, payload);
        const decoded = decodeFrame(frame);
        expect(decoded.header).toEqual(message);
        expect(decoded.parts.map(hexOf)).toEqual(payload.map(hexOf));
      }),
    );
  });

  test('let every part be viewed as any typed array', () => {
    fc.assert(
      fc.property(infers, ({ message, payload }) => {
        const { parts } = decodeFrame(encodeFrame(message, payload));
        for (const part of parts) expect(part.byteOffset % 8).toBe(0);
      }),
    );
  });

  test('are read all the same at an odd place of a larger buffer', () => {
    const frame = encodeFrame(INFER, [bytesOf('a1a2a3'), bytesOf('b1b2')]);
    const buffer = Buffer.concat([Buffer.from([0xff]), frame, Buffer.from([0xff])]);
    expect(decodeFrame(buffer.subarray(1, -1)).parts.map(hexOf)).toEqual(['a1a2a3', 'b1b2']);
  });

  test('keep nothing of one message for the next', () => {
    // Defines record 0x40 as {a}; in a later message 0x40 is the number 64.
    orRefusal(() => decodeFrame(frameAround('d4 72 40 91 a161 01')));
    orRefusal(() => decodeFrame(frameAround('d5 72 40 00 91 a161 01')));
    expect(decodeFrame(frameAround('81 a26964 40')).header).toEqual({ id: 64 });
  });

  test('cannot reach the prototype of the header', () => {
    const { header } = decodeFrame(frameAround('81 a95f5f70726f746f5f5f 81 a474797065 01'));
    expect(Object.getPrototypeOf(header)).toBe(Object.prototype);
    expect((header as { type?: unknown }).type).toBeUndefined();
  });
});

describe('bytes that are no frame', () => {
  test.each([
    ['nothing', '', 'got 0 bytes'],
    ['a prefix cut short', '54 02 0000 000000', 'got 7 bytes'],
    ['a wrong first byte', '55 01 0000 01000000 80 00000000000000', 'beginning 55 01 00 00'],
    ['a header longer than the frame', '54 02 0000 09000000 80 00000000000000', 'a header of 9 bytes'],
    ['a header of 4 GiB', '54 02 0000 ffffffff 80 00000000000000', 'a header of 4294967295 bytes'],
    ['no header', '54 02 0000 00000000', 'msgpack'],
    ['a header of an unknown extension', '54 02 0000 03000000 d42000 0000000000', 'msgpack'],
    ['a header that ends within a map', '54 02 0000 01000000 81 00000000000000', 'msgpack'],
    ['a header with something behind its map', '54 02 0000 02000000 80 80 000000000000', 'msgpack'],
    ['a frame that ends within the padding of the header', '54 02 0000 01000000 80 000000', 'announces a frame of 16'],
  ])('are refused with BAD_FRAME: %s', (_, hex, message) => {
    expect(() => decodeFrame(bytesOf(hex))).toThrow(tandemError('BAD_FRAME', message));
  });

  test('are refused with UNSUPPORTED_VERSION where they are of another version', () => {
    for (const version of ['00', '01', 'ff']) {
      const frame = bytesOf(`54 ${version} 0000 01000000 80 00000000000000`);
      expect(() => decodeFrame(frame)).toThrow(tandemError('UNSUPPORTED_VERSION', 'expected protocol version 2'));
    }
  });

  test('are refused where the header is over its limit, though it would fit', () => {
    const frameOf = (headerBytes: number) => {
      const string = Buffer.concat([bytesOf('db 00000000'), Buffer.alloc(headerBytes - 5, 'a')]);
      string.writeUInt32BE(headerBytes - 5, 1);
      return frameAround(string.toString('hex'));
    };
    expect(decodeFrame(frameOf(HEADER_BYTES_MAX)).header).toBe('a'.repeat(HEADER_BYTES_MAX - 5));
    expect(() => decodeFrame(frameOf(HEADER_BYTES_MAX + 1))).toThrow(tandemError('BAD_FRAME', 'a header of 65537'));
  });

  test('are refused with FRAME_TOO_LARGE one byte over the limit', () => {
    const frame = bytesOf(PING_HEX);
    expect(() => decodeFrame(frame, frame.length)).not.toThrow();
    expect(() => decodeFrame(frame, frame.length - 1)).toThrow(tandemError('FRAME_TOO_LARGE', 'up to 31 bytes'));
    expect(() => decodeFrame(new Uint8Array(FRAME_BYTES_MAX + 1))).toThrow(tandemError('FRAME_TOO_LARGE'));
  });

  // 81 a57061727473 is a map with the one key "parts".
  test.each([
    ['a negative length', '92 ff 01', '00'],
    ['a length that is no integer', '91 cb 3ff8000000000000', '0000'],
    ['a length that is a string', '91 a131', '00'],
    ['a length that is null', '91 c0', ''],
    ['a length that is NaN', '91 cb 7ff8000000000000', ''],
    ['a length that is infinite', '91 cb 7ff0000000000000', ''],
    ['17 lengths', `dc0011 ${'00'.repeat(17)}`, ''],
    ['a number in place of lengths', '03', '000000'],
    ['null in place of lengths', 'c0', ''],
    ['a map in place of lengths', '80', ''],
  ])('are refused with BAD_FRAME where parts lists %s', (_, lengths, payload) => {
    const frame = frameAround(`81 a57061727473 ${lengths}`, payload);
    expect(() => decodeFrame(frame)).toThrow(tandemError('BAD_FRAME', 'expected up to 16 part lengths'));
  });

  test.each([
    ['a part shorter than announced', '91 03', 'a1a2'],
    ['a part longer than announced', '91 03', 'a1a2a3a4'],
    ['no part where one was announced', '91 01', ''],
    ['a part where none was announced', '90', 'a1'],
    ['parts without zeros between them', '92 01 01', 'a1b1'],
    ['zeros behind the last part', '92 01 01', 'a1 00000000000000 b1 00000000000000'],
    ['lengths beyond all memory', '92 cb 7fe0000000000000 cb 7fe0000000000000', 'a1'],
  ])('are refused with BAD_FRAME for %s', (_, lengths, payload) => {
    const frame = frameAround(`81 a57061727473 ${lengths}`, payload);
    expect(() => decodeFrame(frame)).toThrow(tandemError('BAD_FRAME', 'the header announces a frame of'));
  });

  test('16 parts are taken', () => {
    expect(decodeFrame(frameAround(`81 a57061727473 dc0010 ${'00'.repeat(16)}`)).parts).toHaveLength(PARTS_MAX);
  });

  // References let a header of some hundred bytes stand for 2 ** 40 values.
  test.each([
    ['and ends there', '92 d669 00000001 92 00 00 92 d670 00000001 d670 00000001'],
    ['and has something behind it', '92 d669 00000001 92 00 00 92 d670 00000001 d670 00000001 00'],
    ['in a circle', 'd669 00000001 91 d670 00000001'],
  ])('are refused where the header refers to itself %s', (_, header) => {
    expect(() => decodeFrame(frameAround(header))).toThrow(tandemError('BAD_FRAME'));
  });

  test('are refused without spelling out what a header with references stands for', () => {
    const reference = (id: number) => `d670 000000${id.toString(16).padStart(2, '0')}`;
    const doubled = Array.from({ length: 12 }, (_, i) => {
      const inner = i === 0 ? '00 00' : `${reference(i)} ${reference(i)}`;
      return `${reference(i + 1).replace('d670', 'd669')} 92 ${inner}`;
    });
    const frame = frameAround(`9c ${doubled.join(' ')} 00`);
    expect(() => decodeFrame(frame)).toThrow(tandemError('BAD_FRAME'));
    expect(() => decodeFrame(frame)).not.toThrow(/\[0,0\]/);
  });

  test.each([
    ['a byte that msgpack does not use', 'c1'],
    ['binary data', '81 a161 c4 02 0001'],
    ['a date', '81 a161 d6 ff 00000001'],
    ['a set', '81 a161 d4 73 00 91 01'],
    ['a regular expression', '81 a161 d4 78 00 92 a161 a0'],
    ['a map as a key', '81 80 01'],
    ['an integer beyond 2 ** 53', '81 a161 cf ffffffffffffffff'],
    ['an error', '81 a161 d4 65 00 92 a54572726f72 a161'],
  ])('are refused with BAD_FRAME where the header holds %s', (_, header) => {
    expect(() => decodeFrame(frameAround(header))).toThrow(tandemError('BAD_FRAME'));
  });

  test('only ever give a TandemError, however deep the header is nested', () => {
    for (let depth = 250; depth < 65_000; depth += depth < 8_000 ? 250 : 8_000) {
      orRefusal(() => decodeFrame(frameAround(`${'91'.repeat(depth)} 00`)));
      orRefusal(() => decodeFrame(frameAround(`${'81a161'.repeat(depth / 3)} 00`)));
    }
  });

  test('only ever give a TandemError', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        orRefusal(() => decodeFrame(bytes));
        orRefusal(() => decodeFrame(frameAround(hexOf(bytes))));
      }),
      { numRuns: 2000 },
    );
  });

  test('only ever give a TandemError where they were a frame before some were changed', () => {
    const changes = fc.array(fc.record({ at: fc.nat(), to: fc.nat(255) }), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(infers, changes, fc.nat(), ({ message, payload }, edits, cut) => {
        const frame = encodeFrame(message, payload);
        for (const { at, to } of edits) frame[at % frame.length] = to;
        expectWithin(
          frame,
          orRefusal(() => decodeFrame(frame)),
        );
        const short = frame.subarray(0, cut % frame.length);
        expectWithin(
          short,
          orRefusal(() => decodeFrame(short)),
        );
      }),
      { numRuns: 1000 },
    );
  });

  /** What was decoded is no larger than what came. */
  function expectWithin(frame: Uint8Array, decoded: Frame | null): void {
    const total = (decoded?.parts ?? []).reduce((sum, part) => sum + part.length, 0);
    expect(total).toBeLessThanOrEqual(frame.length);
  }
});

describe('a frame over the limit', () => {
  test('is not made', () => {
    const part = new Uint8Array(FRAME_BYTES_MAX);
    const message = { ...INFER, parts: [part.length] };
    expect(() => encodeFrame(message, [part])).toThrow(tandemError('FRAME_TOO_LARGE'));
  });

  test('is not made for a header alone', () => {
    const message = { ...INFER, label: 'a'.repeat(HEADER_BYTES_MAX) };
    expect(() => encodeFrame(message)).toThrow(tandemError('FRAME_TOO_LARGE'));
  });
});
