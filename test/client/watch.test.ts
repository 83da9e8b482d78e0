import { expect, test } from 'vitest';
import { FakeClock } from '../../client/testkit/fake-clock.ts';
import { watch } from '../../client/watch.ts';

test('a page that was frozen hears what came meanwhile before silence is held against anybody', async () => {
  const clock = new FakeClock();
  let silences = 0;
  const stop = watch(clock, 4_000, () => silences++);
  // The timer is due as the page wakes up; what came while it was frozen is handled right after.
  await clock.advance(4_000);
  stop();
  await clock.advance(60_000);
  expect(silences).toBe(0);
});

test('silence is told of once', async () => {
  const clock = new FakeClock();
  let silences = 0;
  watch(clock, 4_000, () => silences++);
  await clock.advance(4_999);
  expect(silences).toBe(0);
  await clock.advance(60_000);
  expect(silences).toBe(1);
});
