/** A gateway's address as an app gives it. */
import { TandemError } from '../shared/errors.ts';

/** Without slashes at its end. Throws BAD_CONFIG for what is no address on the web, or has more to it than a path. */
export function baseUrl(given: string | URL): string {
  const url = String(given);
  if (!/^https?:[^?#]*$/.test(url) || !URL.canParse(url)) {
    throw new TandemError('BAD_CONFIG', `expected the gateway's address as http(s)://, got ${url}`);
  }
  return url.replace(/\/+$/, '');
}
