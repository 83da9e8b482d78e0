/** Who a client is, as an app says it: a token, or what gives one that may expire. */
import type { ClientOptions } from './types.ts';

export type Token = string | null | Promise<string | null>;

/**
 * Asks for it anew each time, but not while it is still being asked for: somebody may be logging in. What the app throws comes as a
 * rejection. An empty one is none: a variable that nobody has set.
 */
export function tokensOf({ token }: ClientOptions): () => Token {
  if (typeof token !== 'function') return () => token || null;
  let asked: Promise<string | null> | null = null;
  const ask = async () => (await token()) || null;
  return () => {
    asked ??= ask().finally(() => {
      asked = null;
    });
    return asked;
  };
}
