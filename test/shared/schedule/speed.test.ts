import { describe, expect, test } from 'vitest';
import { LogSumAt } from '../../../shared/schedule/log-sum.ts';
import { newSpeed, observeSpeed, type SpeedEstimate, speedRatio } from '../../../shared/schedule/speed.ts';

function observeMany(speed: SpeedEstimate, ratio: number, count: number, fromMs = 0): SpeedEstimate {
  let estimate = speed;
  for (let i = 0; i < count; i++) estimate = observeSpeed(estimate, [10], 10 * ratio, fromMs + i * 200);
  return estimate;
}

function expectedMs({ model, state }: SpeedEstimate, planned: readonly number[]): number {
  const at = new LogSumAt(planned.length);
  at.set(model, state, state.atMs);
  at.predict(planned);
  return at.ms;
}

describe('the speed estimator', () => {
  test('begins with what it was told, and as planned where it was told nothing', () => {
    expect(speedRatio(newSpeed())).toBe(1);
    expect(speedRatio(newSpeed(4, 3))).toBeCloseTo(3, 10);
  });

  test('believes the first observation, nearly', () => {
    expect(speedRatio(observeSpeed(newSpeed(1, 3), [100], 50, 0))).toBeCloseTo(0.5, 1);
  });

  test('knows from one segment of the others, and then each for itself', () => {
    const first = observeSpeed(newSpeed(3), [30, 0, 0], 120, 0);
    expect(expectedMs(first, [0, 10, 0]) / 40).toBeGreaterThan(0.7);
    let each = newSpeed(3);
    for (let i = 0; i < 20; i++) {
      each = observeSpeed(each, [30, 0, 0], 120, i * 300);
      each = observeSpeed(each, [0, 10, 0], 20, i * 300 + 100);
    }
    expect(expectedMs(each, [30, 0, 0]) / 120).toBeCloseTo(1, 1);
    expect(expectedMs(each, [0, 10, 0]) / 20).toBeCloseTo(1, 1);
  });

  test('follows a device that slows down to three times the time within 6 observations', () => {
    const slowed = observeMany(observeMany(newSpeed(), 1, 50), 3, 6, 10_000);
    expect(Math.abs(speedRatio(slowed) / 3 - 1)).toBeLessThan(0.1);
  });

  test('is not thrown off by one hiccup of a million times', () => {
    const steady = observeMany(newSpeed(), 1, 50);
    expect(speedRatio(observeSpeed(steady, [10], 1e7, 10_000))).toBeLessThan(1.3);
    expect(speedRatio(observeSpeed(steady, [10], 1e-5, 10_000))).toBeGreaterThan(1 / 1.3);
  });

  test.each([
    ['no planned time', 10, 0],
    ['no measurable time', 0, 10],
    ['a clock that went back', -1, 10],
    ['no number', Number.NaN, 10],
    ['no planned number', 10, Number.NaN],
  ])('learns nothing from %s', (_, observedMs, plannedMs) => {
    const speed = newSpeed(1, 2);
    expect(observeSpeed(speed, [plannedMs], observedMs, 0)).toBe(speed);
  });
});
