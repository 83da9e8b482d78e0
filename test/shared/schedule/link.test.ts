import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { seededRandom } from '../../../shared/random.ts';
import { LINK_PRIOR, type LinkEstimate, linkFigures, newLink, observeTransfer } from '../../../shared/schedule/link.ts';

interface Truth {
  readonly roundTripMs: number;
  readonly bytesPerS: number;
}

const FAST: Truth = { roundTripMs: 20, bytesPerS: 5_000_000 };
const SLOW: Truth = { roundTripMs: 200, bytesPerS: 100_000 };

function transferMs({ roundTripMs, bytesPerS }: Truth, bytesUp: number): number {
  return roundTripMs + (bytesUp / bytesPerS) * 1000;
}

/** Pings of 60 bytes and requests of 2 to 62 kB by turns, over a link that does just what `truth` says. */
function observeMixed(link: LinkEstimate, truth: Truth, count: number, fromMs = 0): LinkEstimate {
  const random = seededRandom(count);
  let estimate = link;
  for (let i = 0; i < count; i++) {
    const bytesUp = i % 2 === 0 ? 60 : 2_000 + random() * 60_000;
    const transfer = { bytesUp, bytesDown: 0, idleMs: 0 };
    estimate = observeTransfer(estimate, transfer, transferMs(truth, bytesUp), fromMs + i * 300);
  }
  return estimate;
}

function predictMs(link: LinkEstimate, bytesUp: number): number {
  const { roundTripMs, uplinkBytesPerS } = linkFigures(link);
  return roundTripMs + (bytesUp / uplinkBytesPerS) * 1000;
}

describe('the link estimator', () => {
  test('says what the prior says where nothing was seen', () => {
    const { roundTripMs, uplinkBytesPerS, downlinkBytesPerS } = linkFigures(newLink());
    expect(roundTripMs).toBeCloseTo(LINK_PRIOR.roundTripMs, 6);
    expect(uplinkBytesPerS).toBeCloseTo(LINK_PRIOR.uplinkBytesPerS, 0);
    expect(downlinkBytesPerS).toBeGreaterThan(uplinkBytesPerS);
  });

  test.each([FAST, SLOW, { roundTripMs: 40, bytesPerS: 1_250_000 }, { roundTripMs: 300, bytesPerS: 20_000 }])(
    'tells latency from goodput on a link of %o to a fifth after 20 messages of mixed sizes',
    (truth) => {
      const { roundTripMs, uplinkBytesPerS } = linkFigures(observeMixed(newLink(), truth, 20));
      expect(Math.abs(roundTripMs / truth.roundTripMs - 1)).toBeLessThan(0.2);
      expect(Math.abs(uplinkBytesPerS / truth.bytesPerS - 1)).toBeLessThan(0.2);
    },
  );

  test('tells up from down where what goes up and what comes down differ', () => {
    const random = seededRandom(1);
    let link = newLink();
    for (let i = 0; i < 40; i++) {
      const transfer = { bytesUp: 500 + random() * 40_000, bytesDown: 500 + random() * 40_000, idleMs: 0 };
      link = observeTransfer(link, transfer, 30 + transfer.bytesUp / 200 + transfer.bytesDown / 1_000, i * 300);
    }
    const { uplinkBytesPerS, downlinkBytesPerS } = linkFigures(link);
    expect(Math.abs(uplinkBytesPerS / 200_000 - 1)).toBeLessThan(0.2);
    expect(Math.abs(downlinkBytesPerS / 1_000_000 - 1)).toBeLessThan(0.3);
  });

  test('learns what the radio takes to wake up, from a doze and from sleep', () => {
    let link = newLink();
    for (let i = 0; i < 30; i++) {
      const idleMs = [0, 1_000, 15_000][i % 3] as number;
      const wakeMs = [0, 150, 900][i % 3] as number;
      link = observeTransfer(link, { bytesUp: 60, bytesDown: 60, idleMs }, 50 + wakeMs, i * 20_000);
    }
    const { roundTripMs, dozeMs, sleepMs } = linkFigures(link);
    expect(Math.abs(roundTripMs / 50 - 1)).toBeLessThan(0.3);
    expect(Math.abs(dozeMs / 150 - 1)).toBeLessThan(0.3);
    expect(Math.abs((dozeMs + sleepMs) / 900 - 1)).toBeLessThan(0.3);
  });

  test('comes near any link in 20 messages', () => {
    const truths = fc.record({
      roundTripMs: fc.double({ min: 5, max: 500, noNaN: true }),
      bytesPerS: fc.double({ min: 10_000, max: 10_000_000, noNaN: true }),
    });
    fc.assert(
      fc.property(truths, fc.integer({ min: 2_000, max: 60_000 }), (truth, bytes) => {
        const expected = transferMs(truth, bytes);
        expect(Math.abs(predictMs(observeMixed(newLink(), truth, 20), bytes) / expected - 1)).toBeLessThan(0.15);
      }),
    );
  });

  test('recovers from a jump within 20 messages, in both directions', () => {
    const worse = observeMixed(observeMixed(newLink(), FAST, 50), SLOW, 20, 15_000);
    expect(Math.abs(predictMs(worse, 20_000) / transferMs(SLOW, 20_000) - 1)).toBeLessThan(0.2);
    const better = observeMixed(observeMixed(newLink(), SLOW, 50), FAST, 20, 15_000);
    expect(Math.abs(predictMs(better, 20_000) / transferMs(FAST, 20_000) - 1)).toBeLessThan(0.3);
  });

  test('predicts the one size it saw, also where latency and goodput cannot be told apart', () => {
    let link = newLink();
    for (let i = 0; i < 20; i++) link = observeTransfer(link, { bytesUp: 5_000, bytesDown: 0, idleMs: 0 }, 90, i * 300);
    expect(Math.abs(predictMs(link, 5_000) / 90 - 1)).toBeLessThan(0.05);
  });

  test('leaves the estimate it was given alone', () => {
    const transfer = { bytesUp: 100, bytesDown: 10, idleMs: 0 };
    const before = observeTransfer(newLink(), transfer, 10, 0);
    const copy = structuredClone(before);
    observeTransfer(before, transfer, 20, 10);
    expect(before).toEqual(copy);
  });
});
