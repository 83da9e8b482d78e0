/** Whether a receipt is the gateway's, and unchanged: for users, and for whoever they show it to. */
import { fromBase64, isBase64 } from '../shared/base64.ts';
import { TandemError } from '../shared/errors.ts';
import type { SignedReceipt } from '../shared/receipt.ts';

type Signed = Pick<SignedReceipt, 'text' | 'signature' | 'key'>;

/**
 * Checks text and signature; what a receipt says is in its text, and `receipt` beside it is only that text read.
 * @param key base64 of the key that is trusted, as /.well-known/tandem-receipt-key had it; default: the receipt's own, which says
 *   no more than that nothing was changed since
 * @throws UNSUPPORTED where the platform's crypto has no Ed25519, or there is none (pages over plain http)
 */
export async function verifyReceipt({ text, signature, key: own }: Signed, key: string = own): Promise<boolean> {
  const subtle = globalThis.crypto?.subtle;
  const bytesOf = (base64: string) => fromBase64(base64) as Uint8Array<ArrayBuffer>;
  if (![signature, key].every(isBase64)) return false;
  const unsupported = (cause?: unknown) =>
    new TandemError('UNSUPPORTED', 'checking a receipt needs Ed25519 in crypto.subtle, which is not here', { cause });
  if (!subtle) throw unsupported();
  if (bytesOf(key).length !== KEY_BYTES) return false;
  const publicKey = await subtle
    .importKey('raw', bytesOf(key), 'Ed25519', false, ['verify'])
    .catch((error: unknown) => {
      // Any 32 bytes can be imported.
      throw unsupported(error);
    });
  return subtle.verify('Ed25519', publicKey, bytesOf(signature), new TextEncoder().encode(text));
}

const KEY_BYTES = 32;
