/** Signs receipts: the gateway's word on what it received for a request. */
import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { TandemError } from '../shared/errors.ts';
import type { Receipt, receiptOf } from '../shared/receipt.ts';

/** What is known of a payload when it comes, whatever becomes of it. */
export type Arrival = Pick<Receipt, 'id' | 'time' | 'sha256'>;

export interface ReceiptSigner {
  /** Base64 of the 32 bytes of its Ed25519 key. */
  readonly publicKey: string;
  /** @param parts the payload, as it came */
  arrived(parts: readonly Uint8Array[]): Arrival;
  /** @param fields what shared/receipt.ts knows of the request */
  sign(arrival: Arrival, fields: ReturnType<typeof receiptOf>): Signed;
}

export interface Signed {
  readonly id: string;
  /** The receipt as JSON, and the signature of that as base64. */
  readonly text: string;
  readonly signature: string;
}

export interface SignerOptions {
  readonly key: KeyObject;
  /** The time in ISO 8601. */
  readonly time: () => string;
  /** A name that no other receipt has. */
  readonly newId: () => string;
}

export function receiptSigner({ key, time, newId }: SignerOptions): ReceiptSigner {
  const { x = '' } = createPublicKey(key).export({ format: 'jwk' });
  return {
    publicKey: Buffer.from(x, 'base64url').toString('base64'),
    arrived(parts) {
      const hash = createHash('sha256');
      for (const part of parts) hash.update(part);
      return { id: newId(), time: time(), sha256: hash.digest('hex') };
    },
    sign({ id, time, sha256 }, fields) {
      const receipt: Receipt = { id, time, ...fields, sha256 };
      const text = JSON.stringify(receipt);
      return { id, text, signature: sign(null, Buffer.from(text), key).toString('base64') };
    },
  };
}

/**
 * The key in a PEM text, or a fresh one without a text.
 * @param what where the text is from, for errors
 * @throws BAD_CONFIG
 */
export function receiptKey(pem: string | null, what: string): KeyObject {
  if (pem === null) return generateKeyPairSync('ed25519').privateKey;
  const expected = 'expected an Ed25519 key in PEM (openssl genpkey -algorithm ed25519)';
  let key: KeyObject;
  try {
    key = createPrivateKey(pem);
  } catch (error) {
    throw new TandemError('BAD_CONFIG', `${what}: ${expected}, got none that can be read`, { cause: error });
  }
  if (key.asymmetricKeyType !== 'ed25519') {
    throw new TandemError('BAD_CONFIG', `${what}: ${expected}, got one of ${key.asymmetricKeyType}`);
  }
  return key;
}
