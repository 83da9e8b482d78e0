/** What a choice of (k, tier) is expected to take, part by part, from where the request is now, and how sure that is. */
import { costAt } from '../size.ts';
import { dozeShare, sleepShare } from './link.ts';
import { LogSumAt } from './log-sum.ts';
import { predictQueue } from './queue.ts';
import { ENCODE_PRIOR_MS, FRAME_OVERHEAD_BYTES, REPLY_OVERHEAD_BYTES, type Snapshot } from './snapshot.ts';
import { boundaryBytes, type Choice, type CostTable, costTable, type TableRow } from './table.ts';

export type { Choice } from './table.ts';

/** Expected milliseconds, but for bytes and joules. The parts add up to `totalMs`. */
export interface Prediction {
  readonly totalMs: number;
  /** Nine requests of ten are expected between these. */
  readonly lowMs: number;
  readonly highMs: number;
  /** Until the device has done what it has to do for other requests. */
  readonly aheadMs: number;
  readonly deviceMs: number;
  readonly encodeMs: number;
  readonly uplinkMs: number;
  readonly downlinkMs: number;
  readonly roundTripMs: number;
  /** For the radio to wake up. */
  readonly wakeMs: number;
  readonly queueMs: number;
  readonly serverMs: number;
  /** Of the frame that is sent. */
  readonly bytes: number;
  /** What the device spends. */
  readonly joules: number;
}

/** What a device spends in watts; the order of magnitude for phones, and the same for all choices of one. */
const DEVICE_WATTS = 2.5;
/** While the radio sends or receives. */
const RADIO_WATTS = 1.2;
/** While the device waits for an answer, with the radio on. */
const WAITING_WATTS = 0.6;
const NINETY_PERCENT = 1.645;
const ENCODE_SPREAD = 0.3;
/** Of what is ahead on the device: some of those requests may yet do something else. */
const AHEAD_SPREAD = 0.3;

/**
 * The predictions of one snapshot, one after the other: `set`, then `row` as often as wanted, whose figures stand in the
 * fields until the next. Allocates nothing, but for `prediction`.
 */
export class Predictor {
  /** Of the last row: what is expected, and the square of its standard deviation. */
  totalMs = 0;
  squareMs = 0;
  bytes = 0;
  joules = 0;
  private aheadMs = 0;
  private deviceMs = 0;
  private encodeMs = 0;
  private networkMs = 0;
  private serverMs = 0;
  private queueMs = 0;
  private queueSdMs = 0;
  private snapshot: Snapshot | null = null;
  private readonly table: CostTable;
  private readonly device: LogSumAt;
  private readonly server = new LogSumAt(1);
  private readonly link = new LogSumAt(5);
  private readonly transfer = new Float64Array(5);
  private readonly planned: Float64Array;
  /** From where the request is to each k on the device. */
  private readonly reachMs: Float64Array;
  private readonly reachSquare: Float64Array;
  /** Planned time of the server behind each k, and bytes of what it answers. */
  private readonly tailMs: Float64Array;
  private readonly bytesDown: Float64Array;
  private serverScale = 0;
  private serverSquare = 0;

  constructor(table: CostTable) {
    const { depth } = table;
    this.table = table;
    this.device = new LogSumAt(depth, true);
    this.planned = new Float64Array(depth);
    this.reachMs = new Float64Array(depth + 1);
    this.reachSquare = new Float64Array(depth + 1);
    this.tailMs = new Float64Array(depth + 1);
    this.bytesDown = new Float64Array(depth + 1);
  }

  set(snapshot: Snapshot): void {
    const { at, size, nowMs } = snapshot;
    const { depth, deviceMs, serverMs, answerBytes } = this.table;
    this.snapshot = snapshot;
    this.device.set(snapshot.device.model, snapshot.device.state, nowMs);
    this.server.set(snapshot.server.model, snapshot.server.state, nowMs);
    this.link.set(snapshot.link.model, snapshot.link.state, nowMs);
    this.planned.fill(0);
    this.reachMs.fill(0);
    this.reachSquare.fill(0);
    for (let k = at; k < depth; k++) {
      const cost = deviceMs[k];
      this.planned[k] = cost ? costAt(cost, size) : 0;
      this.device.predict(this.planned);
      this.reachMs[k + 1] = this.device.meanMs;
      this.reachSquare[k + 1] = this.device.squareMs;
    }
    for (let k = depth - 1; k >= 0; k--) {
      const cost = serverMs[k];
      this.tailMs[k] = (this.tailMs[k + 1] as number) + (cost ? costAt(cost, size) : 0);
      this.bytesDown[k] = REPLY_OVERHEAD_BYTES + costAt(answerBytes[k] as (typeof answerBytes)[number], size);
    }
    this.server.predict(ONE);
    this.serverScale = this.server.meanMs;
    this.serverSquare = this.server.squareMs;
    const queue = predictQueue(snapshot.queue, nowMs);
    this.queueMs = queue.ms;
    this.queueSdMs = queue.sdMs;
  }

  row(row: TableRow): void {
    const snapshot = this.snapshot as Snapshot;
    const { k } = row;
    this.aheadMs = k > snapshot.at ? (snapshot.deviceAheadMs ?? 0) : 0;
    this.deviceMs = this.reachMs[k] as number;
    this.squareMs = (this.reachSquare[k] as number) + (AHEAD_SPREAD * this.aheadMs) ** 2;
    this.totalMs = this.aheadMs + this.deviceMs;
    this.encodeMs = this.networkMs = this.serverMs = this.bytes = 0;
    this.joules = (this.deviceMs * DEVICE_WATTS) / 1000;
    if (row.tier === null) return;
    this.encodeMs = snapshot.encodeMs[row.key] ?? ENCODE_PRIOR_MS;
    this.bytes = boundaryBytes(row, snapshot.size) + FRAME_OVERHEAD_BYTES;
    const { transfer, link } = this;
    transfer[0] = 1;
    transfer[1] = this.bytes + (snapshot.aheadBytes ?? 0);
    transfer[2] = this.bytesDown[k] as number;
    const idleMs = snapshot.idleMs + this.totalMs;
    transfer[3] = dozeShare(idleMs);
    transfer[4] = sleepShare(idleMs);
    link.predict(transfer);
    this.networkMs = link.meanMs;
    const planned = (row.decodeMs ? costAt(row.decodeMs, snapshot.size) : 0) + (this.tailMs[k] as number);
    this.serverMs = planned * this.serverScale;
    this.totalMs += this.encodeMs + this.networkMs + this.queueMs + this.serverMs;
    this.squareMs +=
      link.squareMs + this.queueSdMs ** 2 + planned ** 2 * this.serverSquare + (ENCODE_SPREAD * this.encodeMs) ** 2;
    const radioMs = ((link.parts[1] as number) + (link.parts[2] as number)) * (this.networkMs / link.ms);
    const waitingMs = this.networkMs - radioMs + this.queueMs + this.serverMs;
    this.joules += (this.encodeMs * DEVICE_WATTS + radioMs * RADIO_WATTS + waitingMs * WAITING_WATTS) / 1000;
  }

  /** The time that a share of requests stays below, by how many deviations that is off the median. */
  quantileMs(z: number): number {
    return quantile(this.totalMs, this.squareMs, z);
  }

  /** How likely it is that no more than this passes. */
  probabilityWithin(ms: number): number {
    if (ms <= 0) return 0;
    if (!(this.totalMs > 0)) return 1;
    const square = Math.log(1 + this.squareMs / this.totalMs ** 2);
    if (!(square > 0)) return this.totalMs <= ms ? 1 : 0;
    return normalCdf((Math.log(ms / this.totalMs) + square / 2) / Math.sqrt(square));
  }

  prediction(): Prediction {
    const { totalMs, squareMs, aheadMs, deviceMs, encodeMs, networkMs, serverMs, bytes, joules, link } = this;
    const isSent = networkMs > 0;
    // Medians as predicted, scaled to their expectation: the parts are to add up to the whole.
    const scale = isSent ? networkMs / link.ms : 0;
    const part = (i: number) => (isSent ? (link.parts[i] as number) * scale : 0);
    return {
      totalMs,
      lowMs: quantile(totalMs, squareMs, -NINETY_PERCENT),
      highMs: quantile(totalMs, squareMs, NINETY_PERCENT),
      aheadMs,
      deviceMs,
      encodeMs,
      uplinkMs: part(1),
      downlinkMs: part(2),
      roundTripMs: part(0),
      wakeMs: part(3) + part(4),
      queueMs: isSent ? this.queueMs : 0,
      serverMs,
      bytes,
      joules,
    };
  }
}

const ONE = [1];

/** Predictors hold nothing between snapshots: one a table will do. */
const predictors = new WeakMap<CostTable, Predictor>();

export function predictorOf(snapshot: Snapshot): Predictor {
  const table = costTable(snapshot.plan, snapshot.target);
  let predictor = predictors.get(table);
  if (!predictor) {
    predictor = new Predictor(table);
    predictors.set(table, predictor);
  }
  predictor.set(snapshot);
  return predictor;
}

/** @throws RangeError for a choice that the plan does not have */
export function predict(snapshot: Snapshot, choice: Choice): Prediction {
  const { rows } = costTable(snapshot.plan, snapshot.target);
  const row = rows.find(({ k, tier }) => k === choice.k && tier === choice.tier);
  if (!row) throw new RangeError(`the plan has no choice of k = ${choice.k} at ${choice.tier}`);
  const predictor = predictorOf(snapshot);
  predictor.row(row);
  return predictor.prediction();
}

/** Expected time of what the device has yet to run from where the request is, in milliseconds. */
export function finishMs(snapshot: Snapshot): number {
  const predictor = predictorOf(snapshot);
  // All on the device is the last row.
  predictor.row(costTable(snapshot.plan, snapshot.target).rows.at(-1) as TableRow);
  return predictor.totalMs;
}

/** Of the lognormal with this mean and variance. */
function quantile(mean: number, variance: number, z: number): number {
  if (!(mean > 0)) return 0;
  const square = Math.log(1 + variance / mean ** 2);
  return mean * Math.exp(z * Math.sqrt(square) - square / 2);
}

/** Abramowitz and Stegun 26.2.17: within 1e-7. */
function normalCdf(z: number): number {
  const t = 1 / (1 + 0.2316419 * Math.abs(z));
  const poly = t * (0.31938153 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))));
  const tail = (Math.exp((-z * z) / 2) / Math.sqrt(2 * Math.PI)) * poly;
  return z > 0 ? 1 - tail : tail;
}
