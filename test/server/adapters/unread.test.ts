import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import { type AddressInfo, createConnection, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { boundUnread, cutUnread } from '../../../server/adapters/unread.ts';

const TIMEOUT_MS = 1000;
/** More than the buffers of both ends take. */
const BODY = Buffer.alloc(32 * 2 ** 20);

describe('a connection over HTTP', () => {
  let server: Server;
  let socket: Socket;
  const ask = async (answer: RequestListener, head = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n') => {
    server = createServer({ keepAliveTimeout: TIMEOUT_MS }, answer);
    cutUnread(server, TIMEOUT_MS);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    socket = createConnection((server.address() as AddressInfo).port, '127.0.0.1');
    const [served] = (await Promise.all([once(server, 'connection'), once(socket, 'connect')]))[0] as [Socket];
    socket.write(head);
    return served;
  };
  afterEach(() => {
    socket.destroy();
    server.close();
  });

  test('whose answer nobody reads is cut', async () => {
    const served = await ask((_request, response) => response.end(BODY));
    await once(served, 'close');
    expect(socket.bytesRead).toBeLessThan(BODY.length);
  });

  test('is not cut while it is read, however long that takes', async () => {
    const served = await ask((_request, response) => response.end(BODY));
    const startMs = Date.now();
    let bytes = 0;
    // 8 MB a second, so that there is room for more several times within the limit.
    const reading = setInterval(() => {
      let due = 400_000;
      while (due > 0 && socket.readableLength > 0) {
        const piece = socket.read(Math.min(due, socket.readableLength)) as Buffer;
        [bytes, due] = [bytes + piece.length, due - piece.length];
      }
    }, 50);
    socket.on('readable', () => {});
    await expect.poll(() => bytes, { timeout: 15_000 }).toBeGreaterThan(BODY.length);
    clearInterval(reading);
    expect(Date.now() - startMs).toBeGreaterThan(3 * TIMEOUT_MS);
    expect(served.destroyed).toBe(false);
  });

  test('is not cut while it waits for an answer, and is after that as long as nothing is asked for', async () => {
    const served = await ask((_request, response) => setTimeout(() => response.end('late'), 2.5 * TIMEOUT_MS));
    const [said] = await once(socket, 'data');
    expect(said.toString()).toContain('late');
    socket.resume();
    await once(served, 'close');
  });

  test('on which nothing is asked for is cut', async () => {
    const served = await ask(() => {}, 'GET ');
    socket.resume();
    await once(served, 'close');
  });
});

describe('answers of all connections that nobody reads', () => {
  const SIZES = [16, 48, 32, 40].map((mib) => mib * 2 ** 20);

  test('are bounded: whoever leaves most is cut, and nobody else', async () => {
    const server = createServer((request, response) => response.end(Buffer.alloc(Number(request.url?.slice(1)))));
    // Both the larger ones have to go: without them at most 48 MiB wait, with either at least 64.
    boundUnread(server, 56 * 2 ** 20);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const served: Socket[] = [];
    server.on('connection', (socket: Socket) => served.push(socket));
    const peers: Socket[] = [];
    for (const size of SIZES) {
      const peer = createConnection((server.address() as AddressInfo).port, '127.0.0.1');
      peers.push(peer);
      peer.on('error', () => {}).write(`GET /${size} HTTP/1.1\r\nHost: x\r\n\r\n`);
      await once(server, 'request');
    }
    await expect
      .poll(() => served.map(({ destroyed }) => destroyed), { timeout: 5000 })
      .toEqual([false, true, false, true]);
    // Who was kept has all of it, as soon as it reads.
    let bytes = 0;
    peers[2]?.on('data', ({ byteLength }) => {
      bytes += byteLength;
    });
    await expect.poll(() => bytes, { timeout: 5000 }).toBeGreaterThan(SIZES[2] ?? 0);
    for (const peer of peers) peer.destroy();
    server.close();
  });
});
