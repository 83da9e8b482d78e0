/** What a page begins before the SDK has come, over real sockets, and how the SDK takes it over. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import { connect as connectInBrowser } from '../../client/browser.ts';
import { begin, type Early, type Platform } from '../../client/early.ts';
import type { Client, ClientOptions, Picture } from '../../client/types.ts';
import { webSocketConnector } from '../../client/web-socket.ts';
import { decodeFrame } from '../../shared/protocol/frames.ts';
import type { Hello } from '../../shared/protocol/opening-hello.ts';
import { socketUrl } from '../../shared/protocol/paths.ts';
import { ClientHarness } from '../helpers/client-harness.ts';
import { type WsTransport, wsTransport } from '../helpers/transports.ts';

let harness: ClientHarness;
let transport: WsTransport;
let url: string;
/** What pages opened, in order. */
let sockets: WebSocket[];
/** What was fetched early, with what ends it. */
let fetched: { readonly url: string; readonly signal: AbortSignal }[];
let platform: Platform;
const begun: Early[] = [];
const clients: Client[] = [];

beforeEach(async () => {
  harness = new ClientHarness();
  transport = await wsTransport(harness.gateway.gateway, harness.gateway.limits.frameBytesMax);
  url = `http://127.0.0.1:${transport.port}`;
  sockets = [];
  fetched = [];
  platform = {
    connector: (to, hello) => webSocketConnector(to, Socket, hello),
    fetch: async (input, init) => {
      fetched.push({ url: String(input), signal: init?.signal as AbortSignal });
      return new Response('the head');
    },
    pictures: { encode: async () => null },
    now: () => 0,
    inputOf: async (input) => input as Picture,
  };
});
afterEach(async () => {
  for (const early of begun.splice(0)) early.close();
  for (const client of clients.splice(0)) await client.close();
  await transport.stop();
});

class Seen extends WebSocket {
  constructor(...args: ConstructorParameters<typeof WebSocket>) {
    super(...args);
    // Browsers throw nothing for a socket that is closed before it is open.
    this.on('error', () => {});
    sockets.push(this);
  }
}
const Socket = Seen as unknown as typeof globalThis.WebSocket;

function beginFor(options: Partial<ClientOptions> = {}): Early {
  const early = begin({ url, model: 'small', ...options }, platform);
  begun.push(early);
  return early;
}

/** As the SDK does once it has come. */
async function connect(early: Early, options: Partial<ClientOptions> = {}): Promise<Client> {
  const connector = (to: string) => early.connector(to) ?? webSocketConnector(to, Socket);
  const client = await harness.connect({ url, ...options }, { connector });
  clients.push(client);
  return client;
}

test('what was begun ends with the signal of who connects, while the SDK still loads', async () => {
  const signals: AbortSignal[] = [];
  vi.stubGlobal('WebSocket', Socket);
  vi.stubGlobal('fetch', (_: string, init: RequestInit) => {
    signals.push(init.signal as AbortSignal);
    return new Promise(() => {});
  });
  const abort = new AbortController();
  const connected = connectInBrowser({ url, model: 'small', signal: abort.signal });
  connected.catch(() => {});
  abort.abort(new Error('not any more'));
  expect(signals.map(({ aborted }) => aborted)).toEqual([true]);
  await expect(connected).rejects.toThrow();
  vi.unstubAllGlobals();
  await closing(sockets[0] as WebSocket);
});

test('a page that may open no socket is told so, and goes on to try', async () => {
  platform = {
    ...platform,
    connector: () => {
      throw new DOMException('The operation is insecure.', 'SecurityError');
    },
  };
  const client = await connect(beginFor());
  await harness.pass(1);
  expect(client.state).toMatchObject({ link: 'connecting', message: 'no connection: The operation is insecure.' });
  await harness.pass(1000);
  await reaches(client, 'open');
  expect(sockets).toHaveLength(1);
});

/** `once` rejects at errors, which a socket has that is closed before it is open. */
async function closing(socket: WebSocket): Promise<void> {
  if (socket.readyState !== WebSocket.CLOSED) await new Promise((resolve) => socket.on('close', resolve));
}

async function reaches(client: Client, link: Client['state']['link']): Promise<void> {
  while (client.state.link !== link) await new Promise((resolve) => client.addEventListener('statechange', resolve));
}

describe('a connection that was begun early', () => {
  test('is the client’s first, has said hello, and was welcomed before anybody took it', async () => {
    const early = beginFor();
    await once(sockets[0] as WebSocket, 'message');
    const client = await connect(early);
    await reaches(client, 'open');
    expect(sockets).toHaveLength(1);
    expect(sockets[0]?.protocol).toBe('tandem.hello.2');
    // A second hello would be answered with an error, before the pong.
    const [answer] = await once(sockets[0] as WebSocket, 'message');
    expect(decodeFrame(new Uint8Array(answer as ArrayBuffer)).header).toMatchObject({ type: 'pong' });
  });

  test('is taken before it is open as well', async () => {
    const client = await connect(beginFor());
    await reaches(client, 'open');
    expect(sockets).toHaveLength(1);
  });

  test.each([
    [undefined, true],
    [false, false],
  ])('says who the client is, and whether it wants receipts: %s', async (asked, receipts) => {
    const heard: Hello[] = [];
    const early = begin(
      { url, model: 'small', token: 'sesame', receipts: asked },
      {
        ...platform,
        connector: (to, hello) => {
          heard.push(hello);
          return platform.connector(to, hello);
        },
      },
    );
    begun.push(early);
    const client = await connect(early, { token: 'sesame' });
    await reaches(client, 'open');
    expect(heard).toEqual([{ type: 'hello', client: 'tandem-browser/0.1', token: 'sesame', receipts }]);
  });

  test('asks for a token once, and the client asks again for its next connection', async () => {
    let asked = 0;
    const token = async () => {
      asked++;
      return 'sesame';
    };
    const client = await connect(beginFor({ token }), { token });
    await reaches(client, 'open');
    expect(asked).toBe(1);
    sockets[0]?.terminate();
    await reaches(client, 'connecting');
    await harness.pass(1000);
    await reaches(client, 'open');
    expect(asked).toBe(2);
    // Later connections say hello as ever.
    expect(sockets.map(({ protocol }) => protocol)).toEqual(['tandem.hello.2', '']);
  });

  test('whose token was refused is refused for good, with the gateway’s reason', async () => {
    const early = beginFor({ token: 'guess' });
    await once(sockets[0] as WebSocket, 'close');
    const client = await connect(early, { token: 'guess' });
    await reaches(client, 'refused');
    expect(client.state.message).toBe('UNAUTHORIZED: the token is not known');
    await harness.pass(60_000);
    expect(sockets).toHaveLength(1);
  });

  test.each([
    [
      'throws',
      () => {
        throw new Error('not signed in');
      },
    ],
    ['rejects', async () => Promise.reject(new Error('not signed in'))],
  ])('whose token function %s is a connection that was lost', async (_, fails) => {
    let isSignedIn = false;
    const token = () => (isSignedIn ? 'sesame' : (fails() as unknown as string));
    const client = await connect(beginFor({ token }), { token });
    while (client.state.message === null) {
      await new Promise((resolve) => client.addEventListener('statechange', resolve));
    }
    expect(client.state).toMatchObject({ link: 'connecting', message: 'no token: not signed in' });
    isSignedIn = true;
    await harness.pass(1000);
    await reaches(client, 'open');
  });

  test('that died before it was taken is made anew after a pause', async () => {
    const early = beginFor();
    const [socket] = sockets as [WebSocket];
    await once(socket, 'message');
    socket.terminate();
    await once(socket, 'close');
    const client = await connect(early);
    await reaches(client, 'connecting');
    await harness.pass(1000);
    await reaches(client, 'open');
    expect(sockets).toHaveLength(2);
  });

  test('that nobody takes is closed', async () => {
    const early = beginFor();
    const [socket] = sockets as [WebSocket];
    await once(socket, 'message');
    early.close();
    await closing(socket);
  });

  test('is not opened once it was closed, whenever its token comes', async () => {
    let give = (_token: string) => {};
    const promise = new Promise<string>((resolve) => {
      give = resolve;
    });
    const early = beginFor({ token: () => promise });
    early.close();
    give('sesame');
    await new Promise(setImmediate);
    expect(sockets).toEqual([]);
  });

  test('is left to the client that took it', async () => {
    const early = beginFor();
    const client = await connect(early);
    early.close();
    await reaches(client, 'open');
    await client.close();
    await closing(sockets[0] as WebSocket);
    expect(sockets).toHaveLength(1);
  });

  test('is closed by a client that cannot connect', async () => {
    const early = beginFor();
    harness.planText = '{}';
    await expect(connect(early)).rejects.toMatchObject({ code: 'BAD_PLAN' });
    await closing(sockets[0] as WebSocket);
    expect(sockets).toHaveLength(1);
  });

  test('says hello in a frame to a gateway that knows no other', async () => {
    const server = createServer();
    const old = new WebSocketServer({ server });
    const first = new Promise<unknown>((resolve) => {
      old.on('connection', (socket) => socket.on('message', (data: Buffer) => resolve(decodeFrame(data).header)));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const client = await connect(beginFor({ token: 'sesame' }), { token: 'sesame' });
    expect(await first).toEqual({ type: 'hello', client: 'test', token: 'sesame', receipts: true });
    expect(sockets[0]?.protocol).toBe('tandem');
    await client.close();
    for (const socket of old.clients) socket.terminate();
    server.close();
  });

  test('tells all that came before it was taken in its order, and what comes then behind it', async () => {
    let say: { onOpen(): void; onFrame(frame: Uint8Array): void } | undefined;
    const early = begin(
      { url, model: 'small' },
      {
        ...platform,
        connector: () => (events) => {
          say = events;
          return { send() {}, close() {}, bufferedBytes: 0 };
        },
      },
    );
    await new Promise(setImmediate);
    say?.onOpen();
    say?.onFrame(Uint8Array.of(1));
    say?.onFrame(Uint8Array.of(2));
    const told: unknown[] = [];
    early.connector(socketUrl(url))?.({
      onOpen: () => told.push('open'),
      onFrame: ([first]) => told.push(first),
      onClose: (code) => told.push(code),
    });
    expect(told).toEqual([]);
    say?.onFrame(Uint8Array.of(3));
    await new Promise(setImmediate);
    say?.onFrame(Uint8Array.of(4));
    expect(told).toEqual(['open', 1, 2, 3, 4]);
  });

  test('is for its own address, and for one taker', () => {
    const early = beginFor();
    expect(early.connector(socketUrl('http://elsewhere'))).toBeUndefined();
    expect(early.connector(socketUrl(url))).toBeDefined();
    expect(early.connector(socketUrl(url))).toBeUndefined();
  });
});

describe('a plan’s head that was begun early', () => {
  test('is given to the first who asks for it, whose signal ends it', async () => {
    const early = beginFor({ url: `${url}//` });
    const head = `${url}/models/small/plan-head.json`;
    expect(fetched.map((one) => one.url)).toEqual([head]);
    expect(early.response(`${url}/models/other/plan-head.json`, null)).toBeUndefined();
    const controller = new AbortController();
    const response = early.response(head, controller.signal);
    expect(await (await response)?.text()).toBe('the head');
    expect(early.response(head, null)).toBeUndefined();
    early.close();
    expect(fetched[0]?.signal.aborted).toBe(false);
    controller.abort(new Error('enough'));
    expect(fetched[0]?.signal).toMatchObject({ aborted: true, reason: new Error('enough') });
  });

  test('is ended by a signal that was aborted before', () => {
    const early = beginFor();
    void early.response(`${url}/models/small/plan-head.json`, AbortSignal.abort());
    expect(fetched[0]?.signal.aborted).toBe(true);
  });

  test('is ended where nobody asks for it', () => {
    beginFor().close();
    expect(fetched[0]?.signal.aborted).toBe(true);
  });

  test('that failed fails for who asks, and for nobody else', async () => {
    platform = { ...platform, fetch: async () => Promise.reject(new TypeError('no network')) };
    const early = beginFor();
    await new Promise(setImmediate);
    await expect(early.response(`${url}/models/small/plan-head.json`, null)).rejects.toThrow('no network');
  });

  test('is not fetched of a plan that is pinned', () => {
    beginFor({ planSha256: '0'.repeat(64) });
    expect(fetched).toEqual([]);
    expect(sockets).toHaveLength(1);
  });
});

test.each([
  ['an address that is none', { url: 'gateway' }],
  ['an address of another kind', { url: 'ftp://gateway' }],
  ['a signal that was aborted', { signal: AbortSignal.abort() }],
])('nothing is begun for %s', async (_, options) => {
  const early = beginFor(options);
  await new Promise(setImmediate);
  expect([sockets, fetched]).toEqual([[], []]);
  expect(early.connector(socketUrl(url))).toBeUndefined();
  expect(() => early.close()).not.toThrow();
});
