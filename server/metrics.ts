/**
 * What an operator watches, in Prometheus' own conventions: base units, `_total`, bounded labels. Nothing is labelled
 * by client or by request.
 */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { codeInfo, ERROR_CODES, type ErrorCode } from '../shared/errors.ts';
import type { DenialKind } from '../shared/policy/permission.ts';
import type { Load } from '../shared/protocol/messages.ts';

export type Stage = 'queue' | 'decode' | 'compute' | 'total';

export interface RequestLabels {
  readonly model: string;
  /** Boundary that the request came in at; `none` where it named no valid one. */
  readonly k: string;
  readonly tier: string;
}

/** What is counted of a request by its privacy label. */
export interface Audited {
  /** A label of the policy; `none` for any other. */
  readonly label: string;
  readonly outcome: string;
  /** Of the payload. */
  readonly bytes: number;
  /** What a denial was for. */
  readonly denied: DenialKind | null;
}

export interface GatewayMetrics {
  readonly registry: Registry;
  /** `outcome` is `ok` or an error code in lower case. */
  request(labels: RequestLabels, outcome: string): void;
  stage(labels: RequestLabels, stage: Stage, ms: number): void;
  bytes(labels: RequestLabels, direction: 'in' | 'out', bytes: number): void;
  audit(labels: RequestLabels, audited: Audited): void;
  auditLineLost(): void;
  /** Requests that clients say they finished with the device going to boundary k. */
  clientRequests(model: string, k: number, count: number): void;
  connections(change: 1 | -1): void;
  closed(code: number): void;
  workerRestarted(): void;
}

/** Those of RFC 6455 and ours: a client that closes may say any of 3000 to 4999. */
const CLOSE_CODES: ReadonlySet<number> = new Set([
  ...[1000, 1001, 1002, 1003, 1005, 1006, 1007, 1008, 1009, 1010, 1011],
  ...Object.keys(ERROR_CODES).flatMap((code) => codeInfo(code as ErrorCode).close ?? []),
]);

/** 1 ms to 10 s. */
const DURATION_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
/** Their names end in _total without being counters, which promtool refuses. */
const MISNAMED_DEFAULTS = [
  'nodejs_active_handles_total',
  'nodejs_active_requests_total',
  'nodejs_active_resources_total',
];

export function gatewayMetrics(state: { load(): Load; inFlight(): number; isReady(): boolean }): GatewayMetrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  for (const name of MISNAMED_DEFAULTS) registry.removeSingleMetric(name);
  const registers = [registry];

  const requests = new Counter({
    name: 'tandem_requests_total',
    help: 'Requests by model, boundary they came in at, tier and outcome (ok or an error code).',
    labelNames: ['model', 'k', 'tier', 'outcome'],
    registers,
  });
  const stages = new Histogram({
    name: 'tandem_request_stage_seconds',
    help: 'Time of a request by stage: queue, decode, compute, and total from frame to reply.',
    labelNames: ['model', 'k', 'stage'],
    buckets: DURATION_BUCKETS,
    registers,
  });
  const payload = new Counter({
    name: 'tandem_payload_bytes_total',
    help: 'Bytes of frames of requests (in) and of their replies (out).',
    labelNames: ['model', 'k', 'tier', 'direction'],
    registers,
  });
  const audited = new Counter({
    name: 'tandem_audit_requests_total',
    help: 'Requests by privacy label (none for one that the policy does not know), boundary, tier and outcome.',
    labelNames: ['label', 'model', 'k', 'tier', 'outcome'],
    registers,
  });
  const auditedBytes = new Counter({
    name: 'tandem_audit_payload_bytes_total',
    help: 'Bytes of payloads that were received, by privacy label, those of refused requests included.',
    labelNames: ['label', 'model'],
    registers,
  });
  const denials = new Counter({
    name: 'tandem_audit_denials_total',
    help: 'Requests refused by policy, by privacy label and by what it was for: label, boundary, tier, leakage or noise.',
    labelNames: ['label', 'model', 'reason'],
    registers,
  });
  const auditLinesLost = new Counter({
    name: 'tandem_audit_lines_lost_total',
    help: 'Lines of the audit log that could not be written.',
    registers,
  });
  const client = new Counter({
    name: 'tandem_client_requests_total',
    help:
      'Requests that clients finished, by the boundary their device went to; the deepest k is all local. ' +
      'Offload rate: 1 - rate(deepest k) / rate(all). As reported by clients.',
    labelNames: ['model', 'k'],
    registers,
  });
  const connections = new Gauge({ name: 'tandem_connections', help: 'Open client connections.', registers });
  const closes = new Counter({
    name: 'tandem_connection_closes_total',
    help: 'Connections closed, by WebSocket close code.',
    labelNames: ['code'],
    registers,
  });
  const restarts = new Counter({
    name: 'tandem_worker_restarts_total',
    help: 'Worker threads that died and were replaced.',
    registers,
  });
  new Gauge({
    name: 'tandem_queue_depth',
    help: 'Requests waiting for a worker.',
    registers,
    collect() {
      this.set(state.load().queueDepth);
    },
  });
  new Gauge({
    name: 'tandem_inflight_requests',
    help: 'Requests waiting or running.',
    registers,
    collect() {
      this.set(state.inFlight());
    },
  });
  new Gauge({
    name: 'tandem_ready',
    help: '1 while the gateway takes requests, 0 while it starts or drains.',
    registers,
    collect() {
      this.set(state.isReady() ? 1 : 0);
    },
  });

  return {
    registry,
    request: ({ model, k, tier }, outcome) => requests.inc({ model, k, tier, outcome }),
    stage: ({ model, k }, stage, ms) => stages.observe({ model, k, stage }, ms / 1000),
    bytes: ({ model, k, tier }, direction, bytes) => payload.inc({ model, k, tier, direction }, bytes),
    audit({ model, k, tier }, { label, outcome, bytes, denied }) {
      audited.inc({ label, model, k, tier, outcome });
      auditedBytes.inc({ label, model }, bytes);
      if (denied) denials.inc({ label, model, reason: denied });
    },
    auditLineLost: () => auditLinesLost.inc(),
    clientRequests: (model, k, count) => client.inc({ model, k: String(k) }, count),
    connections: (change) => connections.inc(change),
    closed: (code) => closes.inc({ code: CLOSE_CODES.has(code) ? String(code) : 'other' }),
    workerRestarted: () => restarts.inc(),
  };
}
