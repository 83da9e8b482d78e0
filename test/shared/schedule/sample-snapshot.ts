import { newLink } from '../../../shared/schedule/link.ts';
import type { LogSumModel, LogSumState } from '../../../shared/schedule/log-sum.ts';
import { newQueue } from '../../../shared/schedule/queue.ts';
import type { Snapshot } from '../../../shared/schedule/snapshot.ts';
import { newSpeed } from '../../../shared/schedule/speed.ts';
import { samplePlan } from '../sample-plan.ts';

/** An estimate without any doubt: what is expected of it is what it says. */
export function certain<T extends { readonly model: LogSumModel; readonly state: LogSumState }>(estimate: T): T {
  const { model, state } = estimate;
  return {
    ...estimate,
    model: { ...model, drift: model.drift.map(() => 0) },
    state: { ...state, covariance: state.covariance.map(() => 0), noise: 0 },
  };
}

/** How much slower than planned a device, or a server of one part, surely is. */
export function ratio(value: number, segments = 3) {
  return certain(newSpeed(segments, value));
}

export const QUIET_LINK = { roundTripMs: 50, uplinkBytesPerS: 1_000_000, downlinkBytesPerS: 1e12 };

/** A connected device with all segments of the sample plan, at the start of a request, which knows all for sure. */
export function sampleSnapshot(changes: Partial<Snapshot> = {}): Snapshot {
  return {
    plan: samplePlan(),
    target: 'wasm',
    size: 16,
    at: 0,
    loaded: 3,
    isConnected: true,
    nowMs: 0,
    device: ratio(1),
    server: ratio(1, 1),
    link: certain(newLink(QUIET_LINK)),
    queue: newQueue(),
    idleMs: 0,
    encodeMs: {},
    blocked: {},
    ...changes,
  };
}
