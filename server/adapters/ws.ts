/** WebSockets on ws: turns sockets into channels for the gateway. */
import type { IncomingMessage, Server } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { type RawData, type WebSocket, WebSocketServer } from 'ws';
import { TandemError } from '../../shared/errors.ts';
import type { Channel } from '../../shared/protocol/channel.ts';
import { encodeFrame } from '../../shared/protocol/frames.ts';
import { chosenProtocol, type Hello } from '../../shared/protocol/opening-hello.ts';
import type { Gateway } from '../gateway.ts';
import type { HalfReceived } from './half-received.ts';
import { isAllowedOrigin, isSameHost } from './origins.ts';

export interface WsOptions {
  readonly path: string;
  readonly frameBytesMax: number;
  /** Connections beyond these are turned away with 503. */
  readonly connectionsMax: number;
  /** Origins whose pages may connect. The gateway's own and clients without one (not browsers) always may. */
  readonly origins: readonly string[];
  /** A socket that answers no ping within this time is dropped. */
  readonly heartbeatMs: number;
  readonly halfReceived: HalfReceived;
}

/** Of a client's ping or pong, beside what it carries: two bytes and the mask (RFC 6455, 5.2 and 5.5). */
const CONTROL_HEAD_BYTES = 6;

/** @returns cuts every socket that is still there */
export function attachWebSockets(server: Server, gateway: Gateway, options: WsOptions): () => void {
  const sockets = new WebSocketServer({
    noServer: true,
    maxPayload: options.frameBytesMax,
    // Boundaries are entropy-coded already; deflate would cost memory and time for nothing.
    perMessageDeflate: false,
    handleProtocols: (offered) => chosenProtocol(offered).chosen ?? false,
  });
  server.on('upgrade', (request, socket, head) => {
    if (!asksForWebSocket(request)) return readAgain(server, request, socket, head);
    socket.on('error', () => socket.destroy());
    const isFull = sockets.clients.size >= options.connectionsMax;
    const refusal = isFull ? UNAVAILABLE : refuse(request, options, gateway);
    if (refusal) return rejectUpgrade(socket, refusal);
    const offered = request.headers['sec-websocket-protocol']?.split(',').map((protocol) => protocol.trim()) ?? [];
    const { hello } = chosenProtocol(offered);
    sockets.handleUpgrade(request, socket, head, (webSocket) =>
      serve(webSocket, socket as Socket, gateway, options, hello),
    );
  });
  return () => {
    for (const socket of sockets.clients) socket.terminate();
  };
}

/**
 * Tells the operator, once, of a proxy that hides what is asked for: clients find a way without the gateway, and nothing else would show.
 * @returns to be called with each request that is no upgrade
 */
export function lostUpgrades(path: string, tell: (line: string) => void): (request: IncomingMessage) => void {
  let isTold = false;
  return ({ url, headers }) => {
    if (isTold || headers['sec-websocket-key'] === undefined || url?.split('?', 1)[0] !== path) return;
    isTold = true;
    tell('WebSockets come as plain requests: a proxy does not pass on their Upgrade and Connection');
  };
}

function serve(
  socket: WebSocket,
  wire: Socket,
  gateway: Gateway,
  { heartbeatMs, halfReceived }: WsOptions,
  hello: Hello | null | undefined,
): void {
  let controlBytes = 0;
  const channel: Channel = {
    send: (frame) => socket.send(frame),
    close: (code, reason) => socket.close(code, reason),
    get bufferedBytes() {
      return socket.bufferedAmount;
    },
    get bytesReceived() {
      return wire.bytesRead - controlBytes;
    },
  };
  const connection = gateway.opened(channel);
  let isAlive = true;
  let bytesRead = 0;
  const heartbeat = setInterval(() => {
    // Behind a long frame that still comes no pong can.
    if (!isAlive && wire.bytesRead === bytesRead) return socket.terminate();
    isAlive = false;
    bytesRead = wire.bytesRead;
    socket.ping();
  }, heartbeatMs);
  const noteControl = ({ byteLength }: Buffer) => {
    isAlive = true;
    controlBytes += CONTROL_HEAD_BYTES + byteLength;
  };
  socket.on('pong', noteControl).on('ping', noteControl);
  const giveUp = () => {
    connection.violation(new TandemError('OVERLOADED', 'there is no room for more of a frame that is not whole'));
    socket.terminate();
  };
  // Before ws, which says of the same piece that it was the last one.
  wire.prependListener('data', ({ byteLength }: Buffer) => halfReceived.add(wire, byteLength, giveUp));
  socket.on('message', (data: RawData, isBinary: boolean) => {
    isAlive = true;
    halfReceived.done(wire);
    if (isBinary) connection.frame(toBytes(data));
    else connection.violation(new TandemError('BAD_FRAME', 'expected binary frames, got text'));
  });
  // ws closes by itself on a broken frame or one that is too large (1009); the error needs a listener all the same.
  socket.on('error', () => {});
  socket.on('close', (code) => {
    clearInterval(heartbeat);
    halfReceived.done(wire);
    connection.closed(code);
  });
  // Looked at as any other: of one that is broken nothing is left.
  if (hello !== undefined) connection.frame(frameOf(hello));
}

/** Of one that nests too deep for the encoder nothing is left either: nobody has looked at it yet. */
function frameOf(hello: Hello | null): Uint8Array {
  try {
    return hello === null ? new Uint8Array() : encodeFrame(hello);
  } catch {
    return new Uint8Array();
  }
}

function toBytes(data: RawData): Uint8Array {
  if (Array.isArray(data)) return Buffer.concat(data);
  return data instanceof ArrayBuffer ? new Uint8Array(data) : data;
}

/** Other protocols are offered by clients that need none of them: HTTP/2 by Java's, on every request. */
function asksForWebSocket({ headers }: IncomingMessage): boolean {
  return headers.upgrade?.toLowerCase() === 'websocket';
}

/** As if it had offered nothing: Node reads no body of what asks for another protocol. */
function readAgain(
  server: Server,
  { method, url, httpVersion, rawHeaders }: IncomingMessage,
  socket: Duplex,
  head: Buffer,
): void {
  let text = `${method} ${url} HTTP/${httpVersion}\r\n`;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    if (rawHeaders[i]?.toLowerCase() !== 'upgrade') text += `${rawHeaders[i]}: ${rawHeaders[i + 1]}\r\n`;
  }
  socket.unshift(Buffer.concat([Buffer.from(`${text}\r\n`, 'latin1'), head]));
  server.emit('connection', socket);
}

const UNAVAILABLE = '503 Service Unavailable';

function refuse(request: IncomingMessage, { path, origins }: WsOptions, gateway: Gateway): string | null {
  // Compared as it came: what a client puts there need not be a URL.
  if (request.url?.split('?', 1)[0] !== path) return '404 Not Found';
  if (gateway.isDraining) return UNAVAILABLE;
  const { origin, host } = request.headers;
  if (origin === undefined || isAllowedOrigin(origins, origin)) return null;
  return isSameHost(origin, host) ? null : '403 Forbidden';
}

function rejectUpgrade(socket: Duplex, status: string): void {
  // Not left to the peer, who may keep its half open.
  socket.once('finish', () => socket.destroy());
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
}
