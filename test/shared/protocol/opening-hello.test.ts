import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeFrame, encodeFrame } from '../../../shared/protocol/frames.ts';
import { type MessageOf, parseClientMessage } from '../../../shared/protocol/messages.ts';
import { chosenProtocol, hasHeardHello, offeredProtocols } from '../../../shared/protocol/opening-hello.ts';

/** RFC 7230, 3.2.6: what a subprotocol is made of. */
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const HELLO: MessageOf<'hello'> = { type: 'hello', client: 'test', token: 'sesame', receipts: true };

const hellos = fc.record({
  type: fc.constant('hello' as const),
  client: fc.string({ unit: 'binary', minLength: 1, maxLength: 60 }),
  token: fc.option(fc.string({ unit: 'binary', minLength: 1, maxLength: 400 })),
  receipts: fc.boolean(),
});

describe('a hello in the opening of a WebSocket', () => {
  test('comes out as it went in, of letters that a header may have', () => {
    fc.assert(
      fc.property(hellos, (message) => {
        const offered = offeredProtocols(encodeFrame(message));
        for (const protocol of offered) expect(protocol).toMatch(TOKEN);
        const { chosen, hello } = chosenProtocol(offered);
        expect(hasHeardHello(chosen ?? '')).toBe(true);
        expect(parseClientMessage(decodeFrame(hello ?? new Uint8Array()).header)).toEqual(message);
      }),
    );
  });

  test('is not said back: what is chosen holds nothing of it', () => {
    const offered = offeredProtocols(encodeFrame(HELLO));
    expect(offered).toHaveLength(3);
    expect(chosenProtocol(offered).chosen).toBe('tandem.hello');
    // Gateways that know of none take the first that is offered.
    expect(offered[0]).toBe('tandem');
    expect(hasHeardHello('tandem')).toBe(false);
    expect(hasHeardHello('')).toBe(false);
  });

  test('is left for a frame where it is longer than headers may be', () => {
    const tokenOf = (length: number) => encodeFrame({ ...HELLO, token: 'x'.repeat(length) });
    expect(offeredProtocols(tokenOf(3000))).toHaveLength(3);
    expect(offeredProtocols(tokenOf(4096))).toEqual([]);
  });

  test.each([
    [[], undefined],
    [['chat'], 'chat'],
    [['tandem'], 'tandem'],
    [['tandem', 'tandem.hello'], 'tandem'],
    [['tandem.hello.VAIA'], 'tandem.hello.VAIA'],
  ])('is none in an offer of %j', (offered, chosen) => {
    expect(chosenProtocol(offered)).toEqual({ chosen, hello: undefined });
  });

  test.each(['', 'A', 'VAIB*', 'VAI=', 'AAA\u00e9'])('is no frame where its letters are "%s"', (letters) => {
    const { chosen, hello } = chosenProtocol(['tandem', 'tandem.hello', `tandem.hello.${letters}`]);
    expect(chosen).toBe('tandem.hello');
    expect(hello).toBeDefined();
    expect(() => decodeFrame(hello ?? new Uint8Array())).toThrow();
  });
});
