import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { seededRandom } from '../../../shared/random.ts';
import { LINK_PRIOR, type LinkEstimate, linkModel, newLink, observeTransfer } from '../../../shared/schedule/link.ts';

interface Truth {
  readonly roundTripMs: number;
  readonly bytesPerS: number;
}

const FAST: Truth = { roundTripMs: 20, bytesPerS: 5_000_000 };
const SLOW: Truth = { roundTripMs: 200, bytesPerS: 100_000 };

function transferMs({ roundTripMs, bytesPerS }: Truth, bytes: number): number {
  return roundTripMs + (bytes / bytesPerS) * 1000;
}

/** Pings of 60 bytes and requests of 2 to 62 kB by turns, over a link that does just what `truth` says. */
function observeMixed(link: LinkEstimate, truth: Truth, count: number): LinkEstimate {
  const random = seededRandom(count);
  let estimate = link;
  for (let i = 0; i < count; i++) {
    const bytes = i % 2 === 0 ? 60 : 2_000 + random() * 60_000;
    estimate = observeTransfer(estimate, bytes, transferMs(truth, bytes));
  }
  return estimate;
}

function predictMs(link: LinkEstimate, bytes: number): number {
  const { roundTripMs, msPerByte } = linkModel(link);
  return roundTripMs + msPerByte * bytes;
}

describe('the link estimator', () => {
  test('says what the prior says where nothing was seen', () => {
    const { roundTripMs, msPerByte } = linkModel(newLink());
    expect(roundTripMs).toBeCloseTo(LINK_PRIOR.roundTripMs, 6);
    expect(1000 / msPerByte).toBeCloseTo(LINK_PRIOR.uplinkBytesPerS, 0);
  });

  test.each([FAST, SLOW, { roundTripMs: 40, bytesPerS: 1_250_000 }, { roundTripMs: 300, bytesPerS: 20_000 }])(
    'knows a link of %o to a fifth after 20 messages of mixed sizes',
    (truth) => {
      const { roundTripMs, msPerByte } = linkModel(observeMixed(newLink(), truth, 20));
      expect(Math.abs(roundTripMs / truth.roundTripMs - 1)).toBeLessThan(0.2);
      expect(Math.abs(1000 / msPerByte / truth.bytesPerS - 1)).toBeLessThan(0.2);
    },
  );

  test('comes near any link in 20 messages, as far as the prior lets it', () => {
    const truths = fc.record({
      roundTripMs: fc.double({ min: 5, max: 500, noNaN: true }),
      bytesPerS: fc.double({ min: 10_000, max: 10_000_000, noNaN: true }),
    });
    fc.assert(
      fc.property(truths, fc.integer({ min: 2_000, max: 60_000 }), (truth, bytes) => {
        const expected = transferMs(truth, bytes);
        const bound = 0.12 * (expected + predictMs(newLink(), bytes));
        expect(Math.abs(predictMs(observeMixed(newLink(), truth, 20), bytes) - expected)).toBeLessThan(bound);
      }),
    );
  });

  test('recovers from a jump within 30 messages, in both directions', () => {
    const worse = observeMixed(observeMixed(newLink(), FAST, 50), SLOW, 30);
    expect(Math.abs(predictMs(worse, 20_000) / transferMs(SLOW, 20_000) - 1)).toBeLessThan(0.1);
    const better = observeMixed(observeMixed(newLink(), SLOW, 50), FAST, 30);
    expect(Math.abs(predictMs(better, 20_000) / transferMs(FAST, 20_000) - 1)).toBeLessThan(0.3);
  });

  test('predicts the one size it saw, also where latency and bandwidth cannot be told apart', () => {
    let link = newLink();
    for (let i = 0; i < 20; i++) link = observeTransfer(link, 5_000, 90);
    expect(Math.abs(predictMs(link, 5_000) / 90 - 1)).toBeLessThan(0.05);
  });

  test('never says that time or bandwidth is negative, whatever it saw', () => {
    const transfers = fc.array(
      fc.record({ bytes: fc.nat(16_000_000), ms: fc.double({ min: 0, max: 120_000, noNaN: true }) }),
      { maxLength: 60 },
    );
    fc.assert(
      fc.property(transfers, (seen) => {
        const link = seen.reduce((estimate, { bytes, ms }) => observeTransfer(estimate, bytes, ms), newLink());
        const { roundTripMs, msPerByte } = linkModel(link);
        expect(roundTripMs).toBeGreaterThanOrEqual(0);
        expect(msPerByte).toBeGreaterThanOrEqual(0);
        expect(Number.isFinite(roundTripMs) && Number.isFinite(msPerByte)).toBe(true);
      }),
      { numRuns: 500 },
    );
  });

  test('takes latency alone where larger messages came faster', () => {
    let link = newLink();
    for (let i = 0; i < 20; i++) link = observeTransfer(observeTransfer(link, 60, 300), 50_000, 100);
    const { roundTripMs, msPerByte } = linkModel(link);
    expect(msPerByte).toBe(0);
    expect(roundTripMs).toBeGreaterThan(100);
    expect(roundTripMs).toBeLessThan(300);
  });

  test('takes bandwidth alone where the line would begin below 0', () => {
    let link = newLink();
    for (let i = 0; i < 20; i++) link = observeTransfer(observeTransfer(link, 20_000, 1), 60_000, 600);
    const { roundTripMs, msPerByte } = linkModel(link);
    expect(roundTripMs).toBe(0);
    expect(msPerByte).toBeGreaterThan(0);
  });

  test('leaves the estimate it was given alone', () => {
    const before = observeTransfer(newLink(), 100, 10);
    const copy = structuredClone(before);
    observeTransfer(before, 1_000, 20);
    expect(before).toEqual(copy);
  });
});
