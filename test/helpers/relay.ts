/** A TCP relay before a server, that sees what passes. */
import { type AddressInfo, createConnection, createServer, type Socket } from 'node:net';

export interface Relay {
  readonly url: string;
  close(): void;
}

/**
 * @param onUpstream called after a piece of this many bytes from a client was handed to the server's socket
 * @param mapped what the server gets of a piece
 */
export async function relayTo(
  serverUrl: string,
  onUpstream: (bytes: number) => void,
  mapped = (piece: Buffer): Buffer => piece,
): Promise<Relay> {
  const { hostname, port } = new URL(serverUrl);
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    const far = createConnection(Number(port), hostname);
    near.on('data', (data) => far.write(mapped(data), () => onUpstream(data.byteLength)));
    far.on('data', (data) => near.write(data));
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
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
