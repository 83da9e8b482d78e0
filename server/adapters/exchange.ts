/**
 * The protocol without a WebSocket, for a page that has none yet: a hello, and one request and its answer, each by HTTP and with
 * headers in JSON. To the gateway it is a connection like any other, only a short one.
 */
import type { Socket } from 'node:net';
import express, { type Request, type Response, Router } from 'express';
import { TandemError } from '../../shared/errors.ts';
import type { Channel } from '../../shared/protocol/channel.ts';
import { parseClientMessage } from '../../shared/protocol/client-messages.ts';
import { decodeFrame, encodeFrame } from '../../shared/protocol/frames.ts';
import { encodeJsonFrame } from '../../shared/protocol/json-frame.ts';
import type { MessageOf, ServerMessage } from '../../shared/protocol/messages.ts';
import { INFER_PATH, WELCOME_PATH } from '../../shared/protocol/paths.ts';
import { decodeJsonFrame } from '../../shared/protocol/read-json-frame.ts';
import { parseServerMessage } from '../../shared/protocol/server-messages.ts';
import type { Connection } from '../connection.ts';
import type { Gateway } from '../gateway.ts';
import type { HalfReceived } from './half-received.ts';
import { HTTP_STATUS } from './http-status.ts';
import { isAllowedOrigin, isSameHost } from './origins.ts';

export interface ExchangeOptions {
  readonly frameBytesMax: number;
  /** Exchanges at the same time; those beyond are turned away with 503. */
  readonly connectionsMax: number;
  /** Origins whose pages may ask for something. The gateway's own and clients without one (not browsers) always may. */
  readonly origins: readonly string[];
  readonly halfReceived: HalfReceived;
}

const CLIENT_LENGTH_MAX = 128;
/** Exchanges that one connection of HTTP may have sent one behind the other: answers that it does not read keep their places. */
const PIPELINED_MAX = 8;
const GOING_AWAY = 1001;

export function exchanges(
  gateway: Gateway,
  { frameBytesMax, connectionsMax, origins, halfReceived }: ExchangeOptions,
): Router {
  const router = Router({ strict: true, caseSensitive: true });
  let underWay = 0;
  const pipelined = new WeakMap<Socket, number>();
  const admit = (request: Request, response: Response, next: () => void) => {
    const { socket } = request;
    const own = pipelined.get(socket) ?? 0;
    if (gateway.isDraining) throw new TandemError('DRAINING', 'the server is going away');
    if (underWay >= connectionsMax) throw new TandemError('OVERLOADED', 'too many exchanges are under way');
    if (own >= PIPELINED_MAX) {
      throw new TandemError('TOO_MANY_REQUESTS', `${PIPELINED_MAX} exchanges of this connection are under way`);
    }
    underWay++;
    pipelined.set(socket, own + 1);
    onceGone(request, response, () => {
      underWay--;
      pipelined.set(socket, (pipelined.get(socket) ?? 1) - 1);
    });
    next();
  };

  router.get(WELCOME_PATH, admit, (request, response) => {
    const connection = opened(gateway, request, response, (message) => {
      if (message.type === 'error') tellError(response, message);
      else if (message.type === 'welcome')
        response.set('Cache-Control', 'no-cache').vary('Authorization').json(message);
    });
    sayHello(connection, request);
  });

  router.post(
    INFER_PATH,
    admit,
    ({ headers: { origin, host } }, response, next) => {
      // A page may post this without having asked first: that it cannot read the answer is not enough.
      if (origin === undefined || isAllowedOrigin(origins, origin) || isSameHost(origin, host)) next();
      else response.status(403).type('text').send(`pages of ${origin} are not among the gateway's origins\n`);
    },
    (request, _response, next) => {
      request.on('data', ({ byteLength }) => halfReceived.add(request, byteLength, () => request.destroy()));
      for (const end of ['end', 'close']) request.once(end, () => halfReceived.done(request));
      next();
    },
    // Whatever type a page says that it is: browsers ask first about those that are not a form's.
    express.raw({ type: () => true, limit: frameBytesMax, inflate: false }),
    (request, response) => {
      const body = Buffer.isBuffer(request.body) ? request.body : new Uint8Array();
      const { header, parts } = decodeJsonFrame(body, frameBytesMax);
      const message = parseClientMessage(header);
      if (message.type !== 'infer') throw new TandemError('UNEXPECTED_MESSAGE', `expected infer, got ${message.type}`);
      const asked = encodeFrame(message, parts);
      const connection = opened(gateway, request, response, (message, answer) => {
        if (message.type === 'welcome' || message.type === 'goaway') return;
        const status = message.type === 'error' ? HTTP_STATUS[message.code] : 200;
        response.status(status).set('Cache-Control', 'no-store').type('application/octet-stream');
        response.send(Buffer.from(encodeJsonFrame(message, answer).buffer));
      });
      sayHello(connection, request);
      connection.frame(asked);
    },
  );
  return router;
}

/** @param hear what the gateway says */
function opened(
  gateway: Gateway,
  request: Request,
  response: Response,
  hear: (message: ServerMessage, parts: readonly Uint8Array[]) => void,
): Connection {
  const channel: Channel = {
    send(frame) {
      if (response.headersSent) return;
      // It came before the gateway went away: whoever kept the connection would send its next request into the end of it.
      if (gateway.isDraining) response.shouldKeepAlive = false;
      const { header, parts } = decodeFrame(frame);
      hear(parseServerMessage(header), parts);
    },
    close() {
      if (response.headersSent) return;
      response.status(503).end();
    },
    bufferedBytes: 0,
  };
  // Exchanges that one connection of HTTP has pipelined are one client's.
  const connection = gateway.opened(channel, request.socket);
  onceGone(request, response, () => connection.closed(response.writableFinished ? 1000 : GOING_AWAY));
  return connection;
}

/** Of a response that waits behind others of its connection (pipelining) Node does not say that it closes when that does. */
function onceGone({ socket }: Request, response: Response, tell: () => void): void {
  let isGone = false;
  const gone = () => {
    // Taken off an emitter that is at it, a listener is called all the same.
    if (isGone) return;
    isGone = true;
    response.off('close', gone);
    socket.off('close', gone);
    tell();
  };
  response.once('close', gone);
  // As many as it has pipelined.
  socket.setMaxListeners(0).once('close', gone);
}

function sayHello(connection: Connection, { headers, query }: Request): void {
  const [, token = null] = /^Bearer +(\S+)$/i.exec(headers.authorization ?? '') ?? [];
  const client = (headers['user-agent'] || 'unknown').slice(0, CLIENT_LENGTH_MAX);
  connection.frame(encodeFrame({ type: 'hello', client, token, receipts: query['receipts'] !== 'no' }));
}

function tellError(response: Response, { code, message }: MessageOf<'error'>): void {
  response.status(HTTP_STATUS[code]).json({ error: code, message });
}
