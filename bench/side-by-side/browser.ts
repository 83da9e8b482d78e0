/** Chromium, as browser tests start it. */
import { type Browser, chromium } from 'playwright-core';

export function launch(path: string): Promise<Browser> {
  const isRoot = process.getuid?.() === 0;
  const args = ['--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking'];
  return chromium.launch({
    executablePath: path,
    args: [...args, '--disable-component-update', '--disable-sync', ...(isRoot ? ['--no-sandbox'] : [])],
  });
}
