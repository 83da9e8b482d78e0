/** A gateway's HTTP side over a real socket: what its plan's head is, and the protocol without a WebSocket. */
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exchanges } from '../../server/adapters/exchange.ts';
import { HalfReceived } from '../../server/adapters/half-received.ts';
import { httpApp } from '../../server/adapters/http.ts';
import type { StoredFile } from '../../server/store.ts';
import { planHead } from '../../shared/plan.ts';
import type { GatewayHarness } from './gateway-harness.ts';
import { CONNECTIONS_MAX } from './transports.ts';

export const FRIENDLY_ORIGIN = 'https://app.example';

export async function httpGateway(
  { gateway, plan, metrics, limits }: GatewayHarness,
  connectionsMax: number = CONNECTIONS_MAX,
  halfReceived = new HalfReceived(2 ** 30),
) {
  const headFile: StoredFile = {
    ...{ contentType: 'application/json', etag: '"head"', encodings: {} },
    identity: new TextEncoder().encode(JSON.stringify(planHead(plan))),
  };
  const bundle = { plan, planFile: headFile, headFile, segments: [], files: new Map() };
  const { frameBytesMax } = limits;
  const origins = [FRIENDLY_ORIGIN];
  const app = httpApp({
    ...{ store: new Map([[plan.name, bundle]]), metrics, isReady: () => true, origins, site: new Map() },
    receiptKey: 'the key',
    exchanges: exchanges(gateway, { frameBytesMax, connectionsMax, origins, halfReceived }),
  });
  const server = await new Promise<Server>((resolve) => {
    const listening = app.listen(0, '127.0.0.1', () => resolve(listening));
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
