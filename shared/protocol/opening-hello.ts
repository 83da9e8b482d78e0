/**
 * A hello within the request that opens a WebSocket, where browsers can put nothing but subprotocols: the gateway's welcome is there
 * a round trip sooner. Not in the URL, which gets into logs. It is JSON, which a page can write before the SDK has come.
 */
import { fromBase64, isBase64, toBase64 } from '../base64.ts';
import { readAsciiJson, writeAsciiJson } from './ascii-json.ts';
import { PROTOCOL_VERSION } from './limits.ts';
import type { MessageOf } from './messages.ts';

export type Hello = MessageOf<'hello'>;

/** For gateways that know no such hello, or one of another version: they take this one, and hear hello as a frame. */
const PLAIN = 'tandem';
/** Chosen by a gateway that has heard the hello. */
const WITH_HELLO = `tandem.hello.${PROTOCOL_VERSION}`;
const PREFIX = `${WITH_HELLO}.`;
/** Servers and proxies take headers of 8 KiB and more. A longer hello goes as a frame. */
const LETTERS_MAX = 4096;

/** What a client offers; nothing for a hello that is too long. */
export function offeredProtocols(hello: Hello): string[] {
  const letters = toBase64(writeAsciiJson(hello));
  const token = letters.replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
  return token.length > LETTERS_MAX ? [] : [PLAIN, WITH_HELLO, `${PREFIX}${token}`];
}

/** Whether the gateway that chose this has heard the hello. */
export function hasHeardHello(chosen: string): boolean {
  return chosen === WITH_HELLO;
}

/** What a gateway chooses, and the hello that came with the offer, not validated: undefined where none did, null for one that is broken. */
export function chosenProtocol(offered: Iterable<string>): {
  readonly chosen: string | undefined;
  readonly hello: Hello | null | undefined;
} {
  const all = [...offered];
  const offer = all.find((protocol) => protocol.startsWith(PREFIX));
  if (offer === undefined || !all.includes(WITH_HELLO)) return { chosen: all[0], hello: undefined };
  return { chosen: WITH_HELLO, hello: helloOf(offer.slice(PREFIX.length)) };
}

function helloOf(letters: string): Hello | null {
  const text = letters.replaceAll('-', '+').replaceAll('_', '/');
  const padded = text.padEnd(Math.ceil(text.length / 4) * 4, '=');
  if (!isBase64(padded)) return null;
  try {
    return readAsciiJson(fromBase64(padded)) as Hello;
  } catch {
    return null;
  }
}
