import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { newSpeed, observeSpeed, type SpeedEstimate, speedRatio } from '../../../shared/schedule/speed.ts';

function observeMany(speed: SpeedEstimate, ratio: number, count: number): SpeedEstimate {
  let estimate = speed;
  for (let i = 0; i < count; i++) estimate = observeSpeed(estimate, 10 * ratio, 10);
  return estimate;
}

describe('the speed estimator', () => {
  test('begins with what it was told, and as planned where it was told nothing', () => {
    expect(speedRatio(newSpeed())).toBe(1);
    expect(speedRatio(newSpeed(3))).toBeCloseTo(3, 10);
  });

  test('believes the first observation', () => {
    expect(speedRatio(observeSpeed(newSpeed(3), 50, 100))).toBeCloseTo(0.5, 10);
  });

  test('averages twice too slow and twice too fast to as planned', () => {
    const even = observeSpeed({ logRatio: Math.log(2), weight: 1.25 }, 5, 10);
    expect(speedRatio(even)).toBeCloseTo(1, 10);
  });

  test('follows a device that slows down to three times the time within 20 observations', () => {
    const slowed = observeMany(observeMany(newSpeed(), 1, 50), 3, 20);
    expect(Math.abs(speedRatio(slowed) / 3 - 1)).toBeLessThan(0.05);
  });

  test('is not thrown off by one hiccup of a million times', () => {
    const steady = observeMany(newSpeed(), 1, 50);
    expect(speedRatio(observeSpeed(steady, 1e7, 10))).toBeLessThan(2.6);
    expect(speedRatio(observeSpeed(steady, 10, 1e7))).toBeGreaterThan(1 / 2.6);
  });

  test('stays between the extremes it saw', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: 0.1, max: 10, noNaN: true }), { minLength: 1 }), (ratios) => {
        const ratio = speedRatio(ratios.reduce((speed, seen) => observeSpeed(speed, seen, 1), newSpeed()));
        expect(ratio).toBeGreaterThanOrEqual(Math.min(...ratios) * 0.999999);
        expect(ratio).toBeLessThanOrEqual(Math.max(...ratios) * 1.000001);
      }),
    );
  });

  test.each([
    ['no planned time', 10, 0],
    ['no measurable time', 0, 10],
    ['a clock that went back', -1, 10],
    ['no number', Number.NaN, 10],
    ['no planned number', 10, Number.NaN],
  ])('learns nothing from %s', (_, observedMs, plannedMs) => {
    const speed = newSpeed(2);
    expect(observeSpeed(speed, observedMs, plannedMs)).toBe(speed);
  });
});
