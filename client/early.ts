/**
 * What a page begins before the SDK itself has come, so that round trips and scripts pass the network side by side: the first
 * connection with its hello, the plan's head, and the first request where the app has named it. Who first asks for the same later is
 * given what was begun.
 */
import { asTandemError } from '../shared/errors.ts';
import type { Channel, ChannelEvents, Connector } from '../shared/protocol/channel.ts';
import type { Hello } from '../shared/protocol/opening-hello.ts';
import { planHeadPath, socketUrl } from '../shared/protocol/paths.ts';
import { abortWith } from './abort-with.ts';
import { baseUrl } from './base-url.ts';
import type { Begun as BegunRequest } from './begun.ts';
import type { BrowserInput } from './browser.ts';
import { beginFirst, type FirstOptions, type FirstPlatform } from './first-request.ts';
import { type Token, tokensOf } from './token.ts';
import type { ClientOptions } from './types.ts';

/** Software and version, for the gateway's logs. */
export const CLIENT_NAME = 'tandem-browser/0.1';

export interface Early {
  /** Of all that is begun, and of the client: one that is being asked for is not asked for again. */
  readonly token: () => Token;
  /** Of the connection that was begun to this URL; undefined where none was, or it is taken. */
  connector(url: string): Connector | undefined;
  /** What was begun to be fetched of this URL; undefined where nothing was, or it is taken. */
  response(url: string, signal: AbortSignal | null | undefined): Promise<Response> | undefined;
  /** As `First.take`: null where no request was begun. */
  take(input: BrowserInput): BegunRequest | null;
  /** Ends what nobody has taken. */
  close(): void;
}

export interface Platform extends FirstPlatform {
  /** Opens a WebSocket and says hello with it. */
  connector(url: string, hello: Hello): Connector;
}

export type EarlyOptions = ClientOptions & FirstOptions;

interface Begun<T> {
  readonly url: string;
  take(): T;
  close(): void;
}

/**
 * Begins nothing for an address that is refused later, or a signal that was aborted.
 */
export function begin(options: EarlyOptions, platform: Platform): Early {
  const base = addressOf(options);
  // A plan that is pinned is fetched whole: whose head it is only the whole plan tells.
  const hasHead = base !== null && options.planSha256 === undefined;
  const askForToken = tokensOf(options);
  // Once for all that is begun.
  const token = base === null ? null : askForToken();
  let socket = base === null ? null : earlySocket(socketUrl(base), options, token, platform.connector);
  let head = hasHead ? earlyFetch(`${base}${planHeadPath(options.model)}`, platform.fetch) : null;
  const first = head && base !== null ? beginFirst(options, { base, token, head: head.response }, platform) : null;
  return {
    token: askForToken,
    connector(url) {
      if (socket?.url !== url) return undefined;
      const connector = socket.take();
      socket = null;
      return connector;
    },
    response(url, signal) {
      if (head?.url !== url) return undefined;
      const respond = head.take();
      head = null;
      return respond(signal);
    },
    take: (input) => first?.take(input) ?? null,
    close() {
      socket?.close();
      head?.close();
      first?.close();
    },
  };
}

function addressOf({ url, signal }: ClientOptions): string | null {
  try {
    return signal?.aborted ? null : baseUrl(url);
  } catch {
    return null;
  }
}

/** What happens before it is taken is told then, in its order. */
function earlySocket(
  url: string,
  { receipts = true }: ClientOptions,
  token: Token,
  connector: Platform['connector'],
): Begun<Connector> {
  let opened: Channel | null = null;
  let isClosed = false;
  let taker: ChannelEvents | null = null;
  const untold: ((events: ChannelEvents) => void)[] = [];
  const tell = (event: (events: ChannelEvents) => void) => {
    if (taker) event(taker);
    else untold.push(event);
  };
  const open = async () => {
    let what = 'no token';
    try {
      const text = token instanceof Promise ? await token : token;
      if (isClosed) return;
      what = 'no connection';
      const hello: Hello = { type: 'hello', client: CLIENT_NAME, token: text, receipts };
      const connect = connector(url, hello);
      opened = connect({
        onOpen: () => tell((events) => events.onOpen()),
        onFrame: (frame) => tell((events) => events.onFrame(frame)),
        onClose: (code, reason) => tell((events) => events.onClose(code, reason)),
      });
    } catch (error) {
      const { message } = asTandemError(error, 'UNAVAILABLE', what);
      tell((events) => events.onClose(1006, message));
    }
  };
  void open();
  const channel: Channel = {
    send: (frame) => opened?.send(frame),
    close(code, reason) {
      isClosed = true;
      opened?.close(code, reason);
    },
    get bufferedBytes() {
      return opened?.bufferedBytes ?? 0;
    },
    get hasSaidHello() {
      return opened?.hasSaidHello ?? false;
    },
  };
  return {
    url,
    take: () => (events) => {
      // Never within the call.
      queueMicrotask(() => {
        taker = events;
        for (const event of untold.splice(0)) event(events);
      });
      return channel;
    },
    close: () => channel.close(1000, ''),
  };
}

function earlyFetch(
  url: string,
  fetch: Platform['fetch'],
): Begun<(signal: AbortSignal | null | undefined) => Promise<Response>> & { readonly response: Promise<Response> } {
  const giveUp = new AbortController();
  const response = fetch(url, { signal: giveUp.signal });
  // It may fail before it is waited for.
  response.catch(() => {});
  return {
    ...{ url, response },
    take: () => (signal) => {
      abortWith(giveUp, signal);
      return response;
    },
    close: () => giveUp.abort(),
  };
}
