import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { gaussian, seededRandom } from '../../../shared/random.ts';
import {
  doubtLogSum,
  LogSumAt,
  type LogSumModel,
  type LogSumState,
  newLogSum,
  observeLogSum,
} from '../../../shared/schedule/log-sum.ts';

const MODEL: LogSumModel = { prior: [50, 0.01], spread: [1, 1], drift: [0.02, 0.05], noise: 0.2 };

function sumOf(state: LogSumState, x: readonly number[], nowMs: number, model = MODEL) {
  const at = new LogSumAt(model.prior.length);
  at.set(model, state, nowMs);
  at.predict(x);
  return at;
}

describe('parts that are only seen added up', () => {
  test('are what the prior says, and as uncertain, before anything was seen', () => {
    const at = sumOf(newLogSum(MODEL), [1, 0], 0);
    expect(at.ms).toBeCloseTo(50, 9);
    expect(at.variance).toBeCloseTo(1, 9);
  });

  test('are told apart by sums of different amounts, to a tenth after 30', () => {
    const random = seededRandom(3);
    let state = newLogSum(MODEL);
    for (let i = 1; i <= 30; i++) {
      const x = [1, i % 2 ? 100 : 5_000 + 10_000 * random()];
      state = observeLogSum(
        MODEL,
        state,
        x,
        (20 + 0.004 * (x[1] as number)) * Math.exp(0.03 * gaussian(random)),
        i * 500,
      );
    }
    expect(Math.exp(state.mean[0] as number) / 20).toBeCloseTo(1, 1);
    expect(Math.exp(state.mean[1] as number) / 0.004).toBeCloseTo(1, 1);
  });

  test('hold what they say: nine of ten sums lie in the interval of nine tenths', () => {
    const random = seededRandom(5);
    const truth = [30, 0.02];
    let state = newLogSum(MODEL);
    let inside = 0;
    const count = 2_000;
    for (let i = 1; i <= count; i++) {
      for (let j = 0; j < 2; j++) {
        // Less than the drift that the model reckons with: it is to hold where its assumptions are not met to a hair.
        const step = 0.7 * (MODEL.drift[j] as number) * Math.sqrt(0.2);
        truth[j] = (truth[j] as number) * Math.exp(step * gaussian(random));
      }
      const x = [1, 200 + 8_000 * random()];
      const ms = ((truth[0] as number) + (truth[1] as number) * (x[1] as number)) * Math.exp(0.15 * gaussian(random));
      const at = sumOf(state, x, i * 200);
      if (Math.abs(Math.log(ms / at.ms)) <= 1.645 * Math.sqrt(at.variance + at.scatter)) inside++;
      state = observeLogSum(MODEL, state, x, ms, i * 200);
    }
    expect(inside / count).toBeGreaterThan(0.86);
    expect(inside / count).toBeLessThan(0.96);
  });

  test('follow a jump of ten times within 5 sums, and do not follow one hiccup', () => {
    const seen = (ms: number, from: LogSumState, count: number, at: number) => {
      let state = from;
      for (let i = 0; i < count; i++) state = observeLogSum(MODEL, state, [1, 1_000], ms, at + i * 500);
      return state;
    };
    const steady = seen(60, newLogSum(MODEL), 50, 0);
    const hiccup = seen(6_000, steady, 1, 25_000);
    expect(sumOf(hiccup, [1, 1_000], 25_500).ms).toBeLessThan(90);
    const jumped = seen(600, steady, 5, 25_000);
    expect(sumOf(jumped, [1, 1_000], 27_500).ms / 600).toBeGreaterThan(0.75);
    const back = seen(60, jumped, 8, 30_000);
    expect(sumOf(back, [1, 1_000], 34_000).ms / 60).toBeLessThan(1.3);
  });

  test('are doubted with age, and at once when something has happened, but never beyond the prior', () => {
    let state = newLogSum(MODEL);
    for (let i = 0; i < 40; i++)
      state = observeLogSum(MODEL, state, [1, i % 2 ? 50 : 9_000], i % 2 ? 50 : 140, i * 100);
    const variance = (ageMs: number, of = state) => sumOf(of, [1, 1_000], 4_000 + ageMs).variance;
    expect(variance(10_000)).toBeGreaterThan(variance(0) * 1.5);
    expect(variance(0, doubtLogSum(MODEL, state))).toBeGreaterThan(variance(0) * 2);
    expect(variance(1e12)).toBeLessThanOrEqual(1.000001);
  });

  test('tell of each other as much as they have in common', () => {
    const model: LogSumModel = { prior: [1, 1], spread: [1, 1], drift: [0, 0], noise: 0.05, common: 0.9 };
    const state = observeLogSum(model, newLogSum(model), [100, 0], 300, 0);
    expect(Math.exp(state.mean[0] as number)).toBeCloseTo(3, 1);
    expect(Math.exp(state.mean[1] as number)).toBeGreaterThan(2.4);
    expect(Math.exp(state.mean[1] as number)).toBeLessThan(3);
  });

  test('stay positive, finite, and with a covariance that is one, whatever was seen', () => {
    const model: LogSumModel = {
      ...MODEL,
      prior: [50, 0.01, 5],
      spread: [1, 1, 2],
      drift: [0.1, 0.3, 0.1],
      common: 0.5,
    };
    const sums = fc.array(
      fc.record({
        x: fc.tuple(fc.nat(1), fc.nat(16_000_000), fc.double({ min: 0, max: 1, noNaN: true })),
        ms: fc.oneof(
          fc.double({ min: 0, max: 120_000, noNaN: true }),
          fc.constantFrom(0, -1, Number.NaN, 1e-300, 1e300),
        ),
        laterMs: fc.nat(100_000),
      }),
      { maxLength: 60 },
    );
    fc.assert(
      fc.property(sums, (seen) => {
        let state = newLogSum(model);
        let nowMs = 0;
        for (const { x, ms, laterMs } of seen) {
          nowMs += laterMs;
          state = observeLogSum(model, state, x, ms, nowMs);
          const at = sumOf(state, [1, 1000, 1], nowMs, model);
          expect(Number.isFinite(at.ms) && at.ms > 0).toBe(true);
          expect(Number.isFinite(at.variance) && at.variance >= 0).toBe(true);
          for (let i = 0; i < 3; i++) expect(state.covariance[i * 4]).toBeGreaterThanOrEqual(-1e-9);
        }
      }),
      { numRuns: 300 },
    );
  });

  test('learn nothing from no time, no amount, or no number, and leave what they were given alone', () => {
    const state = newLogSum(MODEL);
    const copy = structuredClone(state);
    for (const ms of [0, -1, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(observeLogSum(MODEL, state, [1, 1], ms, 0)).toBe(state);
    }
    expect(observeLogSum(MODEL, state, [0, 0], 5, 0)).toBe(state);
    observeLogSum(MODEL, state, [1, 1], 5, 0);
    expect(state).toEqual(copy);
  });
});
