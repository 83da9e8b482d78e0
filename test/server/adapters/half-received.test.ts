import fc from 'fast-check';
import { expect, test } from 'vitest';
import { HalfReceived } from '../../../server/adapters/half-received.ts';

const BYTES_MAX = 100_000;
const SENDERS = 5;

test('takes no more than there is room for, and never gives up who has less than a share of it', () => {
  const from = fc.nat({ max: SENDERS - 1 });
  const event = fc.record({ from, bytes: fc.option(fc.nat({ max: BYTES_MAX })) });
  fc.assert(
    fc.property(fc.array(event, { maxLength: 60 }), (events) => {
      const halfReceived = new HalfReceived(BYTES_MAX);
      const senders = Array.from({ length: SENDERS }, () => ({ bytes: 0, pieces: 0 }));
      for (const { from, bytes } of events) {
        const sender = senders[from] as (typeof senders)[number];
        const forget = () => Object.assign(sender, { bytes: 0, pieces: 0 });
        if (bytes === null) {
          halfReceived.done(sender);
          forget();
          continue;
        }
        sender.bytes += bytes;
        sender.pieces++;
        halfReceived.add(sender, bytes, () => {
          expect(sender.bytes + 1000 * sender.pieces).toBeGreaterThan(BYTES_MAX / SENDERS);
          forget();
        });
        expect(senders.reduce((sum, each) => sum + each.bytes, 0)).toBeLessThanOrEqual(BYTES_MAX);
      }
    }),
  );
});

test('counts what a piece takes in memory besides its bytes', () => {
  const halfReceived = new HalfReceived(BYTES_MAX);
  let pieces = 0;
  let isGivenUp = false;
  while (!isGivenUp && pieces < BYTES_MAX) {
    pieces++;
    halfReceived.add(halfReceived, 1, () => {
      isGivenUp = true;
    });
  }
  expect(pieces).toBeLessThan(BYTES_MAX / 500);
});
