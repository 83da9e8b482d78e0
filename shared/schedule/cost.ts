/** What a choice of (k, tier) is expected to take, part by part, from where the request is now, and how sure that is. */
import { depthOf } from '../plan.ts';
import { costAt } from '../size.ts';
import { predictTransfer } from './link.ts';
import type { LogSumPrediction } from './log-sum.ts';
import { predictQueue } from './queue.ts';
import { ENCODE_PRIOR_MS, FRAME_OVERHEAD_BYTES, REPLY_OVERHEAD_BYTES, type Snapshot } from './snapshot.ts';
import { predictSpeed } from './speed.ts';
import { boundaryBytes, type Choice, costTable, outputBytes, plannedMs, type TableRow } from './table.ts';

export type { Choice } from './table.ts';

/** Expected milliseconds, but for bytes and joules. The parts add up to `totalMs`. */
export interface Prediction {
  readonly totalMs: number;
  /** Nine requests of ten are expected between these. */
  readonly lowMs: number;
  readonly highMs: number;
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

/** What a device spends; the order of magnitude for phones, and the same for all choices of one. */
export const POWER = {
  /** Watts while a segment runs. */
  device: 2.5,
  /** Watts while the radio sends or receives. */
  radio: 1.2,
  /** Watts while the device waits for an answer with the radio on. */
  waiting: 0.6,
} as const;

const NINETY_PERCENT = 1.645;

/** What predictions of one snapshot have in common, worked out once: whatever depends on k alone, or on neither. */
export interface Predictor {
  predict(row: TableRow): Prediction;
}

export function predictorOf(snapshot: Snapshot): Predictor {
  const { plan, at, size, nowMs } = snapshot;
  const depth = depthOf(plan);
  const deviceByK: Spread[] = [];
  for (let k = at; k <= depth; k++) deviceByK[k] = deviceSpread(snapshot, at, k);
  const queue = predictQueue(snapshot.queue, nowMs);
  const tailMs: number[] = new Array(depth + 1).fill(0);
  const server = plannedMs(plan, 'server', size, 0, depth);
  for (let k = depth - 1; k >= 0; k--) tailMs[k] = (tailMs[k + 1] as number) + (server[k] as number);
  const serverSpeed = predictSpeed(snapshot.server, [1], nowMs);
  const bytesDown: number[] = [];
  for (let k = at; k < depth; k++) bytesDown[k] = outputBytes(plan, k, size) + REPLY_OVERHEAD_BYTES;

  return {
    predict(row) {
      const device = deviceByK[row.k] as Spread;
      if (row.tier === null) return localPrediction(device);
      const encodeMs = snapshot.encodeMs[row.key] ?? ENCODE_PRIOR_MS;
      const bytes = boundaryBytes(plan, row, size) + FRAME_OVERHEAD_BYTES;
      const transfer = predictTransfer(
        snapshot.link,
        {
          bytesUp: bytes + (snapshot.aheadBytes ?? 0),
          bytesDown: bytesDown[row.k] as number,
          idleMs: Math.max(0, snapshot.idleMs + (row.k > at ? device.mean : 0)),
        },
        nowMs,
      );
      const network = spreadOf(transfer);
      // Medians as predicted, scaled to their expectation: the parts are to add up to the whole.
      const scale = network.mean / transfer.ms;
      const plannedServer = (row.decodeMs ? costAt(row.decodeMs, size) : 0) + (tailMs[row.k] as number);
      const serverMean = plannedServer * serverSpeed.ms * Math.exp((serverSpeed.variance + serverSpeed.scatter) / 2);
      const serverVariance = serverMean ** 2 * (Math.exp(serverSpeed.variance + serverSpeed.scatter) - 1);
      const totalMs = device.mean + encodeMs + network.mean + queue.ms + serverMean;
      const variance = device.variance + network.variance + queue.sdMs ** 2 + serverVariance + (0.3 * encodeMs) ** 2;
      const [lowMs, highMs] = interval(totalMs, variance);
      const radioMs = (transfer.uplinkMs + transfer.downlinkMs) * scale;
      const waitingMs = network.mean - radioMs + queue.ms + serverMean;
      return {
        ...{ totalMs, lowMs, highMs, deviceMs: device.mean, encodeMs },
        uplinkMs: transfer.uplinkMs * scale,
        downlinkMs: transfer.downlinkMs * scale,
        roundTripMs: transfer.roundTripMs * scale,
        wakeMs: transfer.wakeMs * scale,
        ...{ queueMs: queue.ms, serverMs: serverMean, bytes },
        joules: ((device.mean + encodeMs) * POWER.device + radioMs * POWER.radio + waitingMs * POWER.waiting) / 1000,
      };
    },
  };
}

export function predict(snapshot: Snapshot, choice: Choice): Prediction {
  const { rows } = costTable(snapshot.plan, snapshot.target);
  const row = rows.find(({ k, tier }) => k === choice.k && tier === choice.tier);
  if (!row) throw new RangeError(`the plan has no choice of k = ${choice.k} at ${choice.tier}`);
  return predictorOf(snapshot).predict(row);
}

/** Expected time of segments from+1..to on this device, in milliseconds. */
export function deviceTimeMs(snapshot: Snapshot, from: number, to: number): number {
  return deviceSpread(snapshot, from, to).mean;
}

/** A quantile of what a prediction's interval says, as a lognormal: 0.5 is the median. */
export function quantileMs({ totalMs, lowMs, highMs }: Prediction, z: number): number {
  if (!(lowMs > 0)) return totalMs;
  const sd = Math.log(highMs / lowMs) / (2 * NINETY_PERCENT);
  return Math.sqrt(lowMs * highMs) * Math.exp(z * sd);
}

/** How likely it is that no more than this passes. */
export function probabilityWithin({ totalMs, lowMs, highMs }: Prediction, ms: number): number {
  if (ms <= 0) return 0;
  if (!(lowMs > 0 && highMs > lowMs)) return totalMs <= ms ? 1 : 0;
  const sd = Math.log(highMs / lowMs) / (2 * NINETY_PERCENT);
  return normalCdf((Math.log(ms) - Math.log(lowMs * highMs) / 2) / sd);
}

interface Spread {
  readonly mean: number;
  readonly variance: number;
}

function deviceSpread({ plan, target, size, device, nowMs }: Snapshot, from: number, to: number): Spread {
  if (to <= from) return { mean: 0, variance: 0 };
  return spreadOf(predictSpeed(device, plannedMs(plan, target, size, from, to), nowMs));
}

/** Of a lognormal. */
function spreadOf({ ms, variance, scatter }: LogSumPrediction): Spread {
  const mean = ms * Math.exp((variance + scatter) / 2);
  return { mean, variance: mean ** 2 * (Math.exp(variance + scatter) - 1) };
}

/** 5th and 95th percentile of the lognormal of this mean and variance. */
function interval(mean: number, variance: number): [number, number] {
  if (!(mean > 0)) return [0, 0];
  const square = Math.log(1 + variance / mean ** 2);
  const median = mean / Math.exp(square / 2);
  const factor = Math.exp(NINETY_PERCENT * Math.sqrt(square));
  return [median / factor, median * factor];
}

function localPrediction({ mean, variance }: Spread): Prediction {
  const [lowMs, highMs] = interval(mean, variance);
  return {
    ...{ totalMs: mean, lowMs, highMs, deviceMs: mean, encodeMs: 0, uplinkMs: 0, downlinkMs: 0, roundTripMs: 0 },
    ...{ wakeMs: 0, queueMs: 0, serverMs: 0, bytes: 0, joules: (mean * POWER.device) / 1000 },
  };
}

/** Abramowitz and Stegun 26.2.17: within 1e-7. */
function normalCdf(z: number): number {
  const t = 1 / (1 + 0.2316419 * Math.abs(z));
  const poly = t * (0.31938153 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))));
  const tail = (Math.exp((-z * z) / 2) / Math.sqrt(2 * Math.PI)) * poly;
  return z > 0 ? 1 - tail : tail;
}
