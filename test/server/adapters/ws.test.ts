import { createConnection } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { expectType, GatewayHarness, send } from '../../helpers/gateway-harness.ts';
import { CONNECTIONS_MAX, wsTransport } from '../../helpers/transports.ts';

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
});
