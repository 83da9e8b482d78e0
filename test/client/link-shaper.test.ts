import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import { type LinkConditions, type ShapedLink, shapeLink } from '../../client/testkit/link-shaper.ts';

const BYTES = 100_000;
let server: Server;
let link: ShapedLink;
beforeEach(async () => {
  server = createServer(async (request: IncomingMessage, response) => {
    let got = 0;
    for await (const chunk of request) got += (chunk as Buffer).byteLength;
    response.end(request.method === 'POST' ? String(got) : Buffer.alloc(BYTES));
  });
  const sockets = new WebSocketServer({ server });
  sockets.on('connection', (socket) => socket.on('message', (data) => socket.send(data)));
  await once(server.listen(0, '127.0.0.1'), 'listening');
});
afterEach(async () => {
  await link.close();
  server.closeAllConnections();
  server.close();
});

async function shaped(conditions: Partial<LinkConditions>): Promise<string> {
  link = await shapeLink(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, conditions);
  return link.url;
}

async function timed<T>(work: Promise<T>): Promise<{ value: T; ms: number }> {
  const start = performance.now();
  return { value: await work, ms: performance.now() - start };
}

/** Of three: what a busy machine does besides comes on top of the link, and never off it. */
async function fastestOf<T extends { readonly ms: number }>(measure: () => Promise<T>): Promise<T> {
  const tries = [await measure(), await measure(), await measure()];
  return tries.reduce((best, one) => (one.ms < best.ms ? one : best));
}

async function echo(url: string): Promise<WebSocket> {
  const socket = new WebSocket(url.replace('http', 'ws'));
  socket.on('error', () => {});
  await once(socket, 'open');
  return socket;
}

describe('a shaped link', () => {
  test('takes as long as its rate says, each way', async () => {
    const url = await shaped({ downBytesPerS: 400_000, upBytesPerS: 200_000 });
    const download = () => timed(fetch(url).then((response) => response.arrayBuffer()));
    const upload = () =>
      timed(fetch(url, { method: 'POST', body: Buffer.alloc(BYTES) }).then((response) => response.text()));
    const [down, up] = [await fastestOf(download), await fastestOf(upload)];
    expect(down.value.byteLength).toBe(BYTES);
    expect(down.ms).toBeGreaterThan(230);
    expect(down.ms).toBeLessThan(450);
    expect(up.value).toBe(String(BYTES));
    expect(up.ms).toBeGreaterThan(450);
    expect(up.ms).toBeLessThan(800);
    expect(link.passed.up).toBeGreaterThan(BYTES);
  });

  test('delays a message by its delay, there and back, and keeps their order', async () => {
    const socket = await echo(await shaped({ delayMs: 40 }));
    const got: string[] = [];
    socket.on('message', (data) => got.push(String(data)));
    const { ms } = await timed(
      (async () => {
        for (const text of ['1', '2', '3']) socket.send(text);
        while (got.length < 3) await once(socket, 'message');
      })(),
    );
    expect(got).toEqual(['1', '2', '3']);
    expect(ms).toBeGreaterThan(75);
    expect(ms).toBeLessThan(250);
    socket.close();
  });

  test('stalls without a word, and goes on with nothing lost', async () => {
    const socket = await echo(await shaped({}));
    link.stall();
    socket.send('held');
    const first = once(socket, 'message');
    expect(await Promise.race([first, new Promise((resolve) => setTimeout(resolve, 150, 'nothing'))])).toBe('nothing');
    expect(socket.readyState).toBe(WebSocket.OPEN);
    link.restore();
    expect(String((await first)[0])).toBe('held');
    socket.close();
  });

  test('breaks what is open when it is cut, and takes nobody until it is restored', async () => {
    const url = await shaped({});
    const socket = await echo(url);
    link.cut();
    await once(socket, 'close');
    await expect(fetch(url)).rejects.toThrow();
    link.restore();
    expect((await fetch(url)).status).toBe(200);
  });

  test('lets one connection speak while another fills the line, and after it', async () => {
    const url = await shaped({ downBytesPerS: 1_000_000, upBytesPerS: 1_000_000 });
    const socket = await echo(url);
    let replies = 0;
    socket.on('message', () => replies++);
    const asking = setInterval(() => socket.send('x'.repeat(200)), 20);
    const large = fetch(url, { method: 'POST', body: Buffer.alloc(900_000) });
    await Promise.all([
      large.then((response) => response.text()),
      fetch(url).then((response) => response.arrayBuffer()),
    ]);
    const during = replies;
    await new Promise((resolve) => setTimeout(resolve, 300));
    clearInterval(asking);
    expect(during).toBeGreaterThan(3);
    expect(replies).toBeGreaterThan(during + 3);
    socket.close();
  });

  test('replays conditions', async () => {
    const url = await shaped({});
    const stop = link.replay([{ atMs: 0, delayMs: 60 }]);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect((await timed(fetch(url, { method: 'POST', body: 'x' }))).ms).toBeGreaterThan(110);
    stop();
  });
});
