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
  /** What the device can spare for weights and activations, in megabytes; unlimited where it is not given. */
  readonly memoryMaxMb?: number | undefined;
}

/** A boundary that might be deployed, with what was measured of it. */
export interface Candidate {
  readonly tensors: readonly string[];
  /** Time of all that comes before it on the device, of decoding it, and of all behind it on the server, in milliseconds. */
  readonly headMs: number;
  readonly decodeMs: number;
  readonly tailMs: number;
  /** The tier that costs fewest bytes and no more accuracy than is allowed, and its bytes. */
  readonly tier: string;
  readonly bytes: number;
  /** Weights in full precision and activations of all that comes before it. */
  readonly memoryBytes: number;
}

/** Sending the input, and sending nothing: always there. */
export interface Ends {
  readonly remote: Candidate;
  readonly local: Pick<Candidate, 'headMs' | 'memoryBytes'>;
}

export interface Choice {
  /** Shallow to deep. */
  readonly chosen: readonly Candidate[];
  /** Expectation over profiles of the best cut's time, in milliseconds. */
  readonly expectedMs: number;
}

const [WIFI, MOBILE, WEAK] = [
  { roundTripMs: 20, uplinkMbps: 20 },
  { roundTripMs: 50, uplinkMbps: 6 },
  { roundTripMs: 150, uplinkMbps: 0.4 },
];
const [LAPTOP, PHONE, OLD_PHONE] = [{ deviceFactor: 1 }, { deviceFactor: 2 }, { deviceFactor: 6, memoryMaxMb: 300 }];
const [ANY, PERSONAL] = [{ headShareMin: 0 }, { headShareMin: 0.25 }];

/** Phones and laptops on links as they are: weights are a guess that a configuration should replace by its own users. */
export const DEFAULT_PROFILES: readonly Profile[] = [
  { name: 'laptop on Wi-Fi', weight: 2, ...LAPTOP, ...WIFI, ...ANY },
  { name: 'good phone on Wi-Fi', weight: 3, ...PHONE, ...WIFI, ...ANY },
  { name: 'good phone on 4G', weight: 3, ...PHONE, ...MOBILE, ...ANY },
  { name: 'old phone on 4G', weight: 2, ...OLD_PHONE, ...MOBILE, ...ANY },
  { name: 'old phone on a weak link', weight: 1, ...OLD_PHONE, ...WEAK, ...ANY },
  { name: 'old phone, personal data', weight: 2, ...OLD_PHONE, ...MOBILE, ...PERSONAL },
  { name: 'good phone, personal data', weight: 2, ...PHONE, ...WIFI, ...PERSONAL },
];

/** What a profile that nothing serves is counted with: it must not make all choices equal. */
const UNSERVED_MS = 60_000;

/** Predicted time of one cut for one profile, in milliseconds. */
export function timeOf({ headMs, decodeMs, tailMs, bytes }: Candidate, profile: Profile): number {
  const linkMs = (bytes * 8) / (profile.uplinkMbps * 1000) + profile.roundTripMs;
  return headMs * profile.deviceFactor + linkMs + decodeMs + tailMs;
}

/** Expectation over profiles of the least time that any of the cuts, or none, takes, in milliseconds. */
export function expectedMs(cuts: readonly Candidate[], ends: Ends, profiles: readonly Profile[]): number {
  return expectation(
    profiles,
    profiles.map((profile) =>
      Math.min(withoutCuts(ends, profile), ...cuts.map((cut) => allowedMs(cut, ends, profile))),
    ),
  );
}

/**
 * @param count boundaries to choose at most, K-1; fewer are chosen where more would serve nobody, but one at least
 * @param keep how many sets to give
 * @returns different sets, the best first
 */
export function rankCuts(
  candidates: readonly Candidate[],
  ends: Ends,
  profiles: readonly Profile[],
  { count, keep }: { readonly count: number; readonly keep: number },
): Choice[] {
  const without = profiles.map((profile) => withoutCuts(ends, profile));
  const times = candidates.map((candidate) => profiles.map((profile) => allowedMs(candidate, ends, profile)));
  const cost = (set: readonly number[]) =>
    expectation(
      profiles,
      without.map((least, p) => set.reduce((best, i) => Math.min(best, times[i]?.[p] ?? Infinity), least)),
    );
  const sets = new Map<string, { set: number[]; cost: number }>();
  for (const set of setsOf(candidates.length, Math.min(count, candidates.length))) {
    const useful = withoutIdle(set, cost);
    const key = useful.join();
    if (!sets.has(key)) sets.set(key, { set: useful, cost: cost(useful) });
  }
  return [...sets.values()]
    .sort((a, b) => a.cost - b.cost)
    .slice(0, keep)
    .map(({ set, cost: value }) => ({ chosen: set.map((i) => candidates[i] as Candidate), expectedMs: value }));
}

function withoutCuts(ends: Ends, profile: Profile): number {
  const { headMs, memoryBytes } = ends.local;
  const local = fits(memoryBytes, profile) ? headMs * profile.deviceFactor : UNSERVED_MS;
  return Math.min(UNSERVED_MS, local, allowedMs(ends.remote, ends, profile));
}

function allowedMs(candidate: Candidate, { local }: Ends, profile: Profile): number {
  const isDeepEnough = candidate.headMs >= profile.headShareMin * local.headMs;
  return isDeepEnough && fits(candidate.memoryBytes, profile) ? timeOf(candidate, profile) : Number.POSITIVE_INFINITY;
}

function fits(memoryBytes: number, { memoryMaxMb = Number.POSITIVE_INFINITY }: Profile): boolean {
  return memoryBytes <= memoryMaxMb * 1e6;
}

function expectation(profiles: readonly Profile[], times: readonly number[]): number {
  const weight = profiles.reduce((sum, profile) => sum + profile.weight, 0);
  return profiles.reduce((sum, profile, p) => sum + (profile.weight * (times[p] as number)) / weight, 0);
}

type Cost = (set: readonly number[]) => number;

/** Drops what no profile takes: every cut costs a piece of the chain its own start. */
function withoutIdle(set: readonly number[], cost: Cost): number[] {
  let rest = [...set];
  for (const one of set) {
    const less = rest.filter((other) => other !== one);
    if (less.length > 0 && cost(less) <= cost(rest)) rest = less;
  }
  return rest;
}

/** All sets of `size` numbers below `total`, each in rising order. */
function* setsOf(total: number, size: number, start = 0): Generator<number[]> {
  if (size === 0) {
    yield [];
    return;
  }
  for (let i = start; i <= total - size; i++) {
    for (const rest of setsOf(total, size - 1, i + 1)) yield [i, ...rest];
  }
}
