/** Receipts as the client takes them from replies. Whether the signature is right verify-receipt.ts says. */
import type { Plan } from '../shared/plan.ts';
import { isReceiptOf, parseReceipt, type Sent, type SignedReceipt } from '../shared/receipt.ts';
import type { Reply } from './link.ts';

/**
 * Null where the reply has none, or one that is not of what was sent: that is worth nothing.
 * @param key the gateway's, as it said when this client connected
 */
export function receiptIn({ message }: Reply, key: string | null, plan: Plan, sent: Sent): SignedReceipt | null {
  if (!message.receipt || key === null) return null;
  const { text, signature } = message.receipt;
  try {
    const receipt = parseReceipt(text);
    return isReceiptOf(receipt, plan, sent) ? { receipt, text, signature, key } : null;
  } catch {
    // The answer is right all the same.
    return null;
  }
}
