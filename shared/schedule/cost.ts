/** What a choice of (k, tier) is expected to take, part by part, from where the request is now. */
import { depthOf, type Plan, tierKey } from '../plan.ts';
import { costAt, shapeAt } from '../size.ts';
import { elementCount } from '../tensor.ts';
import { linkModel } from './link.ts';
import { ENCODE_PRIOR_MS, FRAME_OVERHEAD_BYTES, type Snapshot } from './snapshot.ts';
import { speedRatio } from './speed.ts';

/** A choice: run to boundary k on the device, send it at `tier`. `tier` is null where k = K and nothing is sent. */
export interface Choice {
  readonly k: number;
  readonly tier: string | null;
}

/** Milliseconds, except bytes. They add up to `totalMs`. */
export interface Prediction {
  readonly totalMs: number;
  readonly deviceMs: number;
  readonly encodeMs: number;
  readonly uplinkMs: number;
  readonly roundTripMs: number;
  readonly queueMs: number;
  readonly serverMs: number;
  readonly bytes: number;
}

export function predict(snapshot: Snapshot, choice: Choice): Prediction {
  const deviceMs = deviceTimeMs(snapshot, snapshot.at, choice.k);
  if (choice.tier === null) {
    const nothing = { encodeMs: 0, uplinkMs: 0, roundTripMs: 0, queueMs: 0, serverMs: 0, bytes: 0 };
    return { totalMs: deviceMs, deviceMs, ...nothing };
  }
  const encodeMs = snapshot.encodeMs[tierKey(choice.k, choice.tier)] ?? ENCODE_PRIOR_MS;
  const bytes = tierBytes(snapshot, choice.k, choice.tier) + FRAME_OVERHEAD_BYTES;
  const { roundTripMs, msPerByte } = linkModel(snapshot.link);
  const uplinkMs = (bytes + (snapshot.aheadBytes ?? 0)) * msPerByte;
  const serverMs = serverTimeMs(snapshot, choice.k, choice.tier) * speedRatio(snapshot.server);
  const { queueMs } = snapshot;
  const totalMs = deviceMs + encodeMs + uplinkMs + roundTripMs + queueMs + serverMs;
  return { totalMs, deviceMs, encodeMs, uplinkMs, roundTripMs, queueMs, serverMs, bytes };
}

/** Planned time that the server takes to decode boundary k and run what follows, in milliseconds. */
export function serverTimeMs(place: Pick<Snapshot, 'plan' | 'size'>, k: number, tier: string): number {
  const decode = measuredTier(place.plan, k, tier)?.decodeMs;
  return (decode ? costAt(decode, place.size) : 0) + segmentTimeMs(place, 'server', k, depthOf(place.plan));
}

/** Predicted time of segments from+1..to on this device, in milliseconds. */
export function deviceTimeMs(snapshot: Snapshot, from: number, to: number): number {
  return segmentTimeMs(snapshot, snapshot.target, from, to) * speedRatio(snapshot.device);
}

/** Planned time of segments from+1..to at a place, as measured by the compiler; 0 where it was not. */
export function segmentTimeMs(
  { plan, size }: Pick<Snapshot, 'plan' | 'size'>,
  place: string,
  from: number,
  to: number,
): number {
  const costs = plan.measured?.timeMs[place] ?? [];
  return costs.slice(from, to).reduce((sum, cost) => sum + costAt(cost, size), 0);
}

/** Measured bytes of a boundary at a tier; where nothing was measured, its float size. */
function tierBytes({ plan, size }: Snapshot, k: number, tier: string): number {
  const measured = measuredTier(plan, k, tier);
  if (measured) return costAt(measured.bytes, size);
  const specs = plan.boundaries[k]?.tensors ?? [];
  return specs.reduce((sum, spec) => sum + 4 * elementCount(shapeAt(spec, size)), 0);
}

function measuredTier({ measured }: Plan, k: number, tier: string) {
  return measured?.tiers.find((entry) => entry.k === k && entry.tier === tier);
}
