/** What has happened to a request so far, and the account of it that its caller gets. */
import type { Crossing } from '../shared/codec/boundary.ts';
import type { Noise } from '../shared/codec/noise.ts';
import { TandemError } from '../shared/errors.ts';
import type { Asker } from '../shared/schedule/asker.ts';
import { type Calibration, calibrate } from '../shared/schedule/calibration.ts';
import type { Candidate, Decision } from '../shared/schedule/decide.ts';
import type { Begun } from './begun.ts';
import type { Reply } from './connection.ts';
import type { FailedRoute, Route, RouteTiming, SentBoundary } from './types.ts';

/** What is encoded of a boundary. */
export interface Drawn {
  readonly crossing: Crossing;
  /** What was added to its tensors. */
  readonly noise: readonly Noise[];
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** Outlives the installation that the request began on. */
export interface Trail {
  readonly startMs: number;
  readonly asker: Asker;
  readonly decisions: Decision[];
  readonly sent: Mutable<SentBoundary>[];
  readonly timing: Mutable<Omit<RouteTiming, 'totalMs' | 'server'>>;
  /** By plan and k. */
  readonly noisy: Map<string, Drawn>;
  /** Whether the gateway has said of something that was sent that it was too large. */
  wasTooLarge: boolean;
  fallback: Route['fallback'];
  /** Why nothing can be done now, while it waits. */
  obstacle: string | null;
  /** Whether a reply was late, and a device that came meanwhile is to give the answer. */
  isForDevice: boolean;
  /** What has left of it before it was asked for, until that is taken up. */
  begun: Begun | null;
  /** Whether the account of it was given: it does not change any more. */
  isOver: boolean;
}

export function newTrail(startMs: number, asker: Asker, begun: Begun | null = null): Trail {
  const timing = { preprocessMs: 0, deviceMs: 0, encodeMs: 0, networkMs: 0 };
  const sent = begun ? [sentBoundary(begun.request, begun.bytesUp)] : [];
  return {
    ...{ startMs, asker, decisions: [], sent, timing, noisy: new Map() },
    ...{ wasTooLarge: false, fallback: null, obstacle: null, isForDevice: false, begun, isOver: false },
  };
}

/** What has just left. */
export function sentBoundary(
  { label, k, tier, noise }: Pick<SentBoundary, 'label' | 'k' | 'tier' | 'noise'>,
  bytes: number,
): Mutable<SentBoundary> {
  return { label, k, tier, noise, bytes, outcome: 'pending', receipt: null };
}

/** @param reply the one whose outputs were used, or null where the device made them */
export function routeOf(
  { startMs, decisions, sent, timing, fallback }: Trail,
  taken: Pick<Route, 'k' | 'tier' | 'label' | 'size' | 'provider' | 'demoted'>,
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
    why: whyOf(decisions, taken, fallback, reply !== null),
    decisions,
    predicted: foreseen?.predicted ?? null,
    timing: { ...timing, totalMs: nowMs - startMs, server: reply?.message.timing ?? null },
    sent,
    receipt: (reply && sent.at(-1)?.receipt) ?? null,
    bytesUp: bytesOf(sent),
    bytesDown: reply?.bytesDown ?? 0,
    fallback,
  };
}

/** @param error what the request rejects with, unless its signal was aborted */
export function failedRoute(
  { startMs, sent }: Trail,
  label: string,
  error: TandemError | null,
  nowMs: number,
): FailedRoute {
  return { error: error?.code ?? 'ABORTED', label, sent, bytesUp: bytesOf(sent), totalMs: nowMs - startMs };
}

/** The error with what had been sent. Another object: several requests may end with one and the same. */
export function withSent(error: TandemError, { sent }: Trail): TandemError {
  const { code, message, retryAfterMs } = error;
  return sent.length === 0 ? error : new TandemError(code, message, { cause: error, retryAfterMs, sent });
}

/** What was foreseen at first against what came: of a reply that was late all that is known is that it took longer. */
export function calibrated(held: Calibration, { decisions, fallback }: Trail, nowMs: number): Calibration {
  const [first] = decisions;
  // What was to find out, or could not be done in the end, promised nothing.
  if (!first?.chosen || first.by === 'explored' || fallback?.reason === 'failed') return held;
  const ms = fallback?.reason === 'late' ? Number.POSITIVE_INFINITY : nowMs - first.record.snapshot.nowMs;
  return calibrate(held, first.chosen.predicted, ms);
}

function bytesOf(sent: readonly SentBoundary[]): number {
  return sent.reduce((sum, { bytes }) => sum + bytes, 0);
}

function whyOf(
  decisions: readonly Decision[],
  { k, tier }: Pick<Route, 'k' | 'tier'>,
  fallback: Route['fallback'],
  isReply: boolean,
): string {
  if (fallback)
    return `${fallback.reason === 'late' ? 'the reply was late' : 'the first choice failed'}: ${fallback.message}`;
  // From where on it was that: what was expected then is of the whole way.
  const before = decisions.findLastIndex(({ chosen }) => chosen?.k !== k || chosen.tier !== tier);
  const decision = decisions[before + 1];
  const chosen = decision?.chosen;
  const name = (choice: Pick<Candidate, 'k' | 'tier'>) =>
    choice.tier === null ? 'all on the device' : `k = ${choice.k} as ${choice.tier}`;
  if (!chosen)
    return isReply ? `${name({ k, tier })}: it had left before the SDK was there` : 'there was nothing to decide';
  const ms = (candidate: Candidate) => `${candidate.predicted.totalMs.toFixed(0)} ms`;
  const { next, at, removed } = decision;
  // What may change is told before what stays, and last of all is the device alone: why not here is asked first.
  const out = removed.findLast(({ waitsFor }) => waitsFor) ?? removed.at(-1);
  const otherwise = next
    ? `next ${name(next)} at ${ms(next)}`
    : `nothing else could be done${out ? `: ${out.reason}` : ''}`;
  const from = at > 0 ? ` from boundary ${at}` : '';
  return `${name(chosen)}: expected in ${ms(chosen)}${from}, ${otherwise}`;
}
