/** What the SDK's browser tests run on: its test page with scripts beside it, a gateway that lets it in, and Chromium. */
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import type { Browser, Page } from 'playwright-core';
import type { Kit } from '../browser/client-page.ts';
import { launchChromium, PHONE } from './chromium.ts';
import type { CleanLine } from './clean-lines.ts';
import { type ServerProcess, startServer, tandem, temporaryFolder } from './processes.ts';
import { type StaticServer, staticServer } from './static-server.ts';

declare const kit: Kit;

export interface SdkHost {
  /** What is served. */
  readonly folder: string;
  readonly site: StaticServer;
  readonly gateway: ServerProcess;
  close(): Promise<void>;
}

export interface SdkSite extends SdkHost {
  readonly browser: Browser;
  /** The test page in a profile of its own. */
  newPage(gatewayUrl: string, lines: readonly CleanLine[]): Promise<Page>;
  /** The test page, with these lines to read; `gatewayUrl` may be a link to the gateway. */
  show(page: Page, gatewayUrl: string, lines: readonly CleanLine[]): Promise<void>;
}

export interface SdkHostOptions {
  /** Scripts beside the page, by their names: files of test/browser. One named `page` takes the place of the test page's. */
  readonly scripts: Readonly<Record<string, string>>;
  readonly copyAssets?: readonly string[];
}

export interface SdkSiteOptions extends SdkHostOptions {
  readonly chromiumFlags?: readonly string[];
}

/** The test page and a gateway that lets it in, for whatever browser. */
export async function sdkHost({ scripts, copyAssets = [] }: SdkHostOptions): Promise<SdkHost> {
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
  return {
    ...{ folder, site, gateway },
    async close() {
      await gateway.kill();
      await site.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

export async function sdkSite(
  chromiumPath: string,
  { chromiumFlags = [], ...options }: SdkSiteOptions,
): Promise<SdkSite> {
  const host = await sdkHost(options);
  const browser = await launchChromium(chromiumPath, [...chromiumFlags]);
  const site: SdkSite = {
    ...host,
    browser,
    async newPage(gatewayUrl, lines) {
      const page = await (await browser.newContext(PHONE)).newPage();
      await site.show(page, gatewayUrl, lines);
      return page;
    },
    async show(page, gatewayUrl, lines) {
      await page.goto(`${host.site.origin}/?gateway=${gatewayUrl}`);
      await page.waitForFunction(() => 'kit' in globalThis);
      await page.evaluate(
        (pictures) => kit.lines(pictures),
        lines.map(({ png }) => png.toString('base64')),
      );
    },
    async close() {
      await browser.close();
      await host.close();
    },
  };
  return site;
}
