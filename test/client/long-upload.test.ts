/** What the kernel holds no page sees: a connection over a real socket that takes long for what it is handed. */
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import { type Connection, openConnection } from '../../client/connection.ts';
import type { Host } from '../../client/host.ts';
import { shapeLink } from '../../client/testkit/link-shaper.ts';
import { webSocketConnector } from '../../client/web-socket.ts';
import { systemClock } from '../../shared/clock.ts';
import { TandemError } from '../../shared/errors.ts';
import * as frames from '../../shared/protocol/frames.ts';
import type { ClientMessage, ServerMessage } from '../../shared/protocol/messages.ts';

const UP_BYTES_PER_S = 30_000;
const LIMITS = { frameBytesMax: 1e7, inFlightMax: 8, idleTimeoutMs: 6_000 };
const LOAD = { queueDepth: 0, queueMs: 0 };
const TIMING = { queueMs: 0, decodeMs: 0, computeMs: 0, totalMs: 0 };

const stops: (() => unknown)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
});

/** Welcomes, and answers at once. */
function answerTo(message: ClientMessage): ServerMessage | null {
  const granted = { plans: [], tenant: 'all', region: null, labels: [], receiptKey: null, load: LOAD };
  if (message.type === 'hello') return { type: 'welcome', server: 'test', limits: LIMITS, ...granted };
  if (message.type === 'ping') return { type: 'pong', id: message.id, load: LOAD };
  if (message.type !== 'infer') return null;
  return { type: 'result', id: message.id, shapes: [], parts: [], timing: TIMING, receipt: null, load: LOAD };
}

test('an upload that takes longer than a pong may is no silence', { timeout: 30_000 }, async () => {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  stops.push(() => server.close());
  await new Promise((resolve) => server.once('listening', resolve));
  server.on('connection', (socket) => {
    socket.on('message', (data: Buffer) => {
      const answer = answerTo(frames.decodeFrame(new Uint8Array(data)).header as ClientMessage);
      if (answer) socket.send(frames.encodeFrame(answer));
    });
  });
  const { port } = server.address() as AddressInfo;
  const shaped = await shapeLink(`http://127.0.0.1:${port}`, { upBytesPerS: UP_BYTES_PER_S });
  stops.push(() => shaped.close());
  const connector = (url: string) => webSocketConnector(url, WebSocket as unknown as typeof globalThis.WebSocket);
  const host = { clock: systemClock(globalThis), name: 'test', connector } as Partial<Host> as Host;
  const lost: string[] = [];
  const connection = await new Promise<Connection>((resolve) => {
    const made: Connection = openConnection({
      ...{ host, url: shaped.url.replace('http', 'ws'), frames, token: () => null, receipts: false },
      events: { onRoundTrip() {}, onLoad() {}, takeUsage: () => [], returnUsage() {} },
      onWelcome: () => resolve(made),
      onGoaway() {},
      onLost: (_code, reason) => lost.push(reason),
    });
  });
  stops.push(() => connection.end(new TandemError('CLOSED', 'the test is over')));
  const request = { plan: '0'.repeat(64), k: 0, tier: 'q8', label: 'public', noise: [], retain: true, shapes: [[1]] };
  const { welcome } = connection;
  if (!welcome) throw new Error('there is no welcome');
  const parts = [new Uint8Array(9 * UP_BYTES_PER_S)];
  const { reply } = connection.infer({ ...request, deadlineMs: 30_000, trace: null }, parts, welcome);
  await expect(reply).resolves.toMatchObject({ message: { type: 'result' } });
  expect(lost).toEqual([]);
});
