import { describe, expect, test } from 'vitest';
import { predict } from '../../../shared/schedule/cost.ts';
import { lateAfterMs, remoteMs } from '../../../shared/schedule/late.ts';
import { newLink } from '../../../shared/schedule/link.ts';
import type { Snapshot } from '../../../shared/schedule/snapshot.ts';
import { certain, QUIET_LINK, ratio, sampleSnapshot } from './sample-snapshot.ts';

/** For boundary 0, sent at once. */
function late(changes: Partial<Snapshot>, leftMs: number, isForced = false): number {
  const snapshot = sampleSnapshot(changes);
  return lateAfterMs(snapshot, predict(snapshot, { k: 0, tier: 'webp-80' }), leftMs, isForced);
}

describe('a reply is late', () => {
  const remote = (changes: Partial<Snapshot> = {}) =>
    remoteMs(predict(sampleSnapshot(changes), { k: 0, tier: 'webp-80' }));

  test('a tenth and 20 ms after it was surely due, and later where it was asked for', () => {
    const due = (ms: number) => ({ least: ms, most: 1.05 * ms });
    for (const [ms, { least, most }] of [
      [late({}, 60_000), due(1.1 * remote() + 20)],
      [late({}, 60_000, true), due(2 * remote() + 250)],
    ] as const) {
      expect(ms).toBeGreaterThan(least);
      expect(ms).toBeLessThan(most);
    }
  });

  test('the later the less is known of the link', () => {
    expect(late({ link: newLink(QUIET_LINK) }, 60_000)).toBeGreaterThan(1.5 * late({}, 60_000));
  });

  test('when the device has to begin to meet the deadline, with a margin', () => {
    const link = certain(newLink({ ...QUIET_LINK, roundTripMs: 400 }));
    // The device takes 108 ms.
    expect(late({ link }, 300)).toBeCloseTo(300 - 1.3 * 108, 6);
    // No room for a margin.
    expect(late({ link }, 120)).toBeCloseTo(12, 6);
  });

  test('and no sooner for a device that would miss it all the same: it would only be in the way', () => {
    const device = ratio(100);
    expect(late({ device }, 2_000)).toBe(late({}, 60_000));
    expect(late({ deviceAheadMs: 5_000 }, 2_000)).toBe(late({}, 60_000));
  });
});
