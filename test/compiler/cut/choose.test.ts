import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Candidate, type Ends, expectedMs, type Profile, rankCuts, timeOf } from '../../../compiler/cut/choose.ts';

const profile = (changes: Partial<Profile>): Profile => ({
  ...{ name: 'p', weight: 1, deviceFactor: 1, roundTripMs: 10, uplinkMbps: 8, headShareMin: 0 },
  ...changes,
});
const candidate = (headMs: number, tailMs: number, bytes: number): Candidate => ({
  ...{ tensors: [`t${headMs}`], headMs, tailMs, bytes, decodeMs: 0, tier: 'q4', memoryBytes: 1e6 * headMs },
});
const best = (candidates: readonly Candidate[], count: number, profiles: readonly Profile[]) => {
  const [first] = rankCuts(candidates, ENDS, profiles, { count, keep: 1 });
  if (!first) throw new Error('no set');
  return first;
};
/** All sets of at most `count`. */
function subsets<T>(list: readonly T[], count: number): T[][] {
  if (count === 0 || list.length === 0) return [[]];
  const [first, ...rest] = list as [T, ...T[]];
  return [...subsets(rest, count), ...subsets(rest, count - 1).map((set) => [first, ...set])];
}

/** Mean over people of the least that any cut, or none, takes. */
function expectation(set: readonly Candidate[], people: readonly Profile[]): number {
  const weight = people.reduce((sum, one) => sum + one.weight, 0);
  const leasts = people.map((one) => {
    const times = [ENDS.remote, ...set].map((cut) => timeOf(cut, one));
    return one.weight * Math.min(60_000, ENDS.local.headMs * one.deviceFactor, ...times);
  });
  return leasts.reduce((sum, least) => sum + least, 0) / weight;
}

const ENDS: Ends = { remote: candidate(0, 20, 100_000), local: { headMs: 100, memoryBytes: 100e6 } };

describe('choosing cuts', () => {
  test('prices a cut by head, bytes, round trip, decoding and tail', () => {
    // 1,000 bytes at 8 Mbit/s take a millisecond.
    const cut = { ...candidate(10, 5, 1000), decodeMs: 7 };
    expect(timeOf(cut, profile({ deviceFactor: 2 }))).toBe(20 + 1 + 10 + 7 + 5);
  });

  test('takes for each profile the cut that is best for it', () => {
    const early = candidate(10, 15, 10_000);
    const late = candidate(80, 3, 100);
    const [slowDevice, slowLink] = [profile({ deviceFactor: 5 }), profile({ uplinkMbps: 0.2 })];
    expect(best([early, candidate(50, 8, 9000), late], 2, [slowDevice, slowLink]).chosen).toEqual([early, late]);
  });

  test('leaves out what would serve nobody', () => {
    const good = candidate(10, 5, 100);
    const choice = best([good, candidate(20, 20, 50_000)], 2, [profile({})]);
    expect(choice.chosen).toEqual([good]);
    expect(choice.expectedMs).toBeCloseTo(timeOf(good, profile({})), 9);
  });

  test('gives a profile nothing that leaves its device too early', () => {
    const early = candidate(5, 5, 10);
    const deep = candidate(60, 2, 10);
    const personal = [profile({ headShareMin: 0.5 })];
    expect(best([early, deep], 1, personal).chosen).toEqual([deep]);
    // Without a cut it has its device alone.
    expect(expectedMs([], ENDS, personal)).toBe(100);
  });

  test('gives a profile nothing that its memory does not hold', () => {
    const [small, large] = [candidate(40, 8, 5000), candidate(60, 1, 10)];
    expect(best([small, large], 1, [profile({ uplinkMbps: 0.5 })]).chosen).toEqual([large]);
    const cramped = profile({ uplinkMbps: 0.5, memoryMaxMb: 50 });
    expect(best([small, large], 1, [cramped]).chosen).toEqual([small]);
    // Not the whole model either: it has the cloud alone.
    expect(expectedMs([], ENDS, [cramped])).toBe(timeOf(ENDS.remote, cramped));
  });

  test('counts a minute for a profile that nothing serves, and chooses for the others', () => {
    const nobody = profile({ headShareMin: 1, memoryMaxMb: 1 });
    const good = candidate(10, 5, 100);
    const { chosen, expectedMs: value } = best([candidate(20, 20, 50_000), good], 1, [nobody, profile({})]);
    expect(chosen).toEqual([good]);
    expect(value).toBeCloseTo((60_000 + timeOf(good, profile({}))) / 2, 6);
  });

  test('gives different sets in order, as many as are asked for', () => {
    const all = [10, 20, 30, 40].map((ms) => candidate(ms, 50 - ms, 100));
    const sets = rankCuts(all, ENDS, [profile({ deviceFactor: 3 })], { count: 1, keep: 3 });
    expect(sets.map(({ chosen }) => chosen[0]?.headMs)).toEqual([10, 20, 30]);
    const values = sets.map(({ expectedMs: value }) => value);
    expect([...values].sort((a, b) => a - b)).toEqual(values);
  });

  const numbers = fc.integer({ min: 1, max: 1000 });
  const candidates = fc.array(fc.record({ headMs: numbers, tailMs: numbers, bytes: numbers }), {
    minLength: 1,
    maxLength: 7,
  });
  const profiles = fc.array(
    fc.record({ weight: numbers, deviceFactor: numbers, roundTripMs: numbers, uplinkMbps: numbers }),
    { minLength: 1, maxLength: 4 },
  );

  test('is never worse than any set of as many, nor better than all together', () => {
    fc.assert(
      fc.property(candidates, profiles, fc.integer({ min: 1, max: 3 }), (list, people, count) => {
        const all = list.map((one, i) => ({ ...candidate(0, 0, 0), ...one, tensors: [`t${i}`] }));
        const who = people.map((one) => profile(one));
        const { chosen, expectedMs: value } = best(all, count, who);
        expect(chosen.length).toBeLessThanOrEqual(count);
        expect(value).toBeLessThanOrEqual(expectedMs([], ENDS, who) + 1e-9);
        expect(value).toBeGreaterThanOrEqual(expectedMs(all, ENDS, who) - 1e-9);
        expect(value).toBeCloseTo(expectedMs(chosen, ENDS, who), 6);
        const least = Math.min(...subsets(all, count).map((set) => expectation(set, who)));
        expect(value).toBeCloseTo(least, 6);
      }),
    );
  });
});
