/**
 * A hello within the request that opens a WebSocket, where browsers can put nothing but subprotocols: the gateway's welcome is there
 * a round trip sooner. Not in the URL, which gets into logs.
 */
import { fromBase64, isBase64, toBase64 } from '../base64.ts';

/** For gateways that know no such hello: they take this one, and hear hello as a frame. */
const PLAIN = 'tandem';
/** Chosen by a gateway that has heard the hello. */
const WITH_HELLO = 'tandem.hello';
const PREFIX = 'tandem.hello.';
/** Servers and proxies take headers of 8 KiB and more. A longer hello goes as a frame. */
const LETTERS_MAX = 4096;

/** What a client offers; nothing for a hello that is too long. */
export function offeredProtocols(hello: Uint8Array): string[] {
  const letters = toBase64(hello).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
  return letters.length > LETTERS_MAX ? [] : [PLAIN, WITH_HELLO, `${PREFIX}${letters}`];
}

/** Whether the gateway that chose this has heard the hello. */
export function hasHeardHello(chosen: string): boolean {
  return chosen === WITH_HELLO;
}

/** What a gateway chooses, and the frame of hello that came with the offer: undefined where none did, empty for one that is broken. */
export function chosenProtocol(offered: Iterable<string>): {
  readonly chosen: string | undefined;
  readonly hello: Uint8Array | undefined;
} {
  const all = [...offered];
  const offer = all.find((protocol) => protocol.startsWith(PREFIX));
  if (offer === undefined || !all.includes(WITH_HELLO)) return { chosen: all[0], hello: undefined };
  return { chosen: WITH_HELLO, hello: helloOf(offer.slice(PREFIX.length)) };
}

function helloOf(letters: string): Uint8Array {
  const text = letters.replaceAll('-', '+').replaceAll('_', '/');
  const padded = text.padEnd(Math.ceil(text.length / 4) * 4, '=');
  return isBase64(padded) ? fromBase64(padded) : new Uint8Array();
}
