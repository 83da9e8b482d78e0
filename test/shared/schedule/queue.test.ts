import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { newQueue, observeOverdue, observeQueue, predictQueue } from '../../../shared/schedule/queue.ts';

describe('how long a request waits at the gateway', () => {
  test('is nothing before anything was said', () => {
    expect(predictQueue(newQueue(), 10_000)).toEqual({ ms: 0, sdMs: 0 });
  });

  test('is what the gateway said, as soon as it said so', () => {
    const queue = observeQueue(observeQueue(newQueue(), 10, 0), 500, 100);
    expect(predictQueue(queue, 100).ms).toBe(500);
  });

  test('is what is typical once that was long ago', () => {
    let queue = newQueue();
    for (let i = 0; i < 60; i++) queue = observeQueue(queue, 40, i * 100);
    queue = observeQueue(queue, 400, 6_000);
    const at = (ms: number) => predictQueue(queue, 6_000 + ms).ms;
    expect(at(5_000)).toBeLessThan(at(0) * 0.6);
    expect(at(60_000)).toBeGreaterThan(40);
    expect(at(60_000)).toBeLessThan(100);
  });

  test('is less sure the older the word, where words differ', () => {
    let queue = newQueue();
    for (let i = 0; i < 40; i++) queue = observeQueue(queue, i % 2 ? 100 : 0, i * 100);
    const sdMs = (ms: number) => predictQueue(queue, 3_900 + ms).sdMs;
    expect(sdMs(20_000)).toBeGreaterThan(sdMs(0) * 1.2);
  });
});

describe('a reply that has not come', () => {
  test('counts at once, and half as much after six seconds', () => {
    const queue = observeOverdue(newQueue(), 800, 1_000);
    expect(predictQueue(queue, 1_000).ms).toBe(800);
    expect(predictQueue(queue, 7_000).ms).toBeCloseTo(400, 9);
  });

  test('does not make another one that is later look sooner', () => {
    const queue = observeOverdue(observeOverdue(newQueue(), 800, 0), 100, 10);
    expect(predictQueue(queue, 10).ms).toBeGreaterThan(790);
  });

  test('is forgotten when the gateway answers', () => {
    const queue = observeQueue(observeOverdue(newQueue(), 800, 0), 5, 10);
    expect(predictQueue(queue, 10).ms).toBe(5);
  });
});

test('whatever was said, and whenever, a wait is a finite number of milliseconds', () => {
  const words = fc.array(
    fc.record({ isOverdue: fc.boolean(), ms: fc.nat(100_000), afterMs: fc.integer({ min: -1_000, max: 100_000 }) }),
    { maxLength: 20 },
  );
  fc.assert(
    fc.property(words, fc.nat(1_000_000), (said, laterMs) => {
      let nowMs = 0;
      let queue = newQueue();
      for (const { isOverdue, ms, afterMs } of said) {
        nowMs += afterMs;
        queue = (isOverdue ? observeOverdue : observeQueue)(queue, ms, nowMs);
      }
      const { ms, sdMs } = predictQueue(queue, nowMs + laterMs);
      for (const value of [ms, sdMs]) {
        expect(Number.isFinite(value)).toBe(true);
        expect(value).toBeGreaterThanOrEqual(0);
      }
      expect(ms).toBeLessThanOrEqual(200_000);
    }),
  );
});

test('one absurd word of a gateway does not spoil what is thought of its queue for good', () => {
  let queue = observeQueue(newQueue(0), 1e200, 0);
  for (let i = 1; i < 1_000; i++) queue = observeQueue(queue, 10, i * 1_000);
  const { ms, sdMs } = predictQueue(queue, 1_000_000);
  expect(Math.max(ms, sdMs)).toBeLessThan(1_000);
});
