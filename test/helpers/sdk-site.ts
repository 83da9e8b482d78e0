/** What the SDK's browser tests run on: its test page with scripts beside it, a gateway that lets it in, and Chromium. */
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import type { Browser, Page } from 'playwright-core';
import type { Kit } from '../browser/client-page.ts';
import { launchChromium } from './chromium.ts';
import type { CleanLine } from './clean-lines.ts';
import { type ServerProcess, startServer, tandem, temporaryFolder } from './processes.ts';
import { type StaticServer, staticServer } from './static-server.ts';

declare const kit: Kit;

export interface SdkSite {
  /** What is served. */
  readonly folder: string;
  readonly site: StaticServer;
  readonly gateway: ServerProcess;
  readonly browser: Browser;
  /** The test page, with these lines to read; `gatewayUrl` may be a link to the gateway. */
  show(page: Page, gatewayUrl: string, lines: readonly CleanLine[]): Promise<void>;
  close(): Promise<void>;
}

export interface SdkSiteOptions {
  /** Scripts beside the page, by their names: files of test/browser. */
  readonly scripts: Readonly<Record<string, string>>;
  readonly copyAssets?: readonly string[];
  readonly chromiumFlags?: readonly string[];
}

export async function sdkSite(
  chromiumPath: string,
  { scripts, copyAssets = [], chromiumFlags = [] }: SdkSiteOptions,
): Promise<SdkSite> {
  const folder = await temporaryFolder();
  await tandem('copy-assets', folder, ...copyAssets);
  const entries = Object.entries({ page: 'client-page.ts', ...scripts });
  await build({
    entryPoints: Object.fromEntries(
      entries.map(([name, file]) => [name, fileURLToPath(new URL(`../browser/${file}`, import.meta.url))]),
    ),
    outdir: folder,
    bundle: true,
    format: 'esm',
    logLevel: 'warning',
  });
  await writeFile(join(folder, 'index.html'), '<!doctype html><script type="module" src="page.js"></script>');
  const site = await staticServer();
  site.show(folder);
  const gateway = await startServer({ origins: [site.origin] });
  const browser = await launchChromium(chromiumPath, [...chromiumFlags]);
  return {
    ...{ folder, site, gateway, browser },
    async show(page, gatewayUrl, lines) {
      await page.goto(`${site.origin}/?gateway=${gatewayUrl}`);
      await page.waitForFunction(() => 'kit' in globalThis);
      await page.evaluate(
        (pictures) => kit.lines(pictures),
        lines.map(({ png }) => png.toString('base64')),
      );
    },
    async close() {
      await browser.close();
      await gateway.kill();
      await site.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
