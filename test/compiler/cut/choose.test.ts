import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Candidate, chooseCuts, type Ends, type Profile, timeOf } from '../../../compiler/cut/choose.ts';

const profile = (changes: Partial<Profile>): Profile => ({
  ...{ name: 'p', weight: 1, deviceFactor: 1, roundTripMs: 10, uplinkMbps: 8, headShareMin: 0 },
  ...changes,
});
const candidate = (headMs: number, tailMs: number, bytes: number): Candidate => ({
  ...{ tensors: [`t${headMs}`], headMs, tailMs, bytes },
});
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
    return one.weight * Math.min(ENDS.localMs * one.deviceFactor, ...times);
  });
  return leasts.reduce((sum, least) => sum + least, 0) / weight;
}

const ENDS: Ends = { remote: candidate(0, 20, 100_000), localMs: 100 };

describe('choosing cuts', () => {
  test('prices a cut by head, bytes, round trip and tail', () => {
    // 1,000 bytes at 8 Mbit/s take a millisecond.
    expect(timeOf(candidate(10, 5, 1000), profile({ deviceFactor: 2 }))).toBe(20 + 1 + 10 + 5);
  });

  test('takes for each profile the cut that is best for it', () => {
    const early = candidate(10, 15, 10_000);
    const late = candidate(80, 3, 100);
    const slowDevice = profile({ deviceFactor: 5 });
    const slowLink = profile({ uplinkMbps: 0.2 });
    const { chosen } = chooseCuts([early, candidate(50, 8, 9000), late], ENDS, 2, [slowDevice, slowLink]);
    expect(chosen).toEqual([early, late]);
  });

  test('leaves out what would serve nobody', () => {
    const good = candidate(10, 5, 100);
    const { chosen, expectedMs } = chooseCuts([good, candidate(20, 20, 50_000)], ENDS, 2, [profile({})]);
    expect(chosen).toEqual([good]);
    expect(expectedMs).toBeCloseTo(timeOf(good, profile({})), 9);
  });

  test('gives a profile nothing that leaves its device too early', () => {
    const early = candidate(5, 5, 10);
    const deep = candidate(60, 2, 10);
    const { chosen, withoutMs } = chooseCuts([early, deep], ENDS, 1, [profile({ headShareMin: 0.5 })]);
    expect(chosen).toEqual([deep]);
    // Without a cut it has its device alone.
    expect(withoutMs).toBe(100);
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
        const all = list.map((one, i) => ({ ...one, tensors: [`t${i}`] }));
        const who = people.map((one) => profile(one));
        const { chosen, expectedMs, withoutMs, withAllMs } = chooseCuts(all, ENDS, count, who);
        expect(chosen.length).toBeLessThanOrEqual(count);
        expect(expectedMs).toBeLessThanOrEqual(withoutMs);
        expect(expectedMs).toBeGreaterThanOrEqual(withAllMs);
        const best = Math.min(...subsets(all, count).map((set) => expectation(set, who)));
        expect(expectedMs).toBeCloseTo(best, 6);
      }),
    );
  });
});
