/** The gateway's entry: configuration in, a listening server out. */
import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, isIPv6 } from 'node:net';
import { folderSource } from '../runtimes/bundle-folder.ts';
import { systemClock } from '../shared/clock.ts';
import { messageOf, TandemError } from '../shared/errors.ts';
import { HELLO_TIMEOUT_MS } from '../shared/protocol/limits.ts';
import { WS_PATH } from '../shared/protocol/paths.ts';
import { exchanges } from './adapters/exchange.ts';
import { HalfReceived } from './adapters/half-received.ts';
import { httpApp } from './adapters/http.ts';
import { strangers } from './adapters/origins.ts';
import { boundUnread, cutUnread } from './adapters/unread.ts';
import { attachWebSockets, lostUpgrades } from './adapters/ws.ts';
import { Admission } from './admission.ts';
import { type AuditRecord, openAuditLog } from './audit-log.ts';
import { checkAgainstPlans } from './check-config.ts';
import type { ServerConfig } from './config.ts';
import type { RequestRecord } from './connection.ts';
import { embeddedExecutor } from './executors/embedded.ts';
import { createGateway } from './gateway.ts';
import { type GatewayMetrics, gatewayMetrics } from './metrics.ts';
import { receiptKey, receiptSigner } from './receipts.ts';
import { loadSite, loadStore } from './store.ts';

export { parseServerConfig, type ServerConfig } from './config.ts';

export interface RunningServer {
  /** `http://host:port` */
  readonly url: string;
  /** Drains and closes. Resolves when the port is free and all workers have ended. */
  close(): Promise<void>;
}

export interface ServeOptions {
  /** Folder of static files to serve besides, at the root. */
  readonly siteDir?: string;
  /** One line for the operator: a worker died, the server drains. */
  readonly log?: (line: string) => void;
}

/**
 * Resolves once the server takes requests.
 * @throws BAD_BUNDLE, BAD_PLAN, BAD_CONFIG, ADDRESS_IN_USE
 */
export async function serve(config: ServerConfig, options: ServeOptions = {}): Promise<RunningServer> {
  const { siteDir, log = () => {} } = options;
  const store = await loadStore(config.bundles.map(folderSource), (i) => config.place(['bundles', String(i)]));
  const site = siteDir === undefined ? new Map() : await loadSite(siteDir);
  const bundles = [...store.values()].map(({ plan, segments }) => ({ plan, segments }));
  for (const warning of checkAgainstPlans(
    config,
    bundles.map(({ plan }) => plan),
  ))
    log(`warning: ${warning}`);
  const clock = systemClock(globalThis);
  const time = () => new Date().toISOString();
  const receipts = receiptSigner({ key: await signingKey(config), time, newId: randomUUID });
  let metrics: GatewayMetrics | undefined;
  const onLostLine = () => metrics?.auditLineLost();
  const where = config.place(['auditLog']);
  const auditLog =
    config.auditLog === null
      ? null
      : await openAuditLog(config.auditLog, { where, time, clock, onLoss: log, onLostLine });
  const executor = await embeddedExecutor({
    bundles,
    workers: config.workers,
    threads: config.threads,
    taskTimeoutMs: config.taskTimeoutMs,
    onRestart(reason) {
      metrics?.workerRestarted();
      log(`a worker died and is replaced: ${reason}`);
    },
  });
  const admission = new Admission(executor, clock, config.queueDepthMax);
  const isReady = () => executor.isReady && !gateway.isDraining;
  metrics = gatewayMetrics({ load: () => admission.load, inFlight: () => admission.inFlight, isReady });
  const { frameBytesMax, inFlightMax, idleTimeoutMs, policy, credentials, region } = config;
  const gateway = createGateway({
    name: 'tandem/0.1',
    plans: bundles.map(({ plan }) => plan),
    policy,
    credentials,
    region,
    receipts,
    admission,
    metrics,
    clock,
    ...(config.logRequests && {
      onRequest: (record: RequestRecord) => log(JSON.stringify({ time: time(), ...record })),
    }),
    ...(auditLog && { onAudit: (record: AuditRecord) => auditLog.write(record) }),
    limits: { frameBytesMax, inFlightMax, idleTimeoutMs },
  });
  const { origins, connectionsMax, heartbeatMs } = config;
  const halfReceived = new HalfReceived(config.receivingBytesMax);
  const doors = { frameBytesMax, connectionsMax, origins, halfReceived };
  const server = createServer(
    {
      keepAliveTimeout: config.keepAliveMs,
      // A body that trickles in holds one of the exchanges' places: no longer than a silent connection may.
      requestTimeout: Math.max(config.idleTimeoutMs, HELLO_TIMEOUT_MS),
      connectionsCheckingInterval: 1000,
    },
    httpApp({
      ...{ store, metrics, isReady, origins, site, receiptKey: receipts.publicKey },
      exchanges: exchanges(gateway, doors),
    }),
  );
  // Whoever kept the connection would send its next request into the end of it.
  server.prependListener('request', (_request, response) => {
    if (gateway.isDraining) response.shouldKeepAlive = false;
  });
  cutUnread(server, config.keepAliveMs);
  boundUnread(server, config.unreadBytesMax);
  const noteStranger = strangers(origins, log);
  server.on('request', noteStranger).on('upgrade', noteStranger).on('request', lostUpgrades(WS_PATH, log));
  const cutSockets = attachWebSockets(server, gateway, { ...doors, path: WS_PATH, heartbeatMs });
  try {
    await listen(server, config.port, config.host);
  } catch (error) {
    await executor.close();
    await auditLog?.close();
    throw error;
  }
  const { port } = server.address() as AddressInfo;
  const host = config.host === '0.0.0.0' || config.host === '::' ? '127.0.0.1' : config.host;
  return {
    url: `http://${isIPv6(host) ? `[${host}]` : host}:${port}`,
    async close() {
      log(`draining: ${admission.inFlight} requests under way`);
      // The port stays open meanwhile: /readyz says 503 and /metrics can be read until the end.
      await gateway.drain(config.drainMs);
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeIdleConnections();
      await executor.close();
      setTimeout(() => {
        server.closeAllConnections();
        cutSockets();
      }, CLOSE_GRACE_MS).unref();
      await closed;
      await auditLog?.close();
    },
  };
}

async function signingKey({ receiptKey: path, place }: ServerConfig) {
  if (path === null) return receiptKey(null, '');
  const where = place(['receiptKey']);
  const pem = await readFile(path, 'utf8').catch((error: unknown) => {
    throw new TandemError('BAD_CONFIG', `${where}: cannot read the key: ${messageOf(error)}`, { cause: error });
  });
  return receiptKey(pem, where);
}

/** Time for closing handshakes, in milliseconds, before sockets are cut. */
const CLOSE_GRACE_MS = 1000;

function listen(server: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const onError = (error: NodeJS.ErrnoException) => {
      reject(
        error.code === 'EADDRINUSE'
          ? new TandemError('ADDRESS_IN_USE', `port ${port} of ${host} is in use: stop what uses it, or pass --port`)
          : new TandemError('BAD_CONFIG', `cannot listen on ${host}:${port}: ${messageOf(error)}`, { cause: error }),
      );
    };
    server.once('error', onError);
    server.listen(port, host, () => {
      server.off('error', onError);
      resolve();
    });
  });
}
