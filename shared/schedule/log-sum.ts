/**
 * What is learnt of positive quantities that are only seen added up: ms = sum of x_i * e^(s_i), where the x_i are known
 * (1, bytes, planned milliseconds) and the states s_i are not (the logarithms of a round trip, of the milliseconds a byte
 * takes, of how slow a segment is here). An iterated extended Kalman filter over the s_i: every observation teaches about
 * each part as much as its share of the time and its uncertainty say, nothing can become negative, and what is known is
 * known with a variance, which grows with age. Plain data and pure functions, so that it can be kept and replayed.
 *
 * Bar-Shalom, Li, Kirubarajan, "Estimation with Applications to Tracking and Navigation", 10.5.2 (iterated update);
 * Mehra, "On the identification of variances and adaptive Kalman filtering", 1970 (noise from the residuals).
 */

/** What does not change of a filter: one entry a part. */
export interface LogSumModel {
  /** What the parts are where nothing was seen: ms for each unit of x. */
  readonly prior: readonly number[];
  /** Standard deviation of the logarithm of each part before anything was seen; uncertainty never grows beyond it. */
  readonly spread: readonly number[];
  /** How fast each part may change: standard deviation of its logarithm after a second, growing with the root of time. */
  readonly drift: readonly number[];
  /** How much one observation scatters about the sum, as the standard deviation of its logarithm, before any was seen. */
  readonly noise: number;
  /** How long it takes until a part, unseen, is mostly what it usually is again, in milliseconds. Default: it stays. */
  readonly returnMs?: readonly number[];
  /** Share of the prior variance that all parts have in common: seeing one then tells of the others. Default 0. */
  readonly common?: number;
}

export interface LogSumState {
  /** Logarithms of the parts. */
  readonly mean: readonly number[];
  /** What they usually are: slow running means. */
  readonly usual: readonly number[];
  /** Their covariance, row by row. */
  readonly covariance: readonly number[];
  /** Variance of the logarithm of an observation about the sum. */
  readonly noise: number;
  /** How far off the last observation was that was far off, in standard deviations, with its sign; fades with each that was not. */
  readonly surprise: number;
  readonly atMs: number;
}

const ITERATIONS = 4;
/** Share that one observation has in what is thought of their scatter. */
const NOISE_WEIGHT = 0.08;
const NOISE_MIN = 0.02 ** 2;
const NOISE_MAX = 0.7 ** 2;
/** An observation this many deviations off is a hiccup at first; a second one on the same side is a change. */
const SURPRISE = 2.5;
const FADING = 0.7;
const FORGETTING = 6;
const TINY = 1e-9;
const ROUNDING = 1e-6;
/** Share of the newest estimate in what is usual. */
const USUAL_WEIGHT = 0.1;
/** No part is further from its prior than this many of its deviations, whatever was seen. */
const SPREADS_MAX = 6;

export function newLogSum(model: LogSumModel, nowMs = 0): LogSumState {
  const n = model.prior.length;
  const covariance = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) covariance[i * n + j] = priorCovariance(model, i, j);
  }
  return {
    mean: model.prior.map(Math.log),
    usual: model.prior.map(Math.log),
    covariance: Array.from(covariance),
    noise: model.noise ** 2,
    surprise: 0,
    atMs: nowMs,
  };
}

function priorCovariance({ spread, common = 0 }: LogSumModel, i: number, j: number): number {
  const product = (spread[i] as number) * (spread[j] as number);
  return i === j ? product : product * common;
}

/** Logarithm of part i now. */
function meanAt({ returnMs }: LogSumModel, { mean, usual, atMs }: LogSumState, i: number, nowMs: number): number {
  const last = mean[i] as number;
  if (returnMs === undefined) return last;
  const stays = Math.exp(-Math.max(0, nowMs - atMs) / (returnMs[i] as number));
  return (usual[i] as number) + (last - (usual[i] as number)) * stays;
}

/** The covariance now: grown with age, and no larger than before anything was seen. */
function covarianceAt({ spread, drift, common = 0 }: LogSumModel, state: LogSumState, nowMs: number, p: Float64Array) {
  const n = spread.length;
  const seconds = Math.max(0, nowMs - state.atMs) / 1000;
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) {
      const grown = (drift[i] as number) * (drift[j] as number) * seconds;
      p[i * n + j] = (state.covariance[i * n + j] as number) + (i === j ? grown : grown * common);
    }
  }
  widen(p, spread, 1);
}

/** Multiplies variances, up to those of the prior, and covariances so that they stay some. */
function widen(p: Float64Array, spread: readonly number[], factor: number): void {
  const n = spread.length;
  for (let i = 0; i < n; i++) {
    const most = (spread[i] as number) ** 2;
    const scale = Math.sqrt(Math.min(factor, most / Math.max(p[i * n + i] as number, TINY)));
    if (scale === 1) continue;
    for (let j = 0; j < n; j++) {
      p[i * n + j] = (p[i * n + j] as number) * scale;
      p[j * n + i] = (p[j * n + i] as number) * scale;
    }
  }
}

/** A filter at one moment, for predicting many sums: what does not depend on the amounts is worked out, and nothing is allocated. */
export class LogSumAt {
  /** e^(s_i): what one unit of each part takes. */
  readonly unit: Float64Array;
  /** Of the last sum: each part's milliseconds, the median of the whole, and the variance of its logarithm. */
  readonly parts: Float64Array;
  ms = 0;
  variance = 0;
  /** With what one observation scatters about a sum. */
  scatter = 0;
  /** Expected milliseconds of it, those of a lognormal, and the square of their standard deviation. */
  meanMs = 0;
  squareMs = 0;
  private noise = 0;
  private readonly covariance: Float64Array;

  private readonly isEachSeen: boolean;

  /** @param isEachSeen whether parts are seen one by one, and scatter each for itself, or together, and scatter as one */
  constructor(parts: number, isEachSeen = false) {
    this.isEachSeen = isEachSeen;
    this.unit = new Float64Array(parts);
    this.parts = new Float64Array(parts);
    this.covariance = new Float64Array(parts * parts);
  }

  set(model: LogSumModel, state: LogSumState, nowMs: number): void {
    const { unit, covariance } = this;
    this.noise = state.noise;
    for (let i = 0; i < unit.length; i++) unit[i] = Math.exp(meanAt(model, state, i, nowMs));
    covarianceAt(model, state, nowMs, covariance);
  }

  /** @param x how much of each part there is */
  predict(x: ArrayLike<number>): void {
    const { unit, parts, covariance } = this;
    const n = unit.length;
    let ms = 0;
    for (let i = 0; i < n; i++) {
      const part = (x[i] as number) * (unit[i] as number);
      parts[i] = part;
      ms += part;
    }
    let variance = 0;
    let squares = 0;
    for (let i = 0; i < n; i++) {
      const own = parts[i] as number;
      if (own === 0) continue;
      squares += own * own;
      for (let j = 0; j < n; j++) variance += own * (parts[j] as number) * (covariance[i * n + j] as number);
    }
    this.ms = ms;
    this.variance = ms > 0 ? Math.max(0, variance / (ms * ms)) : 0;
    this.scatter = this.isEachSeen && ms > 0 ? (this.noise * squares) / (ms * ms) : this.noise;
    const total = this.variance + this.scatter;
    this.meanMs = ms * Math.exp(total / 2);
    this.squareMs = this.meanMs ** 2 * (Math.exp(total) - 1);
  }
}

/** The state after an observation. One that is no positive number, or of nothing, changes nothing. */
export function observeLogSum(
  model: LogSumModel,
  state: LogSumState,
  x: ArrayLike<number>,
  ms: number,
  nowMs: number,
): LogSumState {
  const n = state.mean.length;
  if (!(ms > 0 && Number.isFinite(ms))) return state;
  const p = new Float64Array(n * n);
  covarianceAt(model, state, nowMs, p);
  const shares = new Float64Array(n);
  const gain = new Float64Array(n);
  const from = new Float64Array(n);
  for (let i = 0; i < n; i++) from[i] = meanAt(model, state, i, nowMs);
  const mean = from.slice();
  let { noise } = state;
  let surprise = 0;
  let isChange = false;
  let left = 0;
  let known = 0;
  // How far off it is, then the steps, then what is known after them: each is written once, for engines make machine code of each.
  // Gauss-Newton from the prior mean: the shares are those at the estimate, not those that were expected.
  for (let iteration = 0; iteration <= ITERATIONS + 1; iteration++) {
    const total = sharesOf(mean, x, shares);
    if (!(total > 0)) return state;
    left = Math.log(ms) - Math.log(total);
    known = variancesAlong(p, shares, n, gain);
    if (iteration === 0) {
      surprise = Math.log(ms / total) / Math.sqrt(known + state.noise);
      if (Math.abs(surprise) <= SURPRISE) continue;
      // Sums without the part that has changed may lie between the two.
      isChange = state.surprise * surprise > SURPRISE;
      // A change: what was known is known less. A hiccup: this observation tells less, in proportion to how far off it is.
      if (isChange) widen(p, model.spread, surprise ** 2);
      else noise *= (surprise / SURPRISE) ** 2;
    } else if (iteration <= ITERATIONS) {
      let residual = left;
      for (let i = 0; i < n; i++) residual += (shares[i] as number) * ((mean[i] as number) - (from[i] as number));
      for (let i = 0; i < n; i++) {
        const step = (from[i] as number) + ((gain[i] as number) / (known + noise)) * residual;
        const prior = Math.log(model.prior[i] as number);
        const most = SPREADS_MAX * (model.spread[i] as number);
        mean[i] = Math.min(prior + most, Math.max(prior - most, step));
      }
    }
  }
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) {
      p[i * n + j] = (p[i * n + j] as number) - ((gain[i] as number) * (gain[j] as number)) / (known + noise);
    }
  }
  const after = known - known ** 2 / (known + noise);
  // Of a change the scatter says nothing, and of a hiccup little.
  const scatter = isChange ? state.noise : Math.min(left * left + after, 9 * state.noise);
  return {
    mean: Array.from(mean),
    usual: state.usual.map((last, i) => last + USUAL_WEIGHT * ((mean[i] as number) - last)),
    covariance: Array.from(p),
    noise: Math.min(NOISE_MAX, Math.max(NOISE_MIN, state.noise + NOISE_WEIGHT * (scatter - state.noise))),
    surprise: Math.abs(surprise) > SURPRISE ? surprise : state.surprise * FADING,
    atMs: Math.max(nowMs, state.atMs),
  };
}

/** What has happened makes all that was known doubtful: another network, a tab that comes back. */
export function doubtLogSum(model: LogSumModel, state: LogSumState): LogSumState {
  const p = Float64Array.from(state.covariance);
  widen(p, model.spread, FORGETTING);
  return { ...state, covariance: Array.from(p) };
}

/** Whether a covariance can be one: symmetric, and Cholesky with a hair for rounding. */
export function isCovariance(covariance: readonly number[], n: number): boolean {
  const factor = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) {
      let rest = covariance[i * n + j] as number;
      if (rest !== covariance[j * n + i]) return false;
      for (let k = 0; k < j; k++) rest -= (factor[i * n + k] as number) * (factor[j * n + k] as number);
      const pivot = factor[j * n + j] as number;
      if (i === j) {
        if (!(rest > -ROUNDING)) return false;
        factor[i * n + i] = Math.sqrt(Math.max(0, rest));
      } else if (pivot > ROUNDING) factor[i * n + j] = rest / pivot;
      else if (!(Math.abs(rest) <= ROUNDING)) return false;
    }
  }
  return true;
}

function sharesOf(mean: Float64Array, x: ArrayLike<number>, shares: Float64Array): number {
  let total = 0;
  for (let i = 0; i < shares.length; i++) {
    const amount = x[i] as number;
    shares[i] = amount > 0 ? amount * Math.exp(mean[i] as number) : 0;
    total += shares[i] as number;
  }
  for (let i = 0; i < shares.length; i++) shares[i] = (shares[i] as number) / total;
  return total;
}

/** gain = P g; gives g' P g. */
function variancesAlong(p: Float64Array, g: Float64Array, n: number, gain: Float64Array): number {
  let along = 0;
  for (let i = 0; i < n; i++) {
    let sum = 0;
    for (let j = 0; j < n; j++) sum += (p[i * n + j] as number) * (g[j] as number);
    gain[i] = sum;
    along += sum * (g[i] as number);
  }
  // Rounding may leave a covariance that is none by a hair.
  return Math.max(0, along);
}
