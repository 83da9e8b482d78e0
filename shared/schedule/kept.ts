/**
 * What is kept of the estimates between visits, as JSON. What is read back was written by another visit, by another version, or
 * by nobody of ours: what does not fit is ignored. Models are not kept, so that what was learnt is held against those of today.
 */
import * as v from 'valibot';
import { amount, between, finite, integer, list, share, text, within } from '../parse.ts';
import { DEPTH_MAX } from '../plan-schema.ts';
import type { EstimatesState } from './estimates.ts';
import { newLink } from './link.ts';
import { isCovariance, type LogSumModel, type LogSumState } from './log-sum.ts';
import { shareAfterTime } from './share.ts';
import { newSpeed } from './speed.ts';

/** Times of the three estimates count from when it was kept: none is above 0. */
export type KeptState = Pick<EstimatesState, 'device' | 'server' | 'link' | 'encodeMs' | 'share' | 'explorationMs'>;

const VERSION = 1;
/** Twice what a plan of most segments takes. */
const CHARACTERS_MAX = 200_000;
const TIERS_MAX = 1024;
/** More than estimates ever get off their priors, as a logarithm. */
const OFF_MAX = 12;
const NOISE_MIN = 1e-4;
const ROUNDING = 1e-6;
const EXPLORATION_MS_MAX = 60_000;

const FilterSchema = v.strictObject({
  mean: list(finite, DEPTH_MAX, 1),
  usual: list(finite, DEPTH_MAX),
  covariance: list(finite, DEPTH_MAX ** 2),
  noise: between(NOISE_MIN, 1),
  agoMs: amount,
});
const KeptSchema = v.strictObject({
  version: v.literal(VERSION),
  /** By the calendar, in milliseconds. */
  keptAtMs: integer(0),
  device: FilterSchema,
  server: FilterSchema,
  link: FilterSchema,
  encodeMs: v.pipe(v.record(text(64), amount), within(TIERS_MAX)),
  share,
  explorationMs: between(0, EXPLORATION_MS_MAX),
});

type Filter = v.InferOutput<typeof FilterSchema>;

/**
 * @param nowMs by the clock of the estimates
 * @param wallMs by the calendar
 */
export function writeKept(state: KeptState & Pick<EstimatesState, 'shareAtMs'>, nowMs: number, wallMs: number): string {
  const filter = ({ state: { mean, usual, covariance, noise, atMs } }: { readonly state: LogSumState }): Filter => ({
    ...{ mean: [...mean], usual: [...usual], covariance: [...covariance], noise, agoMs: Math.max(0, nowMs - atMs) },
  });
  const { device, server, link, encodeMs, explorationMs } = state;
  const share = shareAfterTime(state.share, nowMs - state.shareAtMs);
  return JSON.stringify({
    ...{ version: VERSION, keptAtMs: Math.round(wallMs) },
    ...{ device: filter(device), server: filter(server), link: filter(link) },
    ...{ encodeMs, share, explorationMs: Math.min(EXPLORATION_MS_MAX, Math.max(0, explorationMs)) },
  } satisfies v.InferInput<typeof KeptSchema>);
}

/** What was kept and how old it is; null where it is no such thing, or from the future. */
export function readKept(json: string, wallMs: number): { readonly state: KeptState; readonly ageMs: number } | null {
  const result = v.safeParse(KeptSchema, json.length > CHARACTERS_MAX ? null : parsed(json), { abortEarly: true });
  if (!result.success) return null;
  const { keptAtMs, encodeMs, share, explorationMs, ...filters } = result.output;
  const device = estimateFrom(newSpeed(filters.device.mean.length).model, filters.device);
  const server = estimateFrom(newSpeed().model, filters.server);
  const link = estimateFrom(newLink().model, filters.link);
  const ageMs = Math.round(wallMs) - keptAtMs;
  if (!device || !server || !link || ageMs < 0) return null;
  return { state: { device, server, link, encodeMs, share, explorationMs }, ageMs };
}

function parsed(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return null;
  }
}

/** Null where it is not of this model, or says what no observation could have taught it. */
function estimateFrom(model: LogSumModel, { mean, usual, covariance, noise, agoMs }: Filter) {
  const { prior, spread } = model;
  const n = prior.length;
  if (mean.length !== n || usual.length !== n || covariance.length !== n * n) return null;
  const isNear = [mean, usual].every((logs) =>
    logs.every((at, i) => Math.abs(at - Math.log(prior[i] as number)) <= OFF_MAX),
  );
  const isWithinPrior = covariance.every((each, at) => {
    const row = Math.floor(at / n);
    const most = (spread[row] as number) * (spread[at % n] as number) * (1 + ROUNDING);
    return Math.abs(each) <= most && (row !== at % n || each >= -ROUNDING);
  });
  if (!isNear || !isWithinPrior || !isCovariance(covariance, n)) return null;
  return { model, state: { mean, usual, covariance, noise, surprise: 0, atMs: -agoMs } };
}
