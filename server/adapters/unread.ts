/** Answers that nobody reads: of itself Node keeps their connection, and what of them the system has not taken, for ever. */
import type { Server } from 'node:http';
import type { Socket } from 'node:net';

const LOOK_MS = 1000;

/**
 * Cuts connections over HTTP whose peer takes nothing of an answer for `timeoutMs`, and those that never ask; not those that wait for an
 * answer. How far a peer has got shows only when the system makes room for more, with buffers of 4 MB every 1.4 MB: who reads
 * slower than that within `timeoutMs` is cut as well.
 */
export function cutUnread(server: Server, timeoutMs: number): void {
  server.timeout = timeoutMs;
  server.on('request', (_request, response) => {
    // Who listens sees to the socket. Of one without an answer under way nobody is told: Node ends it.
    response.on('timeout', (socket) => {
      if (socket.writableLength > 0) socket.destroy();
    });
  });
}

/**
 * A bound on what waits to be read, of all connections together, WebSockets too: while it is more than `bytesMax`, whoever leaves
 * most of it is cut. Looked at each second.
 */
export function boundUnread(server: Server, bytesMax: number): void {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  const looking = setInterval(() => {
    const lazy = [...sockets].sort((a, b) => b.writableLength - a.writableLength);
    let bytes = lazy.reduce((sum, { writableLength }) => sum + writableLength, 0);
    for (const socket of lazy) {
      if (bytes <= bytesMax) return;
      bytes -= socket.writableLength;
      socket.destroy();
    }
  }, LOOK_MS);
  server.once('close', () => clearInterval(looking));
}
