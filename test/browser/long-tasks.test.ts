/** That a page never stands still for the SDK. */
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, inject, onTestFinished, test } from 'vitest';
import { cleanLines } from '../helpers/clean-lines.ts';
import { startServer } from '../helpers/processes.ts';
import { remotePage } from '../helpers/remote-page.ts';
import { type SdkSite, sdkSite } from '../helpers/sdk-site.ts';
import { longTasks, openUndriven } from '../helpers/tasks.ts';

const chromium = inject('chromium');
const LINES = cleanLines(1);

describe.skipIf(chromium.path === null)('the SDK on a page', () => {
  let sdk: SdkSite;
  let browser: Browser;
  beforeAll(async () => {
    // By another name than that of the machine itself a page is no secure context.
    const chromiumFlags = ['--host-resolver-rules=MAP tandem.test 127.0.0.1'];
    sdk = await sdkSite(chromium.path ?? '', { scripts: { page: 'engine-page.ts' }, chromiumFlags });
    ({ browser } = sdk);
  });
  afterAll(() => sdk?.close());

  test.each([
    ['of the machine itself', '127.0.0.1', true],
    ['over plain http, without the platform’s hashes', 'tandem.test', false],
  ])('%s does not block it while it connects, downloads and answers', async (_, name, isSecure) => {
    const own = await startServer({ origins: ['*'] });
    onTestFinished(() => own.kill());
    const page = await remotePage(() => '');
    onTestFinished(() => page.close());
    const here = (url: string) => url.replace('127.0.0.1', name);
    const url = `${here(sdk.site.origin)}/?gateway=${here(own.url)}&control=${page.url}`;
    onTestFinished(await openUndriven(browser, url));
    await page.loaded();
    expect(await page.do('host')).toMatchObject({ isSecure });
    await page.do(
      'lines',
      LINES.map(({ png }) => png.toString('base64')),
    );
    const long = await longTasks(browser, 'tandem.infer', async () => {
      await page.do('open');
      await page.do('prepare');
      for (const prefer of ['device', 'cloud'] as const) {
        expect(await page.do('read', 0, { prefer })).toMatchObject({ text: LINES[0]?.text });
      }
    });
    expect(long).toEqual([]);
  });
});
