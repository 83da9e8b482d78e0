/** The browser for browser tests: one that is there, or one that the system's package manager brings. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { type Browser, chromium as playwright } from 'playwright-core';
import { findBrowser } from '../../cli/browser.ts';

export type Chromium = { readonly path: string } | { readonly path: null; readonly reason: string };

export const PHONE = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true };

/** Installs Chromium with apt-get where there is none and that is allowed. */
export function findChromium(): Chromium {
  const found = findBrowser(undefined);
  if (found) return { path: found };
  const mayInstall = process.getuid?.() === 0 && existsSync('/usr/bin/apt-get');
  if (!mayInstall) return missing('no Chromium found, and only root can install one: apt-get install chromium');
  process.stderr.write('no Chromium found: installing it with apt-get ...\n');
  for (const args of [['update'], ['install', '-y', '--no-install-recommends', 'chromium']]) {
    const { status } = spawnSync('apt-get', args, { stdio: ['ignore', 'ignore', 'inherit'] });
    if (status !== 0) return missing(`apt-get ${args[0]} failed: install Chromium by hand`);
  }
  const path = findBrowser(undefined);
  return path ? { path } : missing('apt-get installed Chromium where it is not looked for');
}

export function launchChromium(path: string, extraArgs: readonly string[] = []): Promise<Browser> {
  return playwright.launch({
    executablePath: path,
    headless: true,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      ...extraArgs,
    ],
  });
}

/** Without a browser its tests are skipped in plain sight; in CI that is a failure. */
function missing(reason: string): Chromium {
  if (process.env['CI'] === 'true') throw new Error(`browser tests cannot run: ${reason}`);
  process.stderr.write(`BROWSER TESTS ARE SKIPPED: ${reason}\n`);
  return { path: null, reason };
}
