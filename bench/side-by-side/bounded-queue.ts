/**
 * What a router does before a slow link: holds no more than so much that is on its way down, and lets connections that wait put
 * in a piece each in turn. Without it a download's megabytes would all stand before the next answer.
 */
import { type AddressInfo, createConnection, createServer, type Socket } from 'node:net';

export interface BoundedQueue {
  /** Stands for the server. */
  readonly url: string;
  close(): Promise<void>;
}

const PIECE_BYTES = 2048;
/** Of one connection that waits: the server is held back beyond it. */
const WAITING_MAX = 32 * 1024;
const LOOK_EVERY_MS = 2;

interface Flow {
  readonly from: Socket;
  readonly to: Socket;
  waiting: Buffer;
  hasEnded: boolean;
}

/** @param passed bytes that have left the link at its other end so far */
export async function boundedQueue(serverUrl: string, queueBytes: number, passed: () => number): Promise<BoundedQueue> {
  const { hostname, port } = new URL(serverUrl);
  const flows = new Set<Flow>();
  let sent = 0;
  const letIn = () => {
    for (const flow of flows) {
      if (flow.waiting.byteLength === 0 && flow.hasEnded) {
        flows.delete(flow);
        flow.to.end();
      }
    }
    for (;;) {
      const next = [...flows].find(({ waiting }) => waiting.byteLength > 0);
      if (!next || sent - passed() >= queueBytes) return;
      const piece = next.waiting.subarray(0, PIECE_BYTES);
      sent += piece.byteLength;
      next.waiting = next.waiting.subarray(piece.byteLength);
      next.to.write(piece);
      if (next.waiting.byteLength < WAITING_MAX) next.from.resume();
      // It is the others' turn before it is its own again.
      flows.delete(next);
      flows.add(next);
    }
  };
  const server = createServer({ noDelay: true }, (to) => {
    const from = createConnection({ host: hostname, port: Number(port), noDelay: true });
    const flow: Flow = { from, to, waiting: Buffer.alloc(0), hasEnded: false };
    flows.add(flow);
    to.pipe(from);
    from.on('data', (data: Buffer) => {
      flow.waiting = Buffer.concat([flow.waiting, data]);
      if (flow.waiting.byteLength >= WAITING_MAX) from.pause();
      letIn();
    });
    from.on('close', () => {
      flow.hasEnded = true;
    });
    to.on('close', () => {
      from.destroy();
      flows.delete(flow);
    });
    // An error closes the socket.
    for (const socket of [from, to]) socket.on('error', () => {});
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const timer = setInterval(letIn, LOOK_EVERY_MS);
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      clearInterval(timer);
      for (const { to } of flows) to.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
