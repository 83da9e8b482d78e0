/** The browser that segments for browsers are timed in. */
import { existsSync } from 'node:fs';
import { TandemError } from '../shared/errors.ts';

const PLACES = [
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/usr/bin/google-chrome-stable',
];

/**
 * @param asked a path, or `none`; undefined takes CHROMIUM_PATH or the first that is where distributions put one
 * @throws NOT_FOUND for a path that there is not
 */
export function findBrowser(asked: string | undefined): string | undefined {
  if (asked === 'none') return undefined;
  const named = asked ?? process.env['CHROMIUM_PATH'];
  if (named === undefined || named === '') return PLACES.find((path) => existsSync(path));
  if (!existsSync(named)) throw new TandemError('NOT_FOUND', `expected a browser's executable or none, got ${named}`);
  return named;
}
