/** Receipts that are really signed, by a key of this process, and numbered: the same in every run but for the signatures. */
import { type ReceiptSigner, receiptKey, receiptSigner } from '../../server/receipts.ts';

export function fakeReceipts(): ReceiptSigner {
  let count = 0;
  return receiptSigner({
    key: receiptKey(null, 'the test kit'),
    time: () => '2026-01-01T00:00:00.000Z',
    newId: () => `receipt-${++count}`,
  });
}
