/**
 * Which boundaries to deploy. Every profile (a device and its link) takes the cut that is best for it, so K-1 boundaries
 * are chosen for which the expectation over profiles of the best is least: a facility-location problem, of so few
 * candidates that all sets are tried.
 */

/** A kind of user, and how many there are of them. */
export interface Profile {
  readonly name: string;
  readonly weight: number;
  /** Time of a segment on this device over its time where it was measured. */
  readonly deviceFactor: number;
  readonly roundTripMs: number;
  readonly uplinkMbps: number;
  /**
   * Share of the device's work that has to come before whatever leaves it, 0 to 1: privacy that wants features, not inputs.
   * A stand-in for a floor, which only a policy can name.
   */
  readonly headShareMin: number;
}

/** A boundary that might be deployed, with what was measured of it. */
export interface Candidate {
  readonly tensors: readonly string[];
  /** Time of all that comes before it on the device, and of all behind it on the server, in milliseconds. */
  readonly headMs: number;
  readonly tailMs: number;
  /** Encoded, at the tier that is sent. */
  readonly bytes: number;
}

/** Sending the input, and sending nothing: always there. */
export interface Ends {
  readonly remote: Candidate;
  readonly localMs: number;
}

export interface Choice {
  /** Shallow to deep. */
  readonly chosen: readonly Candidate[];
  /** Expectation over profiles of the best cut's time, in milliseconds: with these cuts, with none, and with all candidates. */
  readonly expectedMs: number;
  readonly withoutMs: number;
  readonly withAllMs: number;
}

/** Phones and laptops on links as they are: weights are a guess that a configuration should replace by its own users. */
export const DEFAULT_PROFILES: readonly Profile[] = [
  { name: 'laptop on Wi-Fi', weight: 2, deviceFactor: 1, roundTripMs: 15, uplinkMbps: 20, headShareMin: 0 },
  { name: 'good phone on Wi-Fi', weight: 3, deviceFactor: 2, roundTripMs: 20, uplinkMbps: 20, headShareMin: 0 },
  { name: 'good phone on 4G', weight: 3, deviceFactor: 2, roundTripMs: 50, uplinkMbps: 6, headShareMin: 0 },
  { name: 'old phone on 4G', weight: 2, deviceFactor: 6, roundTripMs: 60, uplinkMbps: 3, headShareMin: 0 },
  { name: 'old phone on a weak link', weight: 1, deviceFactor: 6, roundTripMs: 150, uplinkMbps: 0.4, headShareMin: 0 },
  { name: 'old phone, personal data', weight: 2, deviceFactor: 6, roundTripMs: 60, uplinkMbps: 3, headShareMin: 0.25 },
  {
    name: 'good phone, personal data',
    weight: 2,
    deviceFactor: 2,
    roundTripMs: 20,
    uplinkMbps: 20,
    headShareMin: 0.25,
  },
];

/** Predicted time of one cut for one profile, in milliseconds. */
export function timeOf({ headMs, tailMs, bytes }: Candidate, profile: Profile): number {
  return headMs * profile.deviceFactor + (bytes * 8) / (profile.uplinkMbps * 1000) + profile.roundTripMs + tailMs;
}

/** @param count boundaries to choose at most, K-1; fewer are chosen where more would serve nobody, but one at least */
export function chooseCuts(
  candidates: readonly Candidate[],
  ends: Ends,
  count: number,
  profiles: readonly Profile[] = DEFAULT_PROFILES,
): Choice {
  const weight = profiles.reduce((sum, profile) => sum + profile.weight, 0);
  const mayTake = ({ headMs }: Candidate, profile: Profile) => headMs >= profile.headShareMin * ends.localMs;
  const time = (candidate: Candidate, profile: Profile) =>
    mayTake(candidate, profile) ? timeOf(candidate, profile) : Number.POSITIVE_INFINITY;
  const without = profiles.map((profile) => Math.min(time(ends.remote, profile), ends.localMs * profile.deviceFactor));
  const times = candidates.map((candidate) => profiles.map((profile) => time(candidate, profile)));
  const expected = (set: readonly number[]) =>
    profiles.reduce((sum, profile, p) => {
      const best = set.reduce((least, i) => Math.min(least, times[i]?.[p] ?? Infinity), without[p] as number);
      return sum + (profile.weight * best) / weight;
    }, 0);
  const size = Math.min(count, candidates.length);
  const all = candidates.map((_, i) => i);
  const useful = withoutIdle(exhaustive(all, size, expected), expected);
  const chosen = [...useful].sort((a, b) => a - b).map((i) => candidates[i] as Candidate);
  return { chosen, expectedMs: expected(useful), withoutMs: expected([]), withAllMs: expected(all) };
}

/** Drops what no profile takes: every cut costs a piece of the chain its own start. */
function withoutIdle(set: readonly number[], cost: Cost): number[] {
  let rest = [...set];
  for (const one of set) {
    const less = rest.filter((other) => other !== one);
    if (less.length > 0 && cost(less) <= cost(rest)) rest = less;
  }
  return rest;
}

type Cost = (set: readonly number[]) => number;

function exhaustive(all: readonly number[], size: number, cost: Cost): number[] {
  let best: number[] = [];
  let least = Number.POSITIVE_INFINITY;
  const grow = (set: readonly number[], start: number) => {
    if (set.length === size) {
      const value = cost(set);
      if (value < least) [best, least] = [[...set], value];
      return;
    }
    for (let i = start; i < all.length; i++) grow([...set, all[i] as number], i + 1);
  };
  grow([], 0);
  return best;
}
