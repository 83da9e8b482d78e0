/** What the gateway signed, of a receipt that is the gateway's and unchanged: for users, and for whoever they show it to. */
import { fromBase64, isBase64 } from '../shared/base64.ts';
import { TandemError } from '../shared/errors.ts';
import { parseReceipt, type Receipt, type SignedReceipt } from '../shared/receipt.ts';

export type Signed = Pick<SignedReceipt, 'text' | 'signature' | 'key'>;

/**
 * What the gateway signed: the receipt as its text has it, whatever stands beside the text, or null where the signature is not of
 * that text and that key.
 * @param key base64 of the key that is trusted, as /.well-known/tandem-receipt-key had it; default: the receipt's own, which says
 *   no more than that nothing was changed since.
 * @throws UNSUPPORTED where the platform's crypto has no Ed25519, or there is none (pages over plain http)
 */
export async function verifyReceipt({ text, signature, key: own }: Signed, key: string = own): Promise<Receipt | null> {
  const [signed, raw] = [signature, key].map((text) => (isBase64(text) ? fromBase64(text) : null));
  if (raw?.length !== KEY_BYTES || !signed) return null;
  const unsupported = (cause?: unknown) =>
    new TandemError('UNSUPPORTED', 'checking a receipt needs Ed25519 in crypto.subtle, which is not here', { cause });
  const subtle = globalThis.crypto?.subtle;
  if (!subtle) throw unsupported();
  const publicKey = await subtle.importKey('raw', raw, 'Ed25519', false, ['verify']).catch((error: unknown) => {
    // Any 32 bytes can be imported.
    throw unsupported(error);
  });
  if (!(await subtle.verify('Ed25519', publicKey, signed, new TextEncoder().encode(text)))) return null;
  try {
    return parseReceipt(text);
  } catch {
    return null;
  }
}

const KEY_BYTES = 32;
