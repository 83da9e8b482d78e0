/** What has happened to a request so far, and the account of it that its caller gets. */
import type { Asker } from '../shared/schedule/asker.ts';
import type { Candidate, Decision } from '../shared/schedule/decide.ts';
import type { Reply } from './link.ts';
import type { Route, RouteTiming, SentBoundary } from './types.ts';

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** Outlives the installation that the request began on. */
export interface Trail {
  readonly startMs: number;
  readonly asker: Asker;
  readonly decisions: Decision[];
  readonly sent: Mutable<SentBoundary>[];
  readonly timing: Mutable<Omit<RouteTiming, 'totalMs' | 'server'>>;
  fallback: Route['fallback'];
}

export function newTrail(startMs: number, asker: Asker): Trail {
  const timing = { preprocessMs: 0, deviceMs: 0, encodeMs: 0, networkMs: 0 };
  return { startMs, asker, decisions: [], sent: [], timing, fallback: null };
}

/** @param reply the one whose outputs were used, or null where the device made them */
export function routeOf(
  { startMs, decisions, sent, timing, fallback }: Trail,
  taken: Pick<Route, 'k' | 'tier' | 'label' | 'size' | 'provider' | 'receipt'>,
  reply: Reply | null,
  nowMs: number,
): Route {
  const { k, tier } = taken;
  const isTaken = (candidate: Candidate) => candidate.k === k && candidate.tier === tier;
  // What was chosen first is known without asking for all that was weighed.
  const first = decisions[0]?.chosen;
  const foreseen = first && isTaken(first) ? first : decisions[0]?.candidates.find(isTaken);
  return {
    ...taken,
    why: whyOf(decisions, taken, fallback),
    decisions,
    predicted: foreseen?.predicted ?? null,
    timing: { ...timing, totalMs: nowMs - startMs, server: reply?.message.timing ?? null },
    sent,
    bytesUp: sent.reduce((sum, { bytes }) => sum + bytes, 0),
    bytesDown: reply?.bytesDown ?? 0,
    fallback,
  };
}

function whyOf(
  decisions: readonly Decision[],
  { k, tier }: Pick<Route, 'k' | 'tier'>,
  fallback: Route['fallback'],
): string {
  if (fallback)
    return `${fallback.reason === 'late' ? 'the reply was late' : 'the first choice failed'}: ${fallback.message}`;
  // From where on it was that: what was expected then is of the whole way.
  const before = decisions.findLastIndex(({ chosen }) => chosen?.k !== k || chosen.tier !== tier);
  const decision = decisions[before + 1];
  const chosen = decision?.chosen;
  if (!chosen) return 'there was nothing to decide';
  const name = (choice: Pick<Candidate, 'k' | 'tier'>) =>
    choice.tier === null ? 'all on the device' : `k = ${choice.k} as ${choice.tier}`;
  const ms = (candidate: Candidate) => `${candidate.predicted.totalMs.toFixed(0)} ms`;
  const { next, at } = decision;
  const removed = next ? undefined : decision.removed[0];
  const otherwise = next
    ? `next ${name(next)} at ${ms(next)}`
    : `nothing else could be done${removed ? `: ${removed.reason}` : ''}`;
  const from = at > 0 ? ` from boundary ${at}` : '';
  return `${name(chosen)}: expected in ${ms(chosen)}${from}, ${otherwise}`;
}
