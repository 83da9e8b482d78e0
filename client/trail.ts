/** What has happened to a request so far, and the account of it that its caller gets. */
import type { Decision } from '../shared/schedule/decide.ts';
import type { Reply } from './link.ts';
import type { Route, RouteTiming, SentBoundary } from './types.ts';

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** Outlives the installation that the request began on. */
export interface Trail {
  readonly startMs: number;
  readonly decisions: Decision[];
  readonly sent: SentBoundary[];
  readonly timing: Mutable<Omit<RouteTiming, 'totalMs' | 'server'>>;
  fallback: Route['fallback'];
}

export function newTrail(startMs: number): Trail {
  const timing = { preprocessMs: 0, deviceMs: 0, encodeMs: 0, networkMs: 0 };
  return { startMs, decisions: [], sent: [], timing, fallback: null };
}

/** @param reply the one whose outputs were used, or null where the device made them */
export function routeOf(
  { startMs, decisions, sent, timing, fallback }: Trail,
  taken: Pick<Route, 'k' | 'tier' | 'label' | 'size'>,
  reply: Reply | null,
  nowMs: number,
): Route {
  const { k, tier } = taken;
  const foreseen = decisions[0]?.candidates.find((candidate) => candidate.k === k && candidate.tier === tier);
  return {
    ...taken,
    decisions,
    predicted: foreseen?.predicted ?? null,
    timing: { ...timing, totalMs: nowMs - startMs, server: reply?.message.timing ?? null },
    sent,
    bytesUp: sent.reduce((sum, { bytes }) => sum + bytes, 0),
    bytesDown: reply?.bytesDown ?? 0,
    fallback,
  };
}
