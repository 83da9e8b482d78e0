/** The transports that the conformance suite runs over. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { WebSocket } from 'ws';
import { type ChannelEnd, channelPair } from '../../client/testkit/memory-channel.ts';
import { HalfReceived } from '../../server/adapters/half-received.ts';
import { attachWebSockets } from '../../server/adapters/ws.ts';
import type { Gateway } from '../../server/gateway.ts';
import { WS_PATH } from '../../shared/protocol/paths.ts';
import { Inbox, type Peer, type Transport } from './gateway-harness.ts';

export interface MemoryPeer extends Peer {
  /** The gateway's end, to make it look congested. */
  readonly far: ChannelEnd;
}

export async function memoryTransport(
  gateway: Gateway,
): Promise<Omit<Transport, 'connect'> & { connect(): Promise<MemoryPeer> }> {
  return {
    async connect() {
      const [near, far] = channelPair();
      const inbox = new Inbox();
      const connection = gateway.opened(far);
      far.events = {
        onFrame: (frame) => connection.frame(frame),
        onClose: (code) => connection.closed(code),
      };
      const closed = new Promise<{ code: number; reason: string }>((resolve) => {
        near.events = {
          onFrame: (frame) => inbox.push(frame),
          onClose: (code, reason) => resolve({ code, reason }),
        };
      });
      return {
        far,
        sendBytes: (bytes) => near.send(typeof bytes === 'string' ? new TextEncoder().encode(bytes) : bytes),
        next: () => inbox.next(),
        closed,
        close: () => near.close(1000, ''),
      };
    },
    async stop() {},
  };
}

export interface WsTransport extends Transport {
  readonly port: number;
}

/** More than any test of the conformance suite opens. */
export const CONNECTIONS_MAX = 8;

export async function wsTransport(
  gateway: Gateway,
  frameBytesMax: number,
  heartbeatMs = 30_000,
  halfReceived = new HalfReceived(2 ** 30),
): Promise<WsTransport> {
  const server = createServer((_request, response) => response.end());
  const options = {
    path: WS_PATH,
    frameBytesMax,
    connectionsMax: CONNECTIONS_MAX,
    origins: [],
    heartbeatMs,
    halfReceived,
  };
  const cutSockets = attachWebSockets(server, gateway, options);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    port,
    connect: () => connectSocket(`ws://127.0.0.1:${port}${WS_PATH}`),
    async stop() {
      server.closeAllConnections();
      cutSockets();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

export function connectSocket(url: string): Promise<Peer> {
  const socket = new WebSocket(url, { perMessageDeflate: false });
  const inbox = new Inbox();
  socket.on('message', (data: Buffer) => inbox.push(data));
  const closed = new Promise<{ code: number; reason: string }>((resolve) => {
    socket.on('close', (code, reason) => resolve({ code, reason: reason.toString() }));
  });
  return new Promise((resolve, reject) => {
    socket.on('error', reject);
    socket.on('open', () =>
      resolve({
        sendBytes: (bytes) => socket.send(bytes),
        next: () => inbox.next(),
        closed,
        close: () => socket.close(),
      }),
    );
  });
}
