/** A gateway's address as an app gives it. */
import { TandemError } from '../shared/errors.ts';

/** Without slashes at its end. Throws BAD_CONFIG for what is no address on the web. */
export function baseUrl(url: string): string {
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol)) {
    throw new TandemError('BAD_CONFIG', `expected the gateway's address as http:// or https://, got ${url}`);
  }
  return url.replace(/\/+$/, '');
}
