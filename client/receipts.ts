/** Receipts as the client takes them from the gateway's words. Whether the signature is right verify-receipt.ts says. */
import { joined } from '../shared/joined.ts';
import type { Plan } from '../shared/plan.ts';
import { isReceiptOf, parseReceipt, type Sent, type SignedReceipt } from '../shared/receipt.ts';
import type { Host } from './host.ts';
import type { LastWord } from './last-words.ts';
import type { RequestContext } from './request-context.ts';
import type { Trail } from './trail.ts';

/** What a receipt has to be of. */
interface Signing {
  readonly plan: Plan;
  readonly sent: Omit<Sent, 'bytes'> & { readonly retain: boolean };
  readonly parts: readonly Uint8Array[];
  /** The gateway's key, as it said when this client connected; null where no receipts are asked for, or none are given. */
  readonly key: string | null;
}

/**
 * The receipt in the last word. Null where there is none, or one that is not of what was sent, byte for byte: that is worth
 * nothing. The payload is read at once, while it is on its way, and not kept.
 */
export async function receiptIn(
  lastWord: Promise<LastWord>,
  { plan, sent, parts, key }: Signing,
  sha256: Host['sha256'],
): Promise<SignedReceipt | null> {
  if (key === null) return null;
  const payload = joined(parts);
  const bytes = payload.byteLength;
  const hash = sha256(payload).catch(() => '');
  const word = await lastWord;
  if (!word?.receipt) return null;
  const { text, signature } = word.receipt;
  try {
    const receipt = parseReceipt(text);
    const isAnswer = word.type === 'result';
    // Who tries what policy forbids does not decide whether that is written down.
    const retain = sent.retain || (!isAnswer && ['POLICY_DENIED', 'LABEL_NOT_GRANTED'].includes(word.code));
    const isOfThis =
      isReceiptOf(receipt, plan, { ...sent, bytes, retain }) &&
      (!isAnswer || receipt.computed === 'yes') &&
      receipt.sha256 === (await hash);
    return isOfThis ? { receipt, text, signature, key } : null;
  } catch {
    // What became of the request does not hang on it.
    return null;
  }
}

/**
 * What the gateway signs of a boundary that was sent goes into its account as long as that may change, and to listeners in any case.
 */
export async function takeReceipt(
  { host, onReceipt }: Pick<RequestContext, 'host' | 'onReceipt'>,
  trail: Trail,
  entry: Trail['sent'][number],
  lastWord: Promise<LastWord>,
  signing: Signing,
): Promise<void> {
  const receipt = await receiptIn(lastWord, signing, host.sha256);
  if (!receipt) return;
  if (!trail.isOver) entry.receipt = receipt;
  onReceipt({ label: entry.label, sent: entry, receipt });
}
