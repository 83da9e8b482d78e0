/** A server below a path of another, as a reverse proxy puts it there: TCP, in which each request's line is another. */
import { type AddressInfo, createConnection, createServer, type Socket } from 'node:net';

export interface BelowPath {
  /** With the path and a slash at its end. */
  readonly url: string;
  close(): void;
}

/** @param path with a slash at both ends; requests for others find nothing */
export async function belowPath(serverUrl: string, path: string): Promise<BelowPath> {
  const { hostname, port } = new URL(serverUrl);
  const sockets = new Set<Socket>();
  const line = new RegExp(`^([A-Z]+) ${path}`);
  const server = createServer((near) => {
    const far = createConnection(Number(port), hostname);
    near.on('data', (data) => {
      // Browsers send a request's head in one piece, and no two at once.
      const text = data.toString('latin1');
      const mapped = line.test(text) ? text.replace(line, '$1 /') : text.replace(/^([A-Z]+) \//, '$1 /elsewhere/');
      far.write(Buffer.from(mapped, 'latin1'));
    });
    far.pipe(near);
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(one);
      one.on('error', () => {});
      one.on('close', () => other.destroy());
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`,
    close() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
