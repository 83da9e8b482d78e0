import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseClientMessage } from '../../../shared/protocol/client-messages.ts';
import { chosenProtocol, type Hello, hasHeardHello, offeredProtocols } from '../../../shared/protocol/opening-hello.ts';

/** RFC 7230, 3.2.6: what a subprotocol is made of. */
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const HELLO: Hello = { type: 'hello', client: 'test', token: 'sesame', receipts: true };

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
        const offered = offeredProtocols(message);
        for (const protocol of offered) expect(protocol).toMatch(TOKEN);
        const { chosen, hello } = chosenProtocol(offered);
        expect(hasHeardHello(chosen ?? '')).toBe(true);
        expect(parseClientMessage(hello)).toEqual(message);
      }),
    );
  });

  test('is not said back: what is chosen holds nothing of it', () => {
    const offered = offeredProtocols(HELLO);
    expect(offered).toHaveLength(3);
    expect(chosenProtocol(offered).chosen).toBe('tandem.hello.2');
    // Gateways that know of none take the first that is offered.
    expect(offered[0]).toBe('tandem');
    expect(hasHeardHello('tandem')).toBe(false);
    expect(hasHeardHello('')).toBe(false);
  });

  test('is left for a frame where it is longer than headers may be', () => {
    const offer = (length: number) => offeredProtocols({ ...HELLO, token: 'x'.repeat(length) });
    expect(offer(2900)).toHaveLength(3);
    expect(offer(4096)).toEqual([]);
  });

  test.each([
    [[], undefined],
    [['chat'], 'chat'],
    [['tandem'], 'tandem'],
    [['tandem', 'tandem.hello.2'], 'tandem'],
    [['tandem.hello.2.e30'], 'tandem.hello.2.e30'],
    // Of another version of the protocol.
    [['tandem', 'tandem.hello.1', 'tandem.hello.1.e30'], 'tandem'],
  ])('is none in an offer of %j', (offered, chosen) => {
    expect(chosenProtocol(offered)).toEqual({ chosen, hello: undefined });
  });

  test.each(['', 'A', 'e30*', 'AAA\u00e9', 'e3'])('is none that can be read where its letters are "%s"', (letters) => {
    const { chosen, hello } = chosenProtocol(['tandem', 'tandem.hello.2', `tandem.hello.2.${letters}`]);
    expect(chosen).toBe('tandem.hello.2');
    expect(hello).toBeNull();
  });
});
