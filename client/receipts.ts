/** Receipts as the client takes them from replies. Whether the signature is right verify-receipt.ts says. */
import type { Plan } from '../shared/plan.ts';
import { isReceiptOf, parseReceipt, type Sent, type SignedReceipt } from '../shared/receipt.ts';
import type { Host } from './host.ts';
import type { Reply } from './link.ts';

/** What a receipt has to be of. */
interface Sending {
  readonly plan: Plan;
  readonly sent: Omit<Sent, 'bytes'> & { readonly retain: boolean };
  readonly parts: readonly Uint8Array[];
  /** The gateway's key, as it said when this client connected. */
  readonly key: string | null;
}

/** Null where the reply has none, or one that is not of what was sent, byte for byte: that is worth nothing. */
export async function receiptIn(
  { message }: Reply,
  { plan, sent, parts, key }: Sending,
  sha256: Host['sha256'],
): Promise<SignedReceipt | null> {
  if (!message.receipt || key === null) return null;
  const { text, signature } = message.receipt;
  const bytes = new Uint8Array(parts.reduce((sum, { byteLength }) => sum + byteLength, 0));
  let end = 0;
  for (const part of parts) {
    bytes.set(part, end);
    end += part.byteLength;
  }
  try {
    const receipt = parseReceipt(text);
    const isOfThis = isReceiptOf(receipt, plan, { ...sent, bytes: end }) && receipt.sha256 === (await sha256(bytes));
    return isOfThis ? { receipt, text, signature, key } : null;
  } catch {
    // The answer is right all the same.
    return null;
  }
}
