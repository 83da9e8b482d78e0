/**
 * The protocol core of the gateway: no socket library, no HTTP. `opened` takes a channel and gives what the adapter calls
 * for every frame and on close.
 */
import type { Channel } from '../shared/protocol/channel.ts';
import { type Connection, GatewayConnection, type GatewayOptions } from './connection.ts';

export interface Gateway {
  /** @param client whose channel it is, where one client has several: they share in its place in the queue */
  opened(channel: Channel, client?: object): Connection;
  /** No new requests; those under way are served for up to `graceMs`, then connections are closed. */
  drain(graceMs: number): Promise<void>;
  readonly isDraining: boolean;
}

export function createGateway(options: GatewayOptions): Gateway {
  const connections = new Set<GatewayConnection>();
  let isDraining = false;
  return {
    get isDraining() {
      return isDraining;
    },
    opened(channel, client = channel) {
      const connection = new GatewayConnection(channel, options, {
        client,
        isDraining: () => isDraining,
        gone: () => connections.delete(connection),
      });
      connections.add(connection);
      return connection;
    },
    async drain(graceMs) {
      isDraining = true;
      for (const connection of connections) connection.sayGoodbye(graceMs);
      await new Promise<void>((resolve) => {
        const giveUp = options.clock.after(graceMs, resolve);
        void options.admission.drained().then(() => {
          giveUp();
          resolve();
        });
      });
      // Replies that the drained queue has just produced are handed over before the close, in order.
      for (const connection of connections) connection.close(1001, 'the server is going away');
    },
  };
}
