/** Answers over HTTP that nobody reads: of itself Node keeps their connection, and what of them the system has not taken, for ever. */
import type { Server } from 'node:http';

/**
 * Cuts connections whose peer takes nothing of an answer for `timeoutMs`, and those that never ask; not those that wait for an
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
