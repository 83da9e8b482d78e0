import { newLink } from '../../../shared/schedule/link.ts';
import type { Snapshot } from '../../../shared/schedule/snapshot.ts';
import { newSpeed } from '../../../shared/schedule/speed.ts';
import { samplePlan } from '../sample-plan.ts';

/** A connected device with all segments of the sample plan, at the start of a request. */
export function sampleSnapshot(changes: Partial<Snapshot> = {}): Snapshot {
  return {
    plan: samplePlan(),
    target: 'wasm',
    size: 16,
    at: 0,
    loaded: 3,
    isConnected: true,
    device: newSpeed(),
    server: newSpeed(),
    link: newLink({ roundTripMs: 50, uplinkBytesPerS: 1_000_000 }),
    queueMs: 0,
    encodeMs: {},
    blocked: {},
    ...changes,
  };
}
