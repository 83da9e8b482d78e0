/** Who a client is, as an app says it: a token, or what gives one that may expire. */
import type { ClientOptions } from './types.ts';

export type Token = string | null | Promise<string | null>;

/** Asked for anew each time; what it throws comes as a rejection. An empty one is none: a variable that nobody has set. */
export function tokenOf({ token }: ClientOptions): Token {
  return typeof token === 'function' ? (async () => (await token()) || null)() : token || null;
}
