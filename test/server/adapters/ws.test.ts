import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { type AddressInfo, createConnection, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { HalfReceived } from '../../../server/adapters/half-received.ts';
import { attachWebSockets, lostUpgrades } from '../../../server/adapters/ws.ts';
import { ERROR_CODES } from '../../../shared/errors.ts';
import { decodeFrame, encodeFrame } from '../../../shared/protocol/frames.ts';
import type { ServerMessage } from '../../../shared/protocol/messages.ts';
import { type Hello, offeredProtocols } from '../../../shared/protocol/opening-hello.ts';
import { expectType, GatewayHarness, inferMessage, send } from '../../helpers/gateway-harness.ts';
import { CONNECTIONS_MAX, wsTransport } from '../../helpers/transports.ts';

/** Asks for each in turn over one connection, with an offer of HTTP/2, and expects all that was sent to be read. */
async function upgradeTo(server: Server, ...asked: readonly (readonly [string, number])[]): Promise<void> {
  const socket = createConnection((server.address() as AddressInfo).port, '127.0.0.1');
  const offer = 'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n';
  for (const [what, bytes] of asked) {
    socket.write(`${what} HTTP/1.1\r\nHost: x\r\n${offer}Content-Length: ${bytes}\r\n\r\n`);
    socket.write(Buffer.alloc(bytes));
    let said = '';
    while (!said.endsWith('bytes')) said += (await once(socket, 'data'))[0];
    expect(said).toMatch(/^HTTP\/1\.1 200 /);
    expect(said.endsWith(`${what} of ${bytes} bytes`)).toBe(true);
  }
}

describe('the WebSocket adapter', () => {
  let harness: GatewayHarness;
  let port: number;
  let stop: () => Promise<void>;
  /** Paths whose sockets are kept open and never answer a close: what a suspended phone does. */
  const silent: string[] = [];
  beforeEach(async () => {
    harness = new GatewayHarness();
    const transport = await wsTransport(harness.gateway, harness.limits.frameBytesMax);
    ({ port, stop } = transport);
    await harness.start(async () => transport);
  });
  afterEach(async () => {
    silent.splice(0);
    await harness.stop();
  });

  /** The first line of the answer to an upgrade request for `path`. */
  const upgrade = (path: string): Promise<string> =>
    new Promise((resolve, reject) => {
      const socket = createConnection(port, '127.0.0.1', () => {
        const key = 'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==';
        socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n${key}\r\n\r\n`);
      });
      socket.once('data', (data) => {
        if (!silent.includes(path)) socket.destroy();
        resolve(data.toString().split('\r\n', 1)[0] ?? '');
      });
      socket.once('error', reject);
    });

  test('lives on after an opening hello that nests without end', async () => {
    const letters = Buffer.from('['.repeat(5000) + ']'.repeat(5000)).toString('base64url');
    const socket = createConnection(port, '127.0.0.1');
    let said = '';
    socket.on('data', (data) => {
      said += data.toString('latin1');
    });
    const key = 'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==';
    const offered = `Sec-WebSocket-Protocol: tandem, tandem.hello.2, tandem.hello.2.${letters}`;
    socket.write(
      `GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n${key}\r\n${offered}\r\n\r\n`,
    );
    await expect.poll(() => said).toContain('BAD_FRAME');
    socket.destroy();
    await harness.welcomed();
  });

  test('computes nothing for a client that was closed and does not answer', async () => {
    const socket = new WebSocket(`ws://127.0.0.1:${port}/ws`);
    await once(socket, 'open');
    socket.send(encodeFrame({ type: 'hello', client: 'x', token: null, receipts: true }));
    for (const id of [1, 2, 3]) socket.send(encodeFrame(inferMessage({ id }), [new Uint8Array(8)]));
    await expect.poll(() => harness.executor.seen.length).toBe(1);
    // A text breaks the protocol; nothing of what the gateway says of it is read.
    socket.send('text');
    (socket as unknown as { _socket: { pause(): void } })._socket.pause();
    await expect.poll(() => harness.audited.length).toBe(3);
    harness.executor.finish();
    socket.terminate();
    expect(harness.executor.seen).toHaveLength(1);
    const cancelled = { outcome: 'cancelled', receipt: null };
    expect(harness.audited).toMatchObject([cancelled, cancelled, cancelled]);
  });

  test('counts closes by codes of the protocol and its own, whatever a client says', async () => {
    for (const code of [3000, 3001, 4999, 4401]) {
      const socket = new WebSocket(`ws://127.0.0.1:${port}/ws`);
      await once(socket, 'open');
      socket.close(code);
      await once(socket, 'close');
    }
    await expect.poll(() => harness.metric('tandem_connections')).toBe(0);
    const counted = await harness.metrics.registry.getSingleMetric('tandem_connection_closes_total')?.get();
    expect(counted?.values.map(({ labels, value }) => [labels['code'], value])).toEqual([
      ['other', 3],
      ['4401', 1],
    ]);
  });

  /** A client that is let in, at the level of bytes; what it is told is in `said`. */
  const letIn = (port: number) => {
    const socket = createConnection(port, '127.0.0.1');
    const client = { socket, said: '' };
    socket.on('data', (data) => {
      client.said += data.toString('latin1');
    });
    const hello = Buffer.from(JSON.stringify({ type: 'hello', client: 'x', token: null, receipts: false }));
    const key = 'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==';
    const offered = `Sec-WebSocket-Protocol: tandem, tandem.hello.2, tandem.hello.2.${hello.toString('base64url')}`;
    socket.write(
      `GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n${key}\r\n${offered}\r\n\r\n`,
    );
    return client;
  };

  /** Of a masked binary frame (RFC 6455, 5.2). */
  const headOf = (frameBytes: number) => {
    const head = Buffer.alloc(14);
    head[0] = 0x82;
    head[1] = 0x80 | 127;
    head.writeBigUInt64BE(BigInt(frameBytes), 2);
    return head;
  };

  test('leaves a client that still sends a long frame its time', async () => {
    const short = await wsTransport(harness.gateway, 500_000, 200);
    const client = letIn(short.port);
    client.socket.write(headOf(400_000));
    // Over several heartbeats.
    for (let i = 0; i < 20; i++) {
      client.socket.write(Buffer.alloc(20_000));
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    // It is read whole, and refused for its size.
    await expect.poll(() => client.said).toContain('this one has 400000');
    client.socket.destroy();
    await short.stop();
  });

  /** A client that has sent so many bytes of a longer frame, or more. */
  const halfSent = async (port: number, frameBytes: number, bytes: number) => {
    const client = letIn(port);
    await expect.poll(() => client.said).toContain('welcome');
    client.socket.write(Buffer.concat([headOf(frameBytes), Buffer.alloc(bytes)]));
    await new Promise((resolve) => setTimeout(resolve, 100));
    return client;
  };

  test('gives up the longest of the frames that are not whole, where there is no room for all of them', async () => {
    const { port, stop } = await wsTransport(harness.gateway, 500_000, 30_000, new HalfReceived(200_000));
    const short = await halfSent(port, 150_000, 50_000);
    const long = await halfSent(port, 300_000, 120_000);
    const closed = once(long.socket, 'close');
    long.socket.write(Buffer.alloc(70_000));
    await closed;
    expect(long.said).toContain('OVERLOADED');
    // For the other there is room, until it is whole and refused for what it holds.
    short.socket.write(Buffer.alloc(100_000));
    await expect.poll(() => short.said).toContain('error');
    expect(short.said).not.toContain('OVERLOADED');
    short.socket.destroy();
    await stop();
  });

  test('keeps no room for frames that were whole, nor for those of clients that are gone', async () => {
    const transport = await wsTransport(harness.gateway, 500_000, 30_000, new HalfReceived(40_000));
    for (let i = 0; i < 3; i++) (await halfSent(transport.port, 100_000, 25_000)).socket.destroy();
    const late = await halfSent(transport.port, 28_000, 27_000);
    late.socket.write(Buffer.alloc(1000));
    await expect.poll(() => late.said).toContain('error');
    expect(late.said).not.toContain('OVERLOADED');
    late.socket.destroy();
    const peer = await transport.connect();
    send(peer, { type: 'hello', client: 'x', token: null, receipts: false });
    await expectType(peer, 'welcome');
    for (let id = 1; id <= 100; id++) {
      send(peer, { type: 'ping', id, usage: [] });
      await expectType(peer, 'pong');
    }
    peer.close();
    await transport.stop();
  });

  test('takes a frame that comes for longer than a client may be silent for no silence, and pongs alone for one', async () => {
    const client = letIn(port);
    await expect.poll(() => client.said).toContain('welcome');
    const idle = async (sent: Uint8Array) => {
      client.socket.write(sent);
      await new Promise((resolve) => setTimeout(resolve, 50));
      await harness.clock.advance(harness.limits.idleTimeoutMs);
    };
    await idle(headOf(4000));
    for (let i = 0; i < 3; i++) await idle(Buffer.alloc(1000));
    expect(client.said).not.toContain('IDLE_TIMEOUT');
    const silent = letIn(port);
    await expect.poll(() => silent.said).toContain('welcome');
    silent.socket.write(Buffer.of(0x8a, 0x80, 0, 0, 0, 0));
    await idle(Buffer.alloc(500));
    expect([client, silent].map(({ said }) => said.includes('IDLE_TIMEOUT'))).toEqual([false, true]);
    for (const { socket } of [client, silent]) socket.destroy();
  });

  test('answers what offers another protocol than WebSockets as if it had not', async () => {
    const socket = createConnection(port, '127.0.0.1');
    socket.write(
      'GET /nothing HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n',
    );
    const [said] = await once(socket, 'data');
    expect(String(said)).toMatch(/^HTTP\/1\.1 200 /);
    socket.destroy();
  });

  test('reads the body of what offers another protocol, as often as it is offered', async () => {
    const server = createServer(async (request, response) => {
      const pieces = await request.toArray();
      response.end(`${request.method} ${request.url} of ${Buffer.concat(pieces).length} bytes`);
    });
    const { frameBytesMax } = harness.limits;
    attachWebSockets(server, harness.gateway, {
      ...{ path: '/ws', frameBytesMax, connectionsMax: CONNECTIONS_MAX, origins: [], heartbeatMs: 30_000 },
      halfReceived: new HalfReceived(2 ** 30),
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const [near] = await Promise.all([
      once(server, 'connection').then(([socket]) => socket as Socket),
      upgradeTo(server, ['GET /nothing', 0], ['POST /infer', 100_000], ['GET /nothing', 0]),
    ]);
    expect(near.listenerCount('error')).toBeLessThan(3);
    server.closeAllConnections();
    server.close();
  });

  test('waits for no peer that has gone silent, let in or turned away', async () => {
    silent.push('/ws', '/nope');
    expect(await upgrade('/ws')).toContain('101');
    expect(await upgrade('/nope')).toContain('404');
    const started = performance.now();
    await stop();
    expect(performance.now() - started).toBeLessThan(5000);
  });

  test.each(['//', '/', '/wss', '*', 'http://', '/ws/..'])('turns away an upgrade of %s and lives', async (path) => {
    expect(await upgrade(path)).toMatch(/^HTTP\/1.1 40[04] /);
    const peer = await harness.welcomed();
    send(peer, { type: 'ping', id: 1, usage: [] });
    await expectType(peer, 'pong');
  });

  test('turns away connections beyond the most it was told to keep', async () => {
    for (let i = 0; i < CONNECTIONS_MAX; i++) await harness.welcomed();
    expect(await upgrade('/ws')).toContain('503');
  });

  /** What the gateway says first to a socket that offers these, and how the two parted. */
  const opened = async (protocols: string[]) => {
    const socket = new WebSocket(`ws://127.0.0.1:${port}/ws`, protocols);
    const closed = once(socket, 'close').then(([code]) => code as number);
    const [data] = await once(socket, 'message');
    const { header } = decodeFrame(data as Buffer);
    return { socket, closed, first: header as ServerMessage };
  };

  test('hears a hello that comes with the opening, and chooses what holds nothing of it', async () => {
    const hello: Hello = { type: 'hello', client: 'test', token: 'sesame', receipts: false };
    const { socket, closed, first } = await opened(offeredProtocols(hello));
    expect(first).toMatchObject({ type: 'welcome', tenant: 'staff' });
    expect(socket.protocol).toBe('tandem.hello.2');
    socket.send(encodeFrame({ type: 'ping', id: 1, usage: [] }));
    const [pong] = await once(socket, 'message');
    expect(decodeFrame(pong as Buffer).header).toMatchObject({ type: 'pong', id: 1 });
    // It was the first, so another one is too many.
    socket.send(encodeFrame(hello));
    expect(await closed).toBe(ERROR_CODES.UNEXPECTED_MESSAGE.close);
  });

  test.each([
    ['a token that is not known', { type: 'hello', client: 'x', token: 'guess', receipts: true }, 'UNAUTHORIZED'],
    ['what is no hello', { type: 'ping', id: 1, usage: [] }, 'UNEXPECTED_MESSAGE'],
    ['what is of no type', { client: 'x' }, 'BAD_MESSAGE'],
    ['a hello of other fields', { type: 'hello', client: 5, token: null, receipts: true }, 'BAD_MESSAGE'],
    ['what has parts', { type: 'infer', parts: [8] }, 'BAD_FRAME'],
    ['no map', [1, 2], 'BAD_MESSAGE'],
  ] as const)('closes as it does for a frame on an opening with %s', async (_, said, code) => {
    const { closed, first } = await opened(offeredProtocols(said as unknown as Hello));
    expect(first).toMatchObject({ type: 'error', id: null, code });
    expect(await closed).toBe(ERROR_CODES[code].close);
  });
});

test('of a proxy that passes WebSockets on as plain requests the operator hears, once', () => {
  const told: string[] = [];
  const note = lostUpgrades('/ws', (line) => told.push(line));
  const key = { 'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==' };
  for (const [url, headers] of [
    ['/ws', {}],
    ['/', key],
    [undefined, key],
  ] as const) {
    note({ url, headers } as IncomingMessage);
  }
  expect(told).toEqual([]);
  for (const url of ['/ws?a=b', '/ws']) note({ url, headers: key } as IncomingMessage);
  expect(told).toEqual(['WebSockets come as plain requests: a proxy does not pass on their Upgrade and Connection']);
});
