/** Who a client is, as an app says it: a token, or what gives one that may expire. */
import { TandemError } from '../shared/errors.ts';
import type { ClientOptions } from './types.ts';

export type Token = string | null | Promise<string | null>;

/** Asked for anew each time; what it throws comes as a rejection, and so does an empty one. */
export function tokenOf({ token }: ClientOptions): Token {
  return typeof token === 'function' ? asked(token) : (token ?? null);
}

async function asked(give: () => string | Promise<string>): Promise<string | null> {
  const token = (await give()) ?? null;
  if (token === '') throw new TandemError('UNAUTHORIZED', 'the token is empty');
  return token;
}
