import { expect, test } from 'vitest';
import { systemClock } from '../../shared/clock.ts';

/** A host whose timers fire when told to. */
function fakeHost() {
  const timers = new Map<number, { action: () => void; ms: number }>();
  return {
    timers,
    performance: { now: () => 12.5 },
    setTimeout(action: () => void, ms: number): number {
      timers.set(timers.size + 1, { action, ms });
      return timers.size;
    },
    clearTimeout(handle: never): void {
      timers.delete(handle);
    },
  };
}

test('the system clock reads the time of its host', () => {
  expect(systemClock(fakeHost()).now()).toBe(12.5);
});

test('the system clock calls an action after the time that was asked for', () => {
  const host = fakeHost();
  let calls = 0;
  systemClock(host).after(250, () => calls++);
  const [timer] = host.timers.values();
  expect([timer?.ms, calls]).toEqual([250, 0]);
  timer?.action();
  expect(calls).toBe(1);
});

test('an action that was taken back is gone, and the others are not', () => {
  const host = fakeHost();
  const clock = systemClock(host);
  const takeBack = clock.after(250, () => {});
  clock.after(100, () => {});
  takeBack();
  expect([...host.timers.values()].map(({ ms }) => ms)).toEqual([100]);
});
