import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stripVTControlCharacters } from 'node:util';
import { build } from 'esbuild';
import type { Browser, Frame, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import webpack from 'webpack';
import { launchChromium, PHONE } from '../helpers/chromium.ts';
import { type CleanLine, cleanLines } from '../helpers/clean-lines.ts';
import { hasEngine, openIn, type RunningBrowser } from '../helpers/engines.ts';
import { installInto, succeeds } from '../helpers/installed.ts';
import { run, type ServerProcess, startServer, temporaryFolder } from '../helpers/processes.ts';
import { remotePage } from '../helpers/remote-page.ts';
import { freePort, type StaticServer, staticServer } from '../helpers/static-server.ts';
import type { ExampleActions } from './example-page.ts';

const chromium = inject('chromium');
const EXAMPLES = fileURLToPath(new URL('../../examples', import.meta.url));
const WAIT = { timeout: 20_000 };
/** The runtime as bundlers name it: fetched once. */
const HASHED_WASM = /^\/(\S+\/)?[\w.-]+\.wasm$/;
const READY = 'open, 5 of 5 segments';
process.env['NEXT_TELEMETRY_DISABLED'] = '1';

describe.skipIf(chromium.path === null)('an app as the examples show it reads a line, on a phone’s screen', () => {
  let folder: string;
  let site: StaticServer;
  let next: { readonly origin: string; readonly port: string };
  let gateway: ServerProcess;
  let browser: Browser;
  beforeAll(async () => {
    folder = await temporaryFolder();
    await cp(EXAMPLES, folder, { recursive: true });
    await installInto(folder, ['vite', 'webpack', 'next', 'react', 'react-dom']);
    site = await staticServer();
    next = await freePort();
    gateway = await startServer({ origins: [site.origin, next.origin] });
    browser = await launchChromium(chromium.path ?? '');
  });
  afterAll(async () => {
    await browser?.close();
    await gateway?.kill();
    await site?.close();
    await rm(folder, { recursive: true, force: true });
  });

  /** The folder that is served of each app: they are built when a test first asks for them. */
  const built = {
    plain: madeOnce(async () => {
      await succeeds('npm', ['run', 'build'], join(folder, 'plain'));
      return join(folder, 'plain');
    }),
    vite: madeOnce(async () => {
      await succeeds('npm', ['run', 'build'], join(folder, 'vite'));
      return join(folder, 'vite/dist');
    }),
    webpack: madeOnce(async () => {
      const app = join(folder, 'webpack');
      const { default: config } = (await import(join(app, 'webpack.config.js'))) as { default: webpack.Configuration };
      await pack({ ...config, context: app });
      return join(app, 'public');
    }),
    next: madeOnce(async () => {
      const app = join(folder, 'next');
      // The packages are links into this repository: a real app's are in its own folder.
      await writeFile(join(app, 'next.config.mjs'), `export default { turbopack: { root: '/' } };\n`);
      await addExamplePage(join(app, 'app/layout.jsx'), join(app, 'public'));
      await succeeds('env', [`NEXT_PUBLIC_GATEWAY=${gateway.url}`, 'npm', 'run', 'build'], app);
      return app;
    }),
  };

  async function startNext(): Promise<ChildProcess> {
    const args = ['next/dist/bin/next', 'start', '--hostname', '127.0.0.1', '--port', next.port];
    return startNode(await built.next(), args, 'Ready');
  }

  /** What docs/integration.md tells apps to send with their page and its scripts. */
  const contentSecurityPolicy = (...connectTo: readonly string[]) =>
    [
      `default-src 'none'`,
      `script-src 'self' 'wasm-unsafe-eval'`,
      `worker-src 'self'`,
      `connect-src ${[`'self'`, gateway.url, gateway.url.replace('http', 'ws'), ...connectTo].join(' ')}`,
    ].join('; ');

  test('without a bundler, under the strictest content security policy', async () => {
    const app = await built.plain();
    site.show(app, { 'Content-Security-Policy': contentSecurityPolicy() });
    const page = await readsTwice(`${site.origin}/?gateway=${gateway.url}`);
    // The policy was there and meant it.
    expect(await page.evaluate(evaluateText)).toBe('EvalError');
    expect(await page.evaluate(() => [crossOriginIsolated, typeof SharedArrayBuffer])).toEqual([false, 'undefined']);
    await page.close();

    // What isolates a page does not keep the SDK from its gateway or its worker.
    for (const headers of [
      { 'Cross-Origin-Opener-Policy': 'same-origin', 'Cross-Origin-Embedder-Policy': 'require-corp' },
      { 'Document-Isolation-Policy': 'isolate-and-require-corp' },
    ]) {
      site.show(app, headers);
      const isolated = await readsTwice(`${site.origin}/?gateway=${gateway.url}`);
      expect(await isolated.evaluate(() => [crossOriginIsolated, typeof SharedArrayBuffer])).toEqual([
        true,
        'function',
      ]);
      await isolated.close();
    }
  }, 60_000);

  test('and where the policy leaves out WebAssembly the gateway reads, where it leaves out the gateway the device', async () => {
    const [line] = cleanLines(1, 7) as [CleanLine];
    const app = await built.plain();
    const policy = contentSecurityPolicy();

    site.show(app, { 'Content-Security-Policy': policy.replace(` 'wasm-unsafe-eval'`, '') });
    const noWasm = await openPage(`${site.origin}/?gateway=${gateway.url}`);
    await expect
      .poll(() => noWasm.errors.join(), { timeout: 10_000 })
      .toContain('failed to asynchronously prepare wasm');
    expect(await read(noWasm.page, line)).toMatch(/ \([1-9]\d* bytes sent\)$/);
    expect(await noWasm.page.textContent('#status')).toBe('open, 0 of 5 segments');
    await noWasm.page.close();

    site.show(app, { 'Content-Security-Policy': policy.replace(/ ws:\S+/, '') });
    const noSocket = await openPage(`${site.origin}/?gateway=${gateway.url}`);
    await says(noSocket.page, 'connecting, 5 of 5 segments');
    expect(await read(noSocket.page, line)).toBe(`${line.text} (0 bytes sent)`);
    await noSocket.page.close();
  }, 60_000);

  test('under Trusted Types, where the app says which script its worker may be', async () => {
    const app = await appOf((script) =>
      script
        .replace(
          'await connect({',
          `await connect({ worker: () => new Worker(scripts.createScriptURL('tandem/worker.js'), { type: 'module' }),`,
        )
        .replace(
          'const client',
          `const scripts = trustedTypes.createPolicy('app', { createScriptURL: (url) => url });\nconst client`,
        ),
    );
    const policy = `${contentSecurityPolicy()}; require-trusted-types-for 'script'; trusted-types app`;
    site.show(app, { 'Content-Security-Policy': policy });
    const page = await readsTwice(`${site.origin}/?gateway=${gateway.url}`);
    // The policy was there and meant it.
    const refused = () => {
      try {
        new Worker('tandem/worker.js');
      } catch (error) {
        return (error as Error).name;
      }
      return 'allowed';
    };
    expect(await page.evaluate(refused)).toBe('TypeError');
    await page.close();
  }, 60_000);

  test('in a sandboxed frame, which has no storage: the gateway reads, and the device where the app makes the worker', async () => {
    const [line] = cleanLines(1, 7) as [CleanLine];
    // The origin of any such frame is `null`, which is let in where everybody is.
    const open = await startServer({ origins: ['*'] });
    const inFrame = async (app: string) => {
      const src = `/?gateway=${open.url}`;
      await writeFile(join(app, 'frame.html'), `<iframe sandbox="allow-scripts" src="${src}"></iframe>`);
      site.show(app, { 'Access-Control-Allow-Origin': '*' });
      const { page, errors } = await openPage(`${site.origin}/frame.html`);
      return { page, errors, frame: page.frames()[1] as Frame };
    };
    try {
      const plain = await inFrame(await appOf((script) => script));
      expect(await read(plain.frame, line)).toMatch(/ \([1-9]\d* bytes sent\)$/);
      await says(plain.frame, 'open, 0 of 5 segments');
      expect(plain.errors).toEqual([]);
      await plain.page.close();

      const own = `
        const whole = new URL('tandem/worker.js', location);
        const script = \`const said = [];
        onmessage = (event) => said.push(event);
        import('\${whole}').then(() => said.forEach((event) => onmessage(event)));\`;
        const worker = () => new Worker(URL.createObjectURL(new Blob([script])));`;
      const withWorker = await inFrame(
        await appOf((script) => `${own}\n${script.replace('connect({', 'connect({ worker,')}`),
      );
      await says(withWorker.frame, READY);
      await withWorker.frame.check('#local');
      expect(await read(withWorker.frame, line)).toBe(`${line.text} (0 bytes sent)`);
      expect(withWorker.errors).toEqual([]);
      await withWorker.page.close();
    } finally {
      await open.kill();
    }
  }, 60_000);

  test('with Vite', async () => {
    site.show(await built.vite(), { 'Content-Security-Policy': contentSecurityPolicy() });
    await (await readsTwice(`${site.origin}/?gateway=${gateway.url}`)).close();
    expect(site.asked.filter((path) => path.endsWith('.wasm'))).toEqual([expect.stringMatching(HASHED_WASM)]);
  }, 60_000);

  test('with Vite, where more than WebAssembly is asked for', async () => {
    const app = join(folder, 'accelerated');
    await cp(join(folder, 'vite'), app, { recursive: true });
    const script = await readFile(join(app, 'app.js'), 'utf8');
    await writeFile(join(app, 'app.js'), script.replace('connect({', "connect({ providers: ['webgpu'],"));
    await succeeds('npm', ['run', 'build'], app);
    site.show(join(app, 'dist'));
    await (await readsTwice(`${site.origin}/?gateway=${gateway.url}`)).close();
    expect(site.asked.filter((path) => path.endsWith('.wasm'))).toEqual([expect.stringContaining('.asyncify-')]);
  }, 60_000);

  test('with Vite’s development server', async () => {
    const app = join(folder, 'vite');
    // The packages are links into this repository: a real app's are in its own folder.
    await writeFile(join(app, 'vite.config.js'), 'export default { server: { fs: { strict: false } } };\n');
    const { origin, port } = await freePort();
    const server = await startNode(app, ['vite/bin/vite.js', '--host', '127.0.0.1', '--port', port], 'ready in');
    const ownGateway = await startServer({ origins: [origin] });
    try {
      // The server finds the worker's packages with the first page, and may load it again then.
      const { page } = await openPage(`${origin}/?gateway=${ownGateway.url}`);
      await says(page, READY);
      await page.close();
      await (await readsTwice(`${origin}/?gateway=${ownGateway.url}`)).close();
    } finally {
      await ownGateway.kill();
      await ended(server);
    }
  }, 60_000);

  test('with webpack', async () => {
    site.show(await built.webpack(), { 'Content-Security-Policy': contentSecurityPolicy() });
    await (await readsTwice(`${site.origin}/?gateway=${gateway.url}`)).close();
    expect(site.asked.filter((path) => path.endsWith('.wasm'))).toEqual([expect.stringMatching(HASHED_WASM)]);
  }, 60_000);

  test('with Next.js, which renders the page on the server too', async () => {
    const server = await startNext();
    try {
      const rendered = await (await fetch(next.origin)).text();
      expect(rendered).toContain('<p id="status">connecting</p>');
      await (await readsTwice(next.origin)).close();
    } finally {
      await ended(server);
    }
  }, 120_000);

  for (const name of ['firefox', 'webkit'] as const) {
    test.skipIf(!hasEngine(name))(
      `each of them in ${name} too, without and with a bundler`,
      async () => {
        let browser: RunningBrowser | undefined;
        const page = await remotePage<ExampleActions>(() => browser?.log() ?? '');
        const readsLines = async (url: string) => {
          if (browser) await page.do('goTo', url);
          browser ??= await openIn(name, url);
          await page.loaded();
          expect(await page.do('read', 'Walnut 31', false)).toMatch(/ \(\d+ bytes sent\)$/);
          await page.do('says', READY);
          expect(await page.do('read', 'Copper 742', true)).toBe('Copper 742 (0 bytes sent)');
          expect(await page.do('errors')).toEqual([]);
        };
        const server = await startNext();
        try {
          for (const app of ['plain', 'vite', 'webpack'] as const) {
            const served = await built[app]();
            await cp(join(served, 'index.html'), join(served, 'remote.html'));
            await addExamplePage(join(served, 'remote.html'), served);
            site.show(served, { 'Content-Security-Policy': contentSecurityPolicy(page.url) });
            await readsLines(`${site.origin}/remote.html?${app}&gateway=${gateway.url}&control=${page.url}`);
          }
          await readsLines(`${next.origin}/?control=${page.url}`);
        } finally {
          await browser?.close();
          await page.close();
          await ended(server);
        }
      },
      120_000,
    );
  }

  for (const entry of ['client/browser.js', 'client/node.js', 'client/react.js']) {
    test(`${entry} is imported in Node without a window, and does nothing then`, async () => {
      const url = `file://${join(folder, 'node_modules/tandem/dist', entry)}`;
      const script = `
        const before = Object.getOwnPropertyNames(globalThis).join();
        await import('${url}');
        if (Object.getOwnPropertyNames(globalThis).join() !== before) throw new Error('it made globals');
        // Whatever it left running would keep the process from ending.`;
      const outcome = await run(process.execPath, ['--input-type=module', '--eval', script]);
      expect(outcome).toEqual({ code: 0, stdout: '', stderr: '' });
    });
  }

  /** The plain example with another script. */
  async function appOf(change: (script: string) => string): Promise<string> {
    const app = join(await temporaryFolder(), 'app');
    await cp(await built.plain(), app, { recursive: true });
    const script = await readFile(join(app, 'app.js'), 'utf8');
    await writeFile(join(app, 'app.js'), change(script));
    return app;
  }

  /** Reads a line wherever that is best, and another on the device alone. Gives the page, on which nothing went wrong. */
  async function readsTwice(url: string): Promise<Page> {
    const { page, errors } = await openPage(url);
    const [first, second] = cleanLines(2, 7) as [CleanLine, CleanLine];
    try {
      expect(await read(page, first)).toMatch(/ \(\d+ bytes sent\)$/);
      await says(page, READY);
      await page.check('#local');
      expect(await read(page, second)).toBe(`${second.text} (0 bytes sent)`);
    } catch (error) {
      throw new Error(`${url}: ${(error as Error).message}\n${errors.join('\n')}`, { cause: error });
    }
    expect(errors).toEqual([]);
    return page;
  }

  async function openPage(url: string): Promise<{ page: Page; errors: string[] }> {
    const page = await (await browser.newContext(PHONE)).newPage();
    const errors: string[] = [];
    page.on('pageerror', (error) => errors.push(error.message));
    page.on('console', (message) => {
      const { url: place } = message.location();
      // No example has an icon.
      if (message.type() === 'error' && !place.endsWith('/favicon.ico')) errors.push(`${message.text()} ${place}`);
    });
    await page.goto(url);
    return { page, errors };
  }
});

async function says(page: Page | Frame, status: string): Promise<void> {
  await page.waitForFunction((text) => document.getElementById('status')?.textContent === text, status, WAIT);
}

/** Draws a line on the page's canvas, presses the button, and gives what the page says once it is of this line. */
async function read(page: Page | Frame, line: CleanLine): Promise<string> {
  await page.waitForSelector('#read:not([disabled])', WAIT);
  await draw(page, line);
  await page.click('#read');
  await page.waitForFunction(
    (start) => document.getElementById('text')?.textContent?.startsWith(start),
    `${line.text} (`,
    WAIT,
  );
  return (await page.textContent('#text')) ?? '';
}

async function draw(page: Page | Frame, { png }: CleanLine): Promise<void> {
  const pixels = png.toString('base64');
  await page.evaluate(async (base64) => {
    // No fetch of data: nor an image: the page's policy forbids both.
    const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
    const bitmap = await createImageBitmap(new Blob([bytes], { type: 'image/png' }));
    const canvas = document.getElementById('line') as HTMLCanvasElement;
    canvas.width = bitmap.width;
    canvas.height = bitmap.height;
    canvas.getContext('2d')?.drawImage(bitmap, 0, 0);
  }, pixels);
}

/** What comes of making code of text, in a task of its own: what the protocol evaluates itself is free of the policy. */
function evaluateText(): Promise<string> {
  return new Promise((resolve) => {
    setTimeout(() => {
      try {
        resolve(new Function('return "evaluated"')());
      } catch (error) {
        resolve((error as Error).name);
      }
    });
  });
}

/** What drives browsers without a driver, as `example-page.js` in the folder, and named in the page before anything else. */
async function addExamplePage(page: string, folder: string): Promise<void> {
  const entry = fileURLToPath(new URL('example-page.ts', import.meta.url));
  await build({ entryPoints: [entry], outdir: folder, bundle: true, format: 'esm', logLevel: 'warning' });
  const source = await readFile(page, 'utf8');
  await writeFile(
    page,
    source.replace(/<script|(?<=<body>)/, '<script type="module" src="/example-page.js"></script>$&'),
  );
}

function madeOnce<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => {
    made ??= make();
    return made;
  };
}

/** webpack through its Node API: webpack-cli, which users have, is none of this repository's packages. */
async function pack(config: webpack.Configuration): Promise<void> {
  const stats = await new Promise<webpack.Stats | undefined>((resolve, reject) => {
    webpack(config, (error, result) => (error ? reject(error) : resolve(result)));
  });
  expect(stats?.toJson({ all: false, errors: true }).errors).toEqual([]);
}

/** Starts a script of the packages above the app, and waits until it says that it is ready. */
async function startNode(app: string, [script = '', ...args]: string[], ready: string): Promise<ChildProcess> {
  const path = join(app, '../node_modules', script);
  const child = spawn(process.execPath, [path, ...args], { cwd: app, stdio: ['ignore', 'pipe', 'inherit'] });
  for await (const chunk of child.stdout) {
    if (stripVTControlCharacters(String(chunk)).includes(ready)) return child;
  }
  throw new Error(`${script} ended`);
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return;
  child.kill();
  await once(child, 'close');
}
