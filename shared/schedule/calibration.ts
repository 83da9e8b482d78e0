/** Whether predictions hold what they promise: how many times came to lie in the interval that nine of ten should. */
import type { Prediction } from './cost.ts';

export interface Calibration {
  readonly requests: number;
  readonly below: number;
  readonly above: number;
}

export const NOTHING_PREDICTED: Calibration = { requests: 0, below: 0, above: 0 };

export function calibrate(
  { requests, below, above }: Calibration,
  { lowMs, highMs }: Pick<Prediction, 'lowMs' | 'highMs'>,
  ms: number,
): Calibration {
  return { requests: requests + 1, below: below + (ms < lowMs ? 1 : 0), above: above + (ms > highMs ? 1 : 0) };
}

/** Share of times within; null before any. */
export function coverage({ requests, below, above }: Calibration): number | null {
  return requests === 0 ? null : (requests - below - above) / requests;
}
