/** Who a client is, and which labels it may use. Tokens are compared by hash and in constant time. */
import { createHash, timingSafeEqual } from 'node:crypto';
import { TandemError } from '../shared/errors.ts';

/** A client that the gateway knows. */
export interface Identity {
  /** For logs; never the token. */
  readonly name: string;
  readonly labels: readonly string[];
}

export interface Credentials {
  /** Labels of clients without a token, or null where a token is required. */
  readonly anonymous: { readonly labels: readonly string[] } | null;
  readonly tokens: readonly { readonly name: string; readonly sha256: string; readonly labels: readonly string[] }[];
}

/** @throws UNAUTHORIZED for a token that is not known, or none where one is needed */
export function identify(credentials: Credentials, token: string | null): Identity {
  if (token === null) {
    if (!credentials.anonymous) throw new TandemError('UNAUTHORIZED', 'a token is needed');
    return { name: 'anonymous', labels: credentials.anonymous.labels };
  }
  const digest = createHash('sha256').update(token).digest();
  const known = credentials.tokens.find(({ sha256 }) => timingSafeEqual(Buffer.from(sha256, 'hex'), digest));
  if (!known) throw new TandemError('UNAUTHORIZED', 'the token is not known');
  return { name: known.name, labels: known.labels };
}
